"""What an upload is, told by its bytes and never by its name."""

from typing import BinaryIO

from registry.dataset_formats.candidates import Format
from registry.dataset_formats.images import ACCEPTED as IMAGES_ACCEPTED
from registry.dataset_formats.images import looks_like_image
from registry.dataset_formats.zip_directory import entry_names
from registry.errors import InvalidDatasetError

ACCEPTED = "a zip of class folders, a parquet file with an image and a label column, or npz or safetensors arrays"
ACCEPTED_UNLABELLED = (
    f"an image ({IMAGES_ACCEPTED}), a zip of images, a parquet file with an image column, or npz or safetensors "
    "with an array of images"
)
ENTRIES_LIMIT = 2_000_000
HEAD_BYTES = 512
SHOWN_BYTES = 12

OTHERS = {
    b"\x1f\x8b": "a gzip file",
    b"\x93NUMPY": "a single npy array (save images and labels together with np.savez)",
    b"\x80": "a pickle, which could run code",
    b"%PDF": "a PDF",
    b"7z\xbc\xaf": "a 7z archive",
    b"Rar!": "a rar archive",
    b"\xfd7zXZ": "an xz file",
    b"BZh": "a bzip2 file",
    b"\x28\xb5\x2f\xfd": "a zstd file",
    b"PARE": "an encrypted parquet file",
    b"\x89HDF": "an HDF5 file",
    b"ARROW1": "an Arrow file",
    b"II*\0": "a TIFF image",
    b"MM\0*": "a TIFF image",
}
"""Formats that people send by mistake, by their first bytes."""


def detect_format(file: BinaryIO, *, labelled: bool = True) -> Format:
    """Tell what an upload is by its first bytes and, for zip files, by the names inside.

    Args:
        file: seekable.
        labelled: whether it should have labels, for the sentence that says what is accepted.

    Raises:
        InvalidDatasetError: it is nothing that is accepted; the sentence says what it looks like.
    """
    file.seek(0)
    head = file.read(HEAD_BYTES)
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "npz" if _holds_arrays(file) else "zip"
    if head.startswith(b"PAR1"):
        return "parquet"
    if len(head) > 8 and head[8:9] == b"{" and head[5:8] == b"\0\0\0":
        return "safetensors"
    if looks_like_image(head):
        return "image"
    raise InvalidDatasetError(f"the upload is {_name_of(head)}; send {ACCEPTED if labelled else ACCEPTED_UNLABELLED}")


def _holds_arrays(file: BinaryIO) -> bool:
    """Whether a zip file has files, and all of them are arrays."""
    count = 0
    for name in entry_names(file, entry_limit=ENTRIES_LIMIT):
        if not name.endswith(b".npy"):
            return False
        count += 1
    return count > 0


def _name_of(head: bytes) -> str:
    """What a file seems to be that is not accepted."""
    if not head:
        return "empty"
    for magic, name in OTHERS.items():
        if head.startswith(magic):
            return name
    if head[257:262] == b"ustar":
        return "a tar archive"
    if head.lstrip()[:1] == b"<":
        return "an HTML or XML page"
    return f"of no known format (it begins with {_beginning(head[:SHOWN_BYTES])})"


def _beginning(head: bytes) -> str:
    """The first bytes for people: as text where they are printable ASCII, else as numbers."""
    text = head.decode("ascii", errors="replace").rstrip()
    if text.isascii() and text.isprintable() and text:
        return f'the text "{text}"'
    return f"the bytes {head.hex(' ')}"
