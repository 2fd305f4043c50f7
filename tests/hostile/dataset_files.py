"""Hostile datasets: archives that lead elsewhere or unpack to too much, images and arrays that lie about themselves."""

import io
import pickle
import stat
import struct
import tarfile
import zipfile
import zlib

import numpy as np
import pyarrow as pa

from tests.hostile.files import no_dataset, too_large
from tests.registry.dataset_samples import (
    MEBIBYTE,
    folders,
    image_bytes,
    npz_bytes,
    parquet_bytes,
    pixels,
    table_bytes,
    tensor_bytes,
    zip_bytes,
)

IMAGES = np.zeros((4, 8, 8), dtype=np.uint8)
LABELS = np.array([0, 1, 0, 1])


def with_entry(name: str, data: bytes = b"x") -> bytes:
    """A good zip with one more entry, whose name is written as it is."""
    return zip_bytes({**folders(), name: data})


def with_symlink() -> bytes:
    out = io.BytesIO(zip_bytes(folders()))
    with zipfile.ZipFile(out, "a") as archive:
        info = zipfile.ZipInfo("cat/link.png")
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
    return out.getvalue()


def with_name_twice() -> bytes:
    return zip_bytes({**folders(), "cat/x.png": image_bytes()}).replace(b"cat/x.png", b"cat/0.png")


def patched(data: bytes, offset: int, value: bytes) -> bytes:
    """The bytes with others at an offset within the first entry of the zip's directory."""
    place = data.index(b"PK\x01\x02") + offset
    return data[:place] + value + data[place + len(value) :]


def lying_bomb() -> bytes:
    """An entry that says it has 100 bytes and holds two mebibytes."""
    data = zip_bytes({"cat/x.png": bytes(2 * MEBIBYTE), **folders()})
    return patched(data, 24, struct.pack("<L", 100))


def overlapping_entries() -> bytes:
    """Many entries that all share the bytes of one."""
    files = {f"cat/{index}.png": b"" for index in range(50)}
    data = zip_bytes({"dog/0.png": image_bytes(pixels(100, 100, 3)), **files}, method=zipfile.ZIP_STORED)
    size = struct.pack("<LL", len(data) // 2, len(data) // 2)
    start = data.index(b"PK\x01\x02")
    entries = data[start:].split(b"PK\x01\x02")
    patched_entries = [entry[:16] + size + entry[24:] if len(entry) > 40 else entry for entry in entries]
    return data[:start] + b"PK\x01\x02".join(patched_entries)


def png_header(width: int, height: int) -> bytes:
    """A PNG of any size without its pixels."""
    chunk = b"IHDR" + struct.pack(">LLBBBBB", width, height, 8, 2, 0, 0, 0)
    head = b"\x89PNG\r\n\x1a\n" + struct.pack(">L", 13) + chunk + struct.pack(">L", zlib.crc32(chunk))
    pixels_chunk = b"IDAT" + zlib.compress(bytes(1000))
    return head + struct.pack(">L", len(pixels_chunk) - 4) + pixels_chunk + struct.pack(">L", zlib.crc32(pixels_chunk))


def png_text_bomb() -> bytes:
    """A PNG with a compressed text that unpacks to 100 MiB."""
    good = image_bytes()
    chunk = b"zTXtcomment\0\0" + zlib.compress(bytes(100 * MEBIBYTE), 9)
    text = struct.pack(">L", len(chunk) - 4) + chunk + struct.pack(">L", zlib.crc32(chunk))
    return good[:33] + text + good[33:]


def gif_of_one_giant_frame() -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", 1, 1, 0, 0, 0)
    return head + b"," + struct.pack("<HHHHB", 0, 0, 65535, 65535, 0) + b"\x02\x02\x44\x01\x00;"


def pickled_array() -> bytes:
    return npz_bytes(images=np.array([object()] * 2 + [None] * 2, dtype=object), labels=LABELS)


def npz_of_header(header: str, data: bytes = b"") -> bytes:
    """An npz whose images have this header."""
    text = header.encode()
    array = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data
    labels = io.BytesIO()
    np.save(labels, LABELS)
    return zip_bytes({"images.npy": array, "labels.npy": labels.getvalue()})


def tar_bytes() -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("cat/0.png"))
    return out.getvalue()


