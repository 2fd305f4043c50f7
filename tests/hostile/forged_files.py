"""Hostile datasets, second folder: what a patient attacker forges by hand in zips, images, tables and arrays."""

import io
import struct
import unicodedata
import zlib
from collections.abc import Callable

import numpy as np
from PIL import Image

from tests.hostile.dataset_files import npz_of_header, patched, png_header, with_entry
from tests.hostile.files import HostileFile, no_dataset, too_large
from tests.registry.dataset_samples import (
    MEBIBYTE,
    folders,
    image_bytes,
    npz_bytes,
    parquet_bytes,
    pixels,
    tensor_bytes,
    zip_bytes,
)

Make = Callable[[], bytes]
LABELS = np.array([0, 1, 0, 1])
SMALL = np.zeros((4, 8, 8), dtype=np.uint8)
END_BYTES = 22


def nested_zips(depth: int) -> bytes:
    """A zip in a zip in a zip, which a reader that goes down would never leave."""
    data = zip_bytes(folders())
    for _ in range(depth):
        data = zip_bytes({"cat/0.zip": data, "cat/1.zip": data})
    return data


def zip64_of_entries(count: int) -> bytes:
    """A zip whose zip64 end says that it has so many entries."""
    data = zip_bytes(folders())
    end, directory = data[-END_BYTES:], data.index(b"PK\x01\x02")
    size = len(data) - END_BYTES - directory
    head = struct.pack("<HHLL", 45, 45, 0, 0)
    zip64 = b"PK\x06\x06" + struct.pack("<Q", 44) + head + struct.pack("<QQQQ", count, count, size, directory)
    place = b"PK\x06\x07" + struct.pack("<LQL", 0, len(data) - END_BYTES, 1)
    last = end[:8] + b"\xff\xff\xff\xff" + b"\xff" * 8 + end[20:]
    return data[:-END_BYTES] + zip64 + place + last


def name_in_bytes(name: bytes) -> bytes:
    """A zip with an entry whose name is these 9 bytes, wherever it stands."""
    return with_entry("cat/z.png").replace(b"cat/z.png", name)


def one_name_in_two_forms() -> bytes:
    """Two classes whose names look alike: composed, and decomposed."""
    names = [unicodedata.normalize(form, "caf\u00e9") for form in ("NFC", "NFD")]
    return zip_bytes({f"{name}/{number}.png": image_bytes() for name in names for number in range(2)})


def other_format(name: str) -> Make:
    """A good image in a format that is not on the list, called .png."""

    def make() -> bytes:
        out = io.BytesIO()
        Image.fromarray(pixels(64, 64, 3)).save(out, name)
        return with_entry("cat/bad.png", out.getvalue())

    return make


def png_with(kind: bytes, body: bytes) -> bytes:
    """A good PNG with one more chunk behind its head."""
    chunk = struct.pack(">L", len(body)) + kind + body + struct.pack(">L", zlib.crc32(kind + body))
    good = image_bytes()
    return good[:33] + chunk + good[33:]


def profile_bomb() -> bytes:
    """A PNG whose colour profile unpacks to 200 MiB."""
    return png_with(b"iCCP", b"icc\0\0" + zlib.compress(bytes(200 * MEBIBYTE), 9))


def bmp_of(width: int, height: int) -> bytes:
    info = struct.pack("<LllHHLLllLL", 40, width, height, 1, 24, 0, 0, 0, 0, 0, 0)
    return b"BM" + struct.pack("<LHHL", 54, 0, 0, 54) + info


def jpeg_of(width: int, height: int) -> bytes:
    """A JPEG whose head says that it has this size."""
    data = bytearray(image_bytes(name="JPEG"))
    place = data.index(b"\xff\xc0") + 5
    data[place : place + 4] = struct.pack(">HH", height, width)
    return bytes(data)


def npy_header(descr: str, shape: str) -> Make:
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}"
    return lambda: npz_of_header(text, bytes(256))


