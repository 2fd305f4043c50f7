import io
import json
import subprocess
import sys
import tracemalloc
from contextlib import suppress
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from registry.dataset_file import summarise
from registry.errors import InvalidArchitectureError, InvalidDatasetError, InvalidModuleFileError, TooLargeError
from registry.module_file import check_module_file
from tests.hostile.dataset_files import DATASET_FILES
from tests.hostile.forged_files import FORGED_FILES, zip64_of_entries
from tests.hostile.module_files import GOOD, MODULE_FILES
from tests.hostile.swelling_files import SWELLING_FILES
from tests.registry.dataset_samples import (
    LIMITS,
    MEBIBYTE,
    folders,
    image_bytes,
    npz_bytes,
    parquet_bytes,
    pixels,
    tensor_bytes,
    zip_bytes,
)

ROOT = Path(__file__).parents[2]
UPLOADED_FILES = (*DATASET_FILES, *FORGED_FILES, *SWELLING_FILES)


@pytest.fixture
def peak_bytes():
    """The most memory that Python and NumPy took since the test began."""
    tracemalloc.start()
    yield lambda: tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()


def check_module(data):
    return check_module_file(io.BytesIO(data), size_bytes=len(data), parameter_limit=10**9, features_limit=4096)


def by_name(files):
    assert len({file.name for file in files}) == len(files)
    return [pytest.param(file, id=file.name) for file in files]


@pytest.mark.parametrize("hostile", by_name(MODULE_FILES))
def test_a_hostile_module_file_is_refused_in_little_memory(hostile, peak_bytes):
    data = hostile.make()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(hostile.error) as caught:
        check_module(data)
    assert type(caught.value) is hostile.error
    assert hostile.says in caught.value.detail
    assert len(caught.value.detail) < 2_000
    assert peak_bytes() - before < hostile.most_bytes


@pytest.mark.parametrize("hostile", by_name(UPLOADED_FILES))
def test_a_hostile_dataset_is_refused_in_little_memory(hostile, peak_bytes):
    data = hostile.make()
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    with pytest.raises(hostile.error) as caught:
        summarise(io.BytesIO(data), limits=LIMITS)
    assert type(caught.value) is hostile.error
    assert hostile.says in caught.value.detail
    assert len(caught.value.detail) < 2_000
    assert peak_bytes() - before < hostile.most_bytes


@pytest.mark.skipif(sys.platform != "linux", reason="bounds of memory are those of Linux")
def test_every_hostile_file_is_refused_by_a_process_that_has_little_memory_and_time():
    command = [sys.executable, "-m", "tests.hostile.bounded"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    first, *told = (json.loads(line) for line in done.stdout.splitlines())
    assert first["ended"] == "out of memory"
    assert len(told) == len(MODULE_FILES) + len(UPLOADED_FILES) >= 180
    assert [each for each in told if each["ended"] != "refused"] == [], done.stderr


def moving_picture(name: str, frames: int) -> bytes:
    """A picture of many frames, only the first of which counts."""
    out = io.BytesIO()
    first, *rest = (Image.fromarray(pixels(8, 8, 3, seed=number)) for number in range(frames))
    first.save(out, name, save_all=True, append_images=rest)
    return out.getvalue()


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP"])
def test_of_a_moving_picture_only_the_first_frame_costs_anything(name):
    files = {f"{label}/0.{name.lower()}": moving_picture(name, 300) for label in ("a", "b")}
    assert summarise(io.BytesIO(zip_bytes(files)), limits=LIMITS).examples == 2


def test_the_good_file_that_the_hostile_ones_come_from_is_taken():
    assert check_module(GOOD).role == "input"


def test_one_large_value_that_stands_for_many_rows_is_not_multiplied_in_memory():
    large = b"no image" + bytes(2 * MEBIBYTE)
    data = parquet_bytes([large] * 200, [0, 1] * 100, compression="zstd")
    assert len(data) < MEBIBYTE
    before = pa.default_memory_pool().max_memory()
    with pytest.raises(InvalidDatasetError, match="200 images cannot be read") as caught:
        summarise(io.BytesIO(data), limits=LIMITS)
    assert pa.default_memory_pool().max_memory() - before < 128 * MEBIBYTE
    assert len(caught.value.faults) == 21


@pytest.mark.parametrize("count", [10**12, 2**64 - 1])
def test_a_lie_about_the_number_of_entries_changes_nothing(count):
    truth, lie = zip_bytes(folders()), zip64_of_entries(count)
    assert summarise(io.BytesIO(lie), limits=LIMITS).counts == summarise(io.BytesIO(truth), limits=LIMITS).counts


UPLOADS = {
    "zip": zip_bytes(folders(each=1)),
    "parquet": parquet_bytes([image_bytes()] * 4, ["a", "b", "a", "c"]),
    "npz": npz_bytes(images=pixels(4, 2, 2), labels=[0, 1, 0, 1]),
    "safetensors": tensor_bytes(images=pixels(4, 2, 2), labels=np.array([0, 1, 0, 1])),
}


@pytest.mark.parametrize("name", UPLOADS)
def test_a_damaged_upload_is_read_or_refused_and_nothing_else_happens(name):
    generator = np.random.default_rng(0)
    for _ in range(300):
        data = np.frombuffer(UPLOADS[name], np.uint8).copy()
        data[generator.integers(len(data), size=3)] = generator.integers(256, size=3)
        with suppress(InvalidDatasetError, TooLargeError):
            summarise(io.BytesIO(data.tobytes()), limits=LIMITS)


def test_a_damaged_module_file_is_read_or_refused_and_nothing_else_happens():
    generator = np.random.default_rng(0)
    for _ in range(1_000):
        data = np.frombuffer(GOOD, np.uint8).copy()
        data[generator.integers(1_800, size=2)] = generator.integers(256, size=2)
        with suppress(InvalidModuleFileError, InvalidArchitectureError):
            check_module(data.tobytes())
