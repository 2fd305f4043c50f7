"""What a refused upload says: places as JSON pointers, bounds by their setting, formats that fit the question."""

import io

import pytest

from registry.dataset_file import check_images, load_images, summarise
from registry.errors import InvalidDatasetError, TooLargeError
from registry.manifest import Preprocessing
from tests.hostile.dataset_files import png_header
from tests.registry.dataset_samples import LIMITS, folders, npz_bytes, parquet_bytes, pixels, zip_bytes

GREY = Preprocessing(colour="grey", height=4, width=4, mean=(0.5,), std=(0.5,))


def pointers_of(data: bytes) -> list[str]:
    with pytest.raises(InvalidDatasetError) as caught:
        summarise(io.BytesIO(data), limits=LIMITS)
    return [fault.pointer for fault in caught.value.faults]


@pytest.mark.parametrize(
    ("data", "pointers"),
    [
        (zip_bytes({**folders(), "cat/a~b.png": b"bad"}), ["/cat/a~0b.png"]),
        (zip_bytes({**folders(), "cat/deep/1.png": b"bad"}), ["/cat/deep/1.png"]),
        (zip_bytes({**folders(), "../out.png": b"bad"}), ["/../out.png"]),
        (parquet_bytes([b"bad", b"bad"], [0, 1]), ["/0", "/1"]),
        (npz_bytes(images=pixels(2, 2, 2), labels=[-1, 1]), ["/0"]),
    ],
    ids=["broken", "too-deep", "unsafe-name", "parquet-row", "wrong-label"],
)
def test_faults_point_at_entries_and_rows(data: bytes, pointers: list[str]) -> None:
    assert pointers_of(data) == pointers


@pytest.mark.parametrize(("side", "size"), [(2_000, "2,000 x 2,000"), (60_000, "3,600,000,000")])
def test_too_many_pixels_are_told_by_our_own_bound(side: int, size: str) -> None:
    data = zip_bytes({**folders(), "cat/big.png": png_header(side, side)})
    with pytest.raises(TooLargeError) as caught:
        summarise(io.BytesIO(data), limits=LIMITS)
    assert size in caught.value.detail
    assert f"at most {LIMITS.image_pixels:,} are allowed (ZOO_IMAGE_LIMIT_PIXELS)" in caught.value.detail


@pytest.mark.parametrize("data", [b"", b"%PDF-1.7", zip_bytes({"note.txt": b"text"})], ids=["empty", "pdf", "no-image"])
def test_images_without_labels_are_asked_for_without_labels(data: bytes) -> None:
    for read in (
        lambda file: check_images(file, limits=LIMITS),
        lambda file: load_images(file, preprocessing=GREY, limits=LIMITS),
    ):
        with pytest.raises(InvalidDatasetError, match=r"send an image .* a zip of images") as caught:
            read(io.BytesIO(data))
        assert "label" not in caught.value.detail