def npy_labels(descr: str, data: bytes) -> Make:
    """An npz whose labels are of this type and these bytes."""
    text = f"{{'descr': {descr}, 'fortran_order': False, 'shape': (4,), }}".encode()
    labels = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + data
    images = io.BytesIO()
    np.save(images, SMALL)
    return lambda: zip_bytes({"images.npy": images.getvalue(), "labels.npy": labels})


def parquet_of(footer: bytes) -> bytes:
    return b"PAR1" + bytes(64) + footer + struct.pack("<L", len(footer)) + b"PAR1"


def image(name: str, says: str, data: Make, kind: Callable[..., HostileFile] = no_dataset) -> HostileFile:
    """A dataset with one hostile image in it."""
    return kind(name, says, lambda: with_entry(f"cat/bad.{name.partition('-')[0]}", data()))


FORGED_ZIPS = (
    no_dataset("zips-in-zips", "no images", lambda: nested_zips(6)),
    no_dataset("zip-name-with-nul", "unprintable", lambda: name_in_bytes(b"cat/\0.png")),
    no_dataset("zip-name-not-utf8", "unprintable", lambda: name_in_bytes(b"c\xff\xfe/z.png")),
    no_dataset("zip-name-with-escape-sequence", "unprintable", lambda: name_in_bytes(b"cat/\x1b[2Jg")),
    no_dataset("zip-classes-that-look-alike", "two ways", one_name_in_two_forms),
    no_dataset("zip-entry-behind-the-end", "Truncated", lambda: patched(zip_bytes(folders()), 42, b"\xff\xff\xff\x7f")),
    no_dataset(
        "zip-entry-in-the-directory", "Bad magic", lambda: patched(zip_bytes(folders()), 42, struct.pack("<L", 400))
    ),
    no_dataset("zip-with-an-absurd-method", "method 99", lambda: patched(zip_bytes(folders()), 10, b"\x63\0")),
)

FORGED_IMAGES = (
    *(
        no_dataset(f"image-{name.lower()}", "no image", other_format(name))
        for name in ("TIFF", "ICNS", "ICO", "TGA", "PCX", "SGI", "PDF", "JPEG2000", "DDS", "EPS")
    ),
    image("png-profile-bomb", "too large", profile_bomb),
    image("png-of-2-to-the-31-in-one-row", "2,147,483,647", lambda: png_header(2**31 - 1, 1), too_large),
    image("png-of-one-column", "2,147,483,647", lambda: png_header(1, 2**31 - 1), too_large),
    image("bmp-of-giant-height", "2,147,483,648", lambda: bmp_of(1, -(2**31)), too_large),
    image("bmp-of-giant-sides", "4,611,686,014,132,420,609", lambda: bmp_of(2**31 - 1, 2**31 - 1), too_large),
    image("ppm-of-giant-sides", "9,999,800,001", lambda: b"P6 99999 99999 255\n" + bytes(100), too_large),
    image("ppm-of-endless-number", "too long", lambda: b"P6 " + b"9" * 100_000 + b" 1 255\n"),
    image("jpg-of-giant-sides", "4,294,836,225", lambda: jpeg_of(65_535, 65_535), too_large),
    image("jpg-within-the-limit-without-data", "cannot be decoded", lambda: jpeg_of(999, 999)[:300]),
)