def parquet_with_lying_footer() -> bytes:
    data = parquet_bytes([image_bytes()] * 2, [0, 1])
    return data[:-8] + struct.pack("<L", 2**31) + b"PAR1"


def parquet_bomb() -> bytes:
    """One value of 80 MiB that packs to almost nothing."""
    return parquet_bytes([bytes(80 * MEBIBYTE), image_bytes()], [0, 1], compression="zstd", use_dictionary=False)


ZIPS = (
    no_dataset("zip-slip", "'..'", lambda: with_entry("../../evil.png")),
    no_dataset("zip-slip-within", "'..'", lambda: with_entry("cat/../../evil.png")),
    no_dataset("absolute-path", "absolute", lambda: with_entry("/etc/cron.d/evil.png")),
    no_dataset("drive-letter", "absolute", lambda: with_entry("C:/evil.png")),
    no_dataset("backslash", "backslash", lambda: with_entry("cat\\evil.png")),
    no_dataset("unprintable-name", "unprintable", lambda: with_entry("cat/a\nb.png")),
    no_dataset("name-too-long", "200 characters", lambda: with_entry("c" * 300 + "/1.png")),
    no_dataset("symlink", "symbolic link", with_symlink),
    no_dataset("name-twice", "twice", with_name_twice),
    no_dataset("encrypted", "encrypted", lambda: patched(zip_bytes(folders()), 8, b"\x01\0")),
    no_dataset("lzma", "deflate", lambda: zip_bytes(folders(), method=zipfile.ZIP_LZMA)),
    too_large("zip-bomb", "67,108,864", lambda: with_entry("dog/x.png", bytes(65 * MEBIBYTE))),
    too_large("zip-bomb-declared-only", "67,108,864", lambda: patched(zip_bytes(folders()), 24, b"\xff\xff\xff\x7f")),
    no_dataset("zip-bomb-that-lies", "cat/x.png", lying_bomb),
    no_dataset("overlapping-entries", "overlap", overlapping_entries),
    too_large(
        "too-many-entries", "12,000 entries", lambda: zip_bytes({f"{index}.txt": b"" for index in range(12_001)})
    ),
    too_large("too-many-images", "at most 2,000", lambda: zip_bytes({f"a/{index}.png": b"" for index in range(2_001)})),
    too_large(
        "too-many-classes", "50 classes", lambda: zip_bytes({f"{index}/0.png": image_bytes() for index in range(51)})
    ),
    no_dataset("empty-zip", "no images", lambda: zip_bytes({})),
    no_dataset("zip-without-images", "no images", lambda: zip_bytes({"cat/README.txt": b"x"})),
    no_dataset(
        "no-classes", "folder of its class", lambda: zip_bytes({"1.png": image_bytes(), "2.png": image_bytes()})
    ),
    no_dataset("one-class", "'cat'", lambda: zip_bytes(folders(classes=["cat"]))),
    no_dataset("too-deep", "too deep", lambda: zip_bytes({"a/b/c/1.png": image_bytes(), "a/b/d/1.png": image_bytes()})),
    no_dataset("cut-off-zip", "cut off", lambda: zip_bytes(folders())[:-30]),
    no_dataset("zip-behind-other-bytes", "before its beginning", lambda: b"PK\x03\x04junk" + zip_bytes(folders())),
    no_dataset("zip-before-other-bytes", "behind its end", lambda: zip_bytes(folders()) + b"junk"),
    no_dataset("damaged-directory", "directory", lambda: zip_bytes(folders()).replace(b"PK\x01\x02", b"PK\x01\x03")),
)

