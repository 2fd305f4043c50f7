"""Hostile datasets, third folder: small files that would swell in memory while they are read."""

import struct

import numpy as np

from tests.hostile.dataset_files import patched
from tests.hostile.files import no_dataset
from tests.hostile.forged_files import parquet_of
from tests.registry.dataset_samples import (
    MEBIBYTE,
    folders,
    image_bytes,
    npz_bytes,
    parquet_bytes,
    tensor_bytes,
    zip_bytes,
)


def lying_entry(held_bytes: int, said_bytes: int) -> bytes:
    """A zip whose first entry says that it has fewer bytes than it holds."""
    return patched(zip_bytes({"cat/x.png": bytes(held_bytes), **folders()}), 24, struct.pack("<L", said_bytes))


def paths_of(parts: int, *, entries: int, named: str = "a") -> dict[str, bytes]:
    """Empty files, each at the end of a long path of its own."""
    return {f"{entry}/" + f"{named}/" * (parts - 2) + "x": b"" for entry in range(entries)}


SWELLING_ZIPS = (
    no_dataset("zip-entry-that-hides-200-mebibytes", "cat/x.png", lambda: lying_entry(200 * MEBIBYTE, 100)),
    no_dataset("zip-entry-that-is-said-to-be-empty", "Bad CRC-32", lambda: lying_entry(200 * MEBIBYTE, 0)),
    no_dataset("zip-of-paths-of-497-parts", "496 folders", lambda: zip_bytes(paths_of(497, entries=2_000))),
    no_dataset(
        "zip-of-paths-as-long-as-they-may-be",
        "no images",
        lambda: zip_bytes({"a/": b"", **paths_of(31, entries=4_000, named="\u0101" * 30)}),
    ),
)

WIDE = np.zeros((2, 1000, 1000, 3), dtype=np.float64)
ONE_CLASS = np.zeros(2, dtype=np.int64)


def deep_pngs() -> bytes:
    """Images of 16 bits a pixel, as many pixels as an image may have."""
    return zip_bytes({f"cat/{number}.png": image_bytes(np.zeros((1000, 1000), np.uint16)) for number in range(2)})


SWELLING_IMAGES = (
    no_dataset(
        "npz-of-wide-floats-of-one-class", "'0'", lambda: npz_bytes(images=WIDE, labels=ONE_CLASS), 16 * MEBIBYTE
    ),
    no_dataset(
        "tensors-of-wide-floats-of-one-class", "'0'", lambda: tensor_bytes(images=WIDE, labels=ONE_CLASS), 16 * MEBIBYTE
    ),
    no_dataset(
        "npz-of-wide-floats-that-end-in-nan",
        "nan",
        lambda: npz_bytes(images=WIDE * np.nan, labels=ONE_CLASS),
        16 * MEBIBYTE,
    ),
    no_dataset("png-of-16-bits-of-one-class", "'cat'", deep_pngs, 8 * MEBIBYTE),
)


def headers_of(size_bytes: int) -> bytes:
    """An npz whose arrays have headers of so many spaces."""
    array = b"\x93NUMPY\x02\x00" + struct.pack("<L", size_bytes) + b" " * size_bytes
    return zip_bytes({"images.npy": array, "labels.npy": array[:20]})


SWELLING_ARRAYS = (
    no_dataset("npy-header-of-60-mebibytes", "at most 10,000", lambda: headers_of(60 * MEBIBYTE), MEBIBYTE),
)

TRUTH, LIST_OF_STRUCTS = b"\x11", b"\x49\xfc\xff\xff\xff\x07"
"""Fields as Thrift writes them: one that is true, and the row groups, which are said to be 16 million."""


def page_of_flags() -> bytes:
    """A good parquet file whose first page begins with nothing but fields that are true."""
    data = parquet_bytes([bytes(3 * MEBIBYTE), image_bytes()], [0, 1], compression="none", use_dictionary=False)
    return data[:4] + TRUTH * 3 * MEBIBYTE + data[4 + 3 * MEBIBYTE :]


SWELLING_PARQUETS = (
    no_dataset("parquet-of-four-million-fields", "2,000,000 values", lambda: parquet_of(TRUTH * 4_000_000)),
    no_dataset(
        "parquet-of-a-million-row-groups",
        "500,000 values that matter",
        lambda: parquet_of(LIST_OF_STRUCTS + b"\x31\0" * 1_000_000),
    ),
    no_dataset("parquet-page-of-three-million-fields", "1,000 values", page_of_flags),
)

SWELLING_FILES = (*SWELLING_ZIPS, *SWELLING_IMAGES, *SWELLING_ARRAYS, *SWELLING_PARQUETS)