FORGED_ARRAYS = (
    no_dataset("npy-of-giant-texts", "8,589,934,588", npy_header("'|S2147483647'", "(4,)")),
    no_dataset("npy-of-fields", "pickled objects", npy_header("[('a', '|u1'), ('b', '|O')]", "(4,)")),
    no_dataset("npy-of-arrays-in-arrays", "4,000,000,000", npy_header("('|u1', (1000000000,))", "(4,)")),
    no_dataset("npy-with-a-number-beyond-all", "about 2**1329", npy_header("'|u1'", f"({'9' * 400}, 8, 8)")),
    no_dataset(
        "npy-that-overflows-a-product", "73,786,976,294,838,206,464", npy_header("'|u1'", "(4294967296, 4294967296, 4)")
    ),
    no_dataset("npy-of-a-thousand-sides", "images", npy_header("'|u1'", "(" + "1," * 1000 + ")")),
    no_dataset("npy-header-nested-deeply", "cannot be read", lambda: npz_of_header("(" * 4000 + ")" * 4000)),
    no_dataset("npy-header-of-signs", "cannot be read", lambda: npz_of_header("-" * 9000 + "1")),
    no_dataset("npy-of-big-endian-objects", "pickled objects", npy_header("'>O'", "(4,)")),
    no_dataset("npy-of-sides-of-thousands-of-digits", "2**13292", npy_header("'|u1'", f"({'9' * 4001}, {'9' * 4001})")),
    no_dataset("npy-of-a-side-in-hexadecimal", "about 2**36000", npy_header("'|u1'", f"(0x{'f' * 9000}, 8, 8)")),
    no_dataset("npy-header-that-never-ends", "describes no array", lambda: npz_of_header("{'descr': (")),
    no_dataset("npy-header-of-parentheses", "describes no array", lambda: npz_of_header("(" * 4000)),
    no_dataset("npy-header-of-an-open-text", "describes no array", lambda: npz_of_header("{'descr': '''")),
    no_dataset("npy-header-of-keys-without-order", "describes no array", lambda: npz_of_header("{1: 2, 'descr': 3}")),
    no_dataset("npy-header-of-a-list-as-key", "describes no array", lambda: npz_of_header("{[]: 1}")),
    no_dataset("npy-of-a-field-of-three-names", "describes no array", npy_header("[((1, 2, 3), '|u1')]", "(4,)")),
    no_dataset("npy-labels-without-characters", "1 to 200 characters", npy_labels("'|S0'", b"")),
    no_dataset("npy-labels-without-wide-characters", "1 to 200 characters", npy_labels("'<U0'", b"")),
    no_dataset("npy-labels-beyond-unicode", "row 0", npy_labels("'<U1'", b"\xff" * 16)),
    no_dataset("npy-labels-beyond-unicode-backwards", "row 0", npy_labels("'>U1'", b"\x01\x02\x03\x04" * 4)),
    no_dataset("npz-of-a-label-of-301-digits", "10**300", lambda: npz_bytes(images=SMALL, labels=[0, 1e300, 1, 1])),
    no_dataset("parquet-of-a-label-of-301-digits", "10**300", lambda: parquet_bytes([image_bytes()] * 2, [0.0, 1e300])),
    no_dataset(
        "npz-of-pixels-beyond-float64", "inf", lambda: npz_bytes(images=SMALL + np.longdouble("1e4000"), labels=LABELS)
    ),
    no_dataset(
        "tensors-with-bytes-between",
        "belong to no tensor",
        lambda: tensor_bytes(images=np.zeros((4, 8, 8), np.uint8), labels=LABELS).replace(b"[0,32]", b"[8,40]"),
    ),
)

FLAGS = b"\x19\xf1\xff\xff\xff\x07" + b"\x01" * 3_000_000

FORGED_PARQUETS = (
    no_dataset("parquet-nested-deeply", "too deeply", lambda: parquet_of(b"\x1c" * 100_000)),
    no_dataset("parquet-of-endless-lists", "too deeply", lambda: parquet_of(b"\x19\xf9\xff\xff\xff\xff\x0f" * 20_000)),
    no_dataset(
        "parquet-of-two-million-flags",
        "2,000,000 values",
        lambda: parquet_of(FLAGS),
    ),
    no_dataset("parquet-of-an-endless-number", "too long", lambda: parquet_of(b"\x15" + b"\xff" * 10_000)),
    no_dataset("parquet-of-an-empty-footer", "ends early", lambda: parquet_of(b"")),
    no_dataset("parquet-of-a-footer-that-says-nothing", "field 3", lambda: parquet_of(b"\0")),
    no_dataset("parquet-of-nothing-but-marks", "8 bytes", lambda: b"PAR1PAR1"),
)

FORGED_FILES = (*FORGED_ZIPS, *FORGED_IMAGES, *FORGED_ARRAYS, *FORGED_PARQUETS)
