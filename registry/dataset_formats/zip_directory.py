"""The directory of a zip file: measured and walked before Python's reader holds it, every name judged.

Python's reader keeps some hundred bytes for each entry, so entries are counted first. Archives must be plain:
one part, nothing before or behind, so that every reader sees the same entries.
"""

import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO

from registry.dataset_formats.candidates import pointer_to
from registry.errors import InvalidDatasetError, TooLargeError
from registry.fault_list import FaultList
from registry.tensor_file import size_of

_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_ENTRY_BYTES = 46
_COMMENT_LIMIT = 65_535
_DRIVE = re.compile(r"[A-Za-z]:")
NAME_LIMIT = 1_000
PART_LIMIT = 200
FOLDERS_LIMIT = 30
EXTRA_ENTRIES = 10_000


@dataclass(frozen=True, slots=True)
class _Place:
    """Where the directory stands."""

    start: int
    end: int


def entry_names(file: BinaryIO, *, entry_limit: int) -> Iterator[bytes]:
    """Walk the directory and give each entry's raw name.

    Raises:
        InvalidDatasetError: the archive is damaged or not plain.
        TooLargeError: it has more entries than the limit.
    """
    place = _find_directory(file)
    position, count = place.start, 0
    while position < place.end:
        file.seek(position)
        entry = file.read(_ENTRY_BYTES)
        if len(entry) < _ENTRY_BYTES or not entry.startswith(b"PK\x01\x02"):
            raise _damaged("its directory is damaged")
        count += 1
        if count > entry_limit:
            raise TooLargeError(f"the zip file has more than {entry_limit:,} entries, the most that are allowed")
        lengths = struct.unpack_from("<3H", entry, 28)
        yield file.read(lengths[0])
        position += _ENTRY_BYTES + sum(lengths)
    if position != place.end:
        raise _damaged("its directory is damaged")


def _find_directory(file: BinaryIO) -> _Place:
    """Find the directory from the record at the archive's end. Raises InvalidDatasetError."""
    size = size_of(file)
    tail_start = max(0, size - _END.size - _COMMENT_LIMIT)
    file.seek(tail_start)
    tail = file.read()
    found = len(tail) - _END.size
    if not (tail[found:].startswith(b"PK\x05\x06") and tail.endswith(b"\0\0")):
        found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise _damaged("it has no directory; it may be cut off")
    end = tail_start + found
    _, disk, first_disk, here, total, size_bytes, start, comment = _END.unpack_from(tail, found)
    if comment != len(tail) - found - _END.size or disk != first_disk or here != total:
        raise _damaged("it has parts elsewhere, or bytes behind its end")
    large = _find_large_directory(file, end)
    place = large or _Place(start, start + size_bytes)
    if place.end != end - (_LOCATOR.size + _END_64.size if large else 0) or place.start < 0:
        raise _damaged("it has bytes before its beginning, or is cut off")
    return place


def _find_large_directory(file: BinaryIO, end: int) -> _Place | None:
    """The directory as the records for large archives tell it; None where there are none."""
    if end < _LOCATOR.size + _END_64.size:
        return None
    file.seek(end - _LOCATOR.size - _END_64.size)
    record, locator = file.read(_END_64.size), file.read(_LOCATOR.size)
    if not locator.startswith(b"PK\x06\x07"):
        return None
    if not record.startswith(b"PK\x06\x06"):
        raise _damaged("its record for large archives is damaged")
    size_bytes, start = _END_64.unpack(record)[-2:]
    return _Place(start, start + size_bytes)


def _damaged(why: str) -> InvalidDatasetError:
    return InvalidDatasetError(f"the zip file cannot be read: {why}; make it again with an ordinary zip program")


def open_archive(file: BinaryIO, *, entry_limit: int, unpacked_limit_bytes: int) -> zipfile.ZipFile:
    """Open a zip file whose entries are few enough, small enough, and have names that mean one thing.

    Raises:
        InvalidDatasetError: the archive is damaged, entries overlap, or names are unsafe; a fault for each name.
        TooLargeError: too many entries, or too many bytes when unpacked, as the directory says; entries that
            hold more than it says are cut off there and fail their checksum.
    """
    counted = sum(1 for _ in entry_names(file, entry_limit=entry_limit))
    file.seek(0)
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, NotImplementedError, ValueError, EOFError, struct.error) as error:
        raise _damaged(str(error)[:200]) from error
    entries = archive.infolist()
    if len(entries) != counted:
        raise _damaged("its directory can be read in two ways")
    _check_sizes(entries, size_bytes=size_of(file), unpacked_limit_bytes=unpacked_limit_bytes)
    _check_names(entries)
    return archive


def _check_sizes(entries: list[zipfile.ZipInfo], *, size_bytes: int, unpacked_limit_bytes: int) -> None:
    unpacked_bytes = sum(entry.file_size for entry in entries)
    if unpacked_bytes > unpacked_limit_bytes:
        raise TooLargeError(
            f"the zip file of {size_bytes:,} bytes unpacks to {unpacked_bytes:,}; "
            f"at most {unpacked_limit_bytes:,} are allowed"
        )
    packed_bytes = sum(entry.compress_size for entry in entries)
    if packed_bytes > size_bytes:
        raise InvalidDatasetError(
            f"the entries of the zip file overlap: they take {packed_bytes:,} bytes of a file of {size_bytes:,}; "
            "make it again with an ordinary zip program"
        )


def _check_names(entries: list[zipfile.ZipInfo]) -> None:
    faults = FaultList("unsafe_name")
    seen: set[str] = set()
    for entry in entries:
        reason = _entry_fault(entry) or ("is there twice" if entry.filename in seen else "")
        seen.add(entry.filename)
        if reason:
            item = entry.orig_filename[:PART_LIMIT]
            faults.add(pointer_to(item), f"{item!r} {reason}")
    if faults.count:
        raise InvalidDatasetError(
            f"the zip file has entries that are not taken: {faults.told()}; zip a plain folder of images",
            faults=faults.faults(),
        )


def _entry_fault(entry: zipfile.ZipInfo) -> str:
    """Why an entry is refused; empty where nothing is wrong with it."""
    kind = stat.S_IFMT(entry.external_attr >> 16)
    if kind == stat.S_IFLNK:
        return "is a symbolic link"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is no ordinary file"
    if entry.flag_bits & 0x41:
        return "is encrypted"
    if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is compressed by method {entry.compress_type}; use deflate"
    return _name_fault(entry.orig_filename)


def _name_fault(name: str) -> str:
    parts = name.removesuffix("/").split("/")
    if name.startswith("/") or _DRIVE.match(name):
        return "has an absolute path"
    if ".." in parts:
        return "leads out of its folder by '..'"
    if "\\" in name:
        return "has a backslash; separate folders by '/'"
    if "" in parts or not name.isprintable():
        return "has an empty or unprintable part"
    if len(name) > NAME_LIMIT or max(map(len, parts)) > PART_LIMIT:
        return f"has a part of more than {PART_LIMIT} characters, or more than {NAME_LIMIT} in all"
    if len(parts) - 1 > FOLDERS_LIMIT:
        return f"is in {len(parts) - 1} folders, one in the other; at most {FOLDERS_LIMIT} are taken, move it up"
    return ""