IMAGE_FILES = (
    no_dataset(
        "truncated-png", "cat/bad.png", lambda: with_entry("cat/bad.png", image_bytes(pixels(64, 64, 3))[:2000])
    ),
    no_dataset(
        "truncated-jpeg",
        "left out",
        lambda: with_entry("cat/bad.jpg", image_bytes(pixels(64, 64, 3), name="JPEG")[:900]),
    ),
    no_dataset("empty-image", "cat/bad.png", lambda: with_entry("cat/bad.png", b"")),
    no_dataset("text-named-png", "no image", lambda: with_entry("cat/bad.png", b"hello")),
    no_dataset(
        "postscript-named-png",
        "no image",
        lambda: with_entry("cat/bad.png", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n"),
    ),
    too_large("giant-png", "2,000 x 2,000", lambda: with_entry("cat/big.png", png_header(2000, 2000))),
    too_large("giant-png-beyond-pillow", "cat/big.png", lambda: with_entry("cat/big.png", png_header(60_000, 60_000))),
    no_dataset("giant-png-of-no-area", "cat/big.png", lambda: with_entry("cat/big.png", png_header(0, 2**31 - 1))),
    too_large("giant-gif-frame", "cat/big.gif", lambda: with_entry("cat/big.gif", gif_of_one_giant_frame())),
    no_dataset("png-text-bomb", "cat/bad.png", lambda: with_entry("cat/bad.png", png_text_bomb())),
    no_dataset("single-image", "no labels", image_bytes),
)

PARQUETS = (
    no_dataset("parquet-without-images", "a (int64)", lambda: table_bytes(pa.table({"a": [1, 2], "label": [0, 1]}))),
    no_dataset("parquet-without-labels", "label column", lambda: parquet_bytes([image_bytes()] * 2, None)),
    no_dataset(
        "parquet-with-null-label", "row 1: label is missing", lambda: parquet_bytes([image_bytes()] * 3, [0, None, 1])
    ),
    no_dataset(
        "parquet-with-negative-label", "row 2: label is -1", lambda: parquet_bytes([image_bytes()] * 3, [0, 1, -1])
    ),
    no_dataset(
        "parquet-with-nan-label", "row 1: label is nan", lambda: parquet_bytes([image_bytes()] * 2, [0.0, float("nan")])
    ),
    no_dataset("parquet-with-fractions", "row 1: label is 0.5", lambda: parquet_bytes([image_bytes()] * 2, [0.0, 0.5])),
    no_dataset("parquet-with-empty-text", "row 1", lambda: parquet_bytes([image_bytes()] * 2, ["a", ""])),
    no_dataset("parquet-with-null-image", "row 1 has no bytes", lambda: parquet_bytes([image_bytes(), None], [0, 1])),
    no_dataset("parquet-with-broken-image", "row 1", lambda: parquet_bytes([image_bytes(), b"x"], [0, 1])),
    too_large("parquet-with-too-many-rows", "2,001 rows", lambda: parquet_bytes([b""] * 2_001, [0] * 2_001)),
    too_large(
        "parquet-with-too-many-classes", "50 classes", lambda: parquet_bytes([image_bytes()] * 51, list(range(51)))
    ),
    no_dataset("parquet-of-one-class", "'cat'", lambda: parquet_bytes([image_bytes()] * 2, ["cat", "cat"])),
    too_large("parquet-bomb", "67,108,864", parquet_bomb),
    no_dataset("parquet-of-lying-footer", "footer", parquet_with_lying_footer),
    no_dataset("parquet-of-garbage", "cannot be read", lambda: b"PAR1" + bytes(500) + struct.pack("<L", 100) + b"PAR1"),
    no_dataset("parquet-cut-off", "footer", lambda: parquet_bytes([image_bytes()] * 2, [0, 1])[:-20]),
    no_dataset(
        "parquet-with-damaged-page",
        "cannot be read",
        lambda: b"PAR1" + b"\xff" * 60 + parquet_bytes([image_bytes()] * 2, [0, 1])[64:],
    ),
)

ARRAYS = (
    no_dataset("pickled-npy", "npy", lambda: b"\x93NUMPY\x01\x00" + pickle.dumps([1])),
    no_dataset("pickle", "pickle", lambda: pickle.dumps({"images": 1})),
    no_dataset("npz-of-pickled-objects", "pickled objects", pickled_array),
    no_dataset("npz-without-images", "x_train", lambda: npz_bytes(x_train=IMAGES, y_train=LABELS)),
    no_dataset(
        "npz-that-says-too-much",
        "40,000,000,000",
        lambda: npz_of_header("{'descr': '|u1', 'fortran_order': False, 'shape': (4, 100000, 100000), }"),
    ),
    no_dataset(
        "npz-of-negative-shape",
        "(-4, -8, 8)",
        lambda: npz_of_header("{'descr': '|u1', 'fortran_order': False, 'shape': (-4, -8, 8), }", bytes(256)),
    ),
    no_dataset("npz-header-of-code", "cannot be read", lambda: npz_of_header("__import__('os').system('true')")),
    no_dataset("npz-header-too-long", "cannot be read", lambda: npz_of_header(" " * 20_000)),
    no_dataset(
        "npz-of-columns", "ascontiguousarray", lambda: npz_bytes(images=np.asfortranarray(IMAGES), labels=LABELS)
    ),
    too_large(
        "npz-of-giant-images",
        "2,000 x 2,000",
        lambda: npz_bytes(images=np.zeros((2, 2000, 2000), np.uint8), labels=[0, 1]),
    ),
    too_large(
        "npz-bomb", "67,108,864", lambda: npz_bytes(images=np.zeros((68, 1000, 1000), np.uint8), labels=np.zeros(68))
    ),
    no_dataset("npz-of-flat-rows", "(n, h, w)", lambda: npz_bytes(images=np.zeros((4, 64), np.uint8), labels=LABELS)),
    no_dataset("npz-of-wide-floats", "from 16 to 16", lambda: npz_bytes(images=IMAGES + 16.0, labels=LABELS)),
    no_dataset("npz-of-nan-pixels", "nan", lambda: npz_bytes(images=IMAGES * np.nan, labels=LABELS)),
    no_dataset("npz-of-integers", "int64", lambda: npz_bytes(images=IMAGES.astype(np.int64), labels=LABELS)),
    no_dataset("npz-of-fewer-labels", "4 images", lambda: npz_bytes(images=IMAGES, labels=[0, 1])),
    no_dataset("npz-of-one-hot-labels", "one label for each", lambda: npz_bytes(images=IMAGES, labels=np.eye(4))),
    no_dataset("npz-of-nan-labels", "row 2: label is nan", lambda: npz_bytes(images=IMAGES, labels=[0, 1, np.nan, 1])),
    no_dataset(
        "npz-of-infinite-labels", "row 2: label is inf", lambda: npz_bytes(images=IMAGES, labels=[0, 1, np.inf, 1])
    ),
    no_dataset("npz-of-negative-labels", "row 1: label is -1", lambda: npz_bytes(images=IMAGES, labels=[0, -1, 1, 1])),
    no_dataset("npz-of-times-as-labels", "datetime64", lambda: npz_bytes(images=IMAGES, labels=LABELS.astype("M8[s]"))),
    no_dataset(
        "npz-of-long-texts", "200 characters", lambda: npz_bytes(images=IMAGES, labels=["a" * 300, "b", "c", "d"])
    ),
    too_large(
        "npz-of-too-many-classes",
        "50 classes",
        lambda: npz_bytes(images=np.zeros((51, 2, 2), np.uint8), labels=np.arange(51)),
    ),
    no_dataset("npz-of-no-images", "no images", lambda: npz_bytes(images=IMAGES[:0], labels=LABELS[:0])),
    no_dataset("tensors-without-labels", "labels", lambda: tensor_bytes(images=IMAGES)),
    no_dataset("tensors-cut-off", "cut off", lambda: tensor_bytes(images=IMAGES, labels=LABELS)[:-4]),
    no_dataset("tensors-header-larger-than-file", "cut off", lambda: b"\xff\xff\xff\xff\0\0\0\0{}"),
)

OTHERS = (
    no_dataset("empty-upload", "empty", lambda: b""),
    no_dataset("web-page", "HTML", lambda: b"<!DOCTYPE html><html></html>"),
    no_dataset("gzip", "gzip", lambda: b"\x1f\x8b\x08\0rest"),
    no_dataset("tar", "tar", tar_bytes),
    no_dataset("unknown-bytes", "hello", lambda: b"hello world"),
)

DATASET_FILES = (*ZIPS, *IMAGE_FILES, *PARQUETS, *ARRAYS, *OTHERS)
