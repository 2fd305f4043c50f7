"""Pipeline files: the same bytes as one that is made whole in memory, and never in memory themselves."""

import io
import json
import tracemalloc

import numpy as np
import pytest
from safetensors.numpy import load

from registry.architectures.specs import FlattenSpec, LinearSpec
from registry.errors import CorruptBlobError
from registry.manifest_text import manifest_text
from registry.module_file import PipelinePart, module_bytes, read_header, read_tensors
from registry.names import Digest, ModuleRef
from registry.pipeline_file import open_pipeline_file
from registry.records import Pipeline
from registry.tensor_file import write_tensor_file
from registry.zoo import Zoo
from storage.folder_blobs import FolderBlobs, blob_path
from tests.builders import module_manifest
from tests.numpy_worker import hidden_module, linear_module, output_module, publish

MEBIBYTE = 1024 * 1024
WIDE = 4096


def defined(name: str, parts: list[PipelinePart]) -> bytes:
    """The slow definition: every tensor of every module in memory, written one after the other."""
    modules = ",".join(manifest_text(part.manifest) for part in parts)
    tensors = {
        f"{index}.{tensor}": part.tensors[tensor] for index, part in enumerate(parts) for tensor in sorted(part.tensors)
    }
    out = io.BytesIO()
    text = f'{{"schema":1,"name":{json.dumps(name)},"modules":[{modules}]}}'
    write_tensor_file(out, tensors, metadata={"pipeline": text})
    return out.getvalue()


def part_of(data: bytes) -> PipelinePart:
    header = read_header(io.BytesIO(data), size_bytes=len(data))
    return PipelinePart(header.manifest, read_tensors(io.BytesIO(data)))


def large_module() -> bytes:
    """An input module with 33 MiB of weights."""
    widths = ((64, WIDE), (WIDE, WIDE // 2), (WIDE // 2, 4))
    blocks = [FlattenSpec(), *(LinearSpec(in_features=taken, out_features=given) for taken, given in widths)]
    tensors = {}
    for index, (taken, given) in enumerate(widths):
        tensors[f"{index + 1}.weight"] = np.full((given, taken), 0.5, dtype=np.float32)
        tensors[f"{index + 1}.bias"] = np.zeros(given, dtype=np.float32)
    architecture = {"blocks": [block.model_dump() for block in blocks]}
    return module_bytes(module_manifest(architecture=architecture), tensors)


def composed(zoo: Zoo, *above: str) -> Pipeline:
    return zoo.pipelines.compose("digits", ["ada/eyes", *above, "ada/mouth"]).pipeline


@pytest.fixture
def files(zoo: Zoo) -> list[bytes]:
    eyes = linear_module(1)
    below = publish(zoo, "ada/eyes", eyes).digest
    files = [eyes, hidden_module(below), output_module(below)]
    publish(zoo, "ada/middle", files[1])
    publish(zoo, "ada/mouth", files[2])
    return files


def test_a_pipelines_file_is_what_it_is_by_definition(zoo: Zoo, files: list[bytes]) -> None:
    pipeline = composed(zoo, "ada/middle")
    wanted = defined("digits", [part_of(data) for data in files])
    with zoo.pipelines.open_file(pipeline) as file:
        assert file.read() == wanted
    measured = zoo.pipelines.measured(pipeline)
    assert (measured.size_bytes, measured.digest) == (len(wanted), zoo.blobs.put(wanted))
    tensors = load(wanted)
    assert tensors["0.1.weight"].shape == (4, 64)
    assert len(tensors) == 6


def test_every_part_of_it_can_be_read_by_itself(zoo: Zoo, files: list[bytes]) -> None:
    pipeline = composed(zoo, "ada/middle")
    wanted = defined("digits", [part_of(data) for data in files])
    with zoo.pipelines.open_file(pipeline) as file:
        assert file.seek(0, io.SEEK_END) == len(wanted)
        assert file.read(1) == b""
        for first in range(len(wanted) - 1, 0, -7):
            file.seek(first)
            assert file.read(100) == wanted[first : first + 100]


def test_eleven_modules_stand_in_the_order_of_their_numbers(zoo: Zoo, files: list[bytes]) -> None:
    eyes = zoo.modules.get(ModuleRef.parse("ada/eyes@1"))
    with open_pipeline_file(zoo.blobs, "many", [eyes] * 11) as file:
        assert file.read() == defined("many", [part_of(files[0])] * 11)


def test_a_large_pipeline_is_never_in_memory(zoo: Zoo) -> None:
    large = large_module()
    assert len(large) > 32 * MEBIBYTE
    below = publish(zoo, "ada/eyes", large).digest
    publish(zoo, "ada/mouth", output_module(below))
    pipeline = composed(zoo)
    del large
    tracemalloc.start()
    try:
        measured = zoo.pipelines.measured(pipeline)
        with zoo.pipelines.open_file(pipeline) as file:
            read = 0
            while piece := file.read(MEBIBYTE):
                read += len(piece)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert read == measured.size_bytes > 32 * MEBIBYTE
    assert peak < 8 * MEBIBYTE


def test_digest_and_size_are_found_once_for_everybody(zoo: Zoo, files: list[bytes]) -> None:
    pipeline = composed(zoo)
    measured = zoo.pipelines.measured(pipeline)
    for part in pipeline.modules:
        zoo.blobs.delete(part.digest)
    assert zoo.pipelines.measured(pipeline) == measured
    assert zoo.pipelines.seen_by(zoo.begin).measured(pipeline) == measured


def change(zoo: Zoo, digest: Digest, at: int) -> None:
    """Change a stored byte behind the store's back."""
    assert isinstance(zoo.blobs, FolderBlobs)
    path = blob_path(zoo.blobs._folder, digest)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_a_damaged_module_is_found_when_the_file_is_measured(zoo: Zoo, files: list[bytes]) -> None:
    pipeline = composed(zoo)
    change(zoo, pipeline.modules[1].digest, -1)
    with pytest.raises(CorruptBlobError, match="damaged"):
        zoo.pipelines.measured(pipeline)


def test_a_damaged_header_of_a_module_opens_no_file(zoo: Zoo, files: list[bytes]) -> None:
    pipeline = composed(zoo)
    change(zoo, pipeline.modules[1].digest, 7)
    with pytest.raises(CorruptBlobError, match="upload the file again"), zoo.pipelines.open_file(pipeline):
        pass
