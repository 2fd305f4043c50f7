"""Zip files of class folders: ``CLASS/image``, tolerated under one common folder."""

import bisect
import functools
import io
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import BinaryIO

from registry.dataset_formats.candidates import (
    BrokenImageError,
    Candidate,
    DatasetLimits,
    Finding,
    Pixels,
    Source,
    pointer_to,
)
from registry.dataset_formats.images import ACCEPTED, SUFFIXES, decode_image, looks_like_image
from registry.dataset_formats.zip_directory import EXTRA_ENTRIES, open_archive
from registry.errors import InvalidDatasetError, TooLargeError
from registry.fault_list import FaultList
from registry.records import LeftOut

LAYOUT = "put every image into the folder of its class: cat/1.png, cat/2.png, dog/1.png"
SYSTEM_FILES = frozenset({"thumbs.db", "desktop.ini"})
PIECE_BYTES = 256 * 1024

_READING_ERRORS = (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError, ValueError)


@dataclass(frozen=True, slots=True)
class _Entry:
    """One image file of the archive, and the folders and name it is under."""

    info: zipfile.ZipInfo
    parts: tuple[str, ...]


def open_zip(file: BinaryIO, *, limits: DatasetLimits, labelled: bool) -> Source:
    """Open a zip of images; with labels, each image stands in the folder of its class.

    Raises:
        InvalidDatasetError: the archive or its layout is not acceptable; a fault for each thing.
        TooLargeError: it has too many or too large entries.
    """
    archive = open_archive(
        file,
        entry_limit=limits.examples + EXTRA_ENTRIES,
        unpacked_limit_bytes=limits.unpacked_bytes,
    )
    entries, left_out = _sorted_out(archive)
    if len(entries) > limits.examples:
        raise TooLargeError(f"the zip file has {len(entries):,} images; at most {limits.examples:,} are allowed")
    if labelled:
        entries = _below_common_folder(entries)
        _check_layout(entries)
    return Source("zip", len(entries), _findings(archive, entries, left_out, limits=limits, labelled=labelled))


def _sorted_out(archive: zipfile.ZipFile) -> tuple[list[_Entry], list[LeftOut]]:
    """Image files by name, and everything else with the reason why it is none."""
    entries: list[_Entry] = []
    left_out: list[LeftOut] = []
    folders, files = _by_kind(archive)
    for info in files:
        parts = _parts(info)
        reason = _why_no_image(archive, info, parts)
        if reason:
            left_out.append(LeftOut(item=info.filename, reason=reason))
        else:
            entries.append(_Entry(info, parts))
    left_out += [LeftOut(item=folder.filename, reason="empty folder") for folder in _empty(folders, files)]
    return sorted(entries, key=lambda entry: entry.parts), left_out


def _by_kind(archive: zipfile.ZipFile) -> tuple[list[zipfile.ZipInfo], list[zipfile.ZipInfo]]:
    """The archive's entries for folders, and those for files."""
    entries = archive.infolist()
    return [entry for entry in entries if entry.is_dir()], [entry for entry in entries if not entry.is_dir()]


def _parts(info: zipfile.ZipInfo) -> tuple[str, ...]:
    """Folders and name of an entry, without steps that lead nowhere."""
    return tuple(part for part in info.filename.split("/") if part not in ("", "."))


def _empty(folders: list[zipfile.ZipInfo], files: list[zipfile.ZipInfo]) -> Iterator[zipfile.ZipInfo]:
    """Folders without a file in them or below.

    In a sorted list of paths a folder's files stand together, right behind the place of its own path. A set of all
    the folders that files are in would grow with each part of each path.
    """
    paths = sorted("/".join(_parts(file)) for file in files) if folders else []
    for folder in folders:
        path = "".join(f"{part}/" for part in _parts(folder))
        behind = bisect.bisect_left(paths, path)
        if not any(found.startswith(path) for found in paths[behind : behind + 1]):
            yield folder


def _why_no_image(archive: zipfile.ZipFile, info: zipfile.ZipInfo, parts: tuple[str, ...]) -> str:
    """Why a file is left out; empty for an image, told by its name or else by its first bytes."""
    if "__MACOSX" in parts:
        return "a file of macOS"
    if any(part.startswith(".") for part in parts):
        return "hidden"
    if parts[-1].lower() in SYSTEM_FILES:
        return "a file of Windows"
    if PurePosixPath(parts[-1]).suffix.lower() in SUFFIXES:
        return ""
    try:
        with archive.open(info) as stream:
            return "" if looks_like_image(stream.read(16)) else f"not an image ({ACCEPTED})"
    except _READING_ERRORS:
        return "not an image, and damaged"


def _below_common_folder(entries: list[_Entry]) -> list[_Entry]:
    """Without the one folder that everything is in, where there is one above the class folders."""
    common = {entry.parts[0] for entry in entries}
    if len(common) != 1 or any(len(entry.parts) < 3 for entry in entries):
        return entries
    return [_Entry(entry.info, entry.parts[1:]) for entry in entries]


def _check_layout(entries: list[_Entry]) -> None:
    """Raises InvalidDatasetError unless every image stands in the folder of its class, not above or deeper."""
    if not entries:
        raise InvalidDatasetError(f"the zip file has no images; {LAYOUT}")
    faults = FaultList("wrong_place")
    for entry in entries:
        if len(entry.parts) != 2:
            item = entry.info.filename
            faults.add(pointer_to(item), f"{item!r} is {'in no folder' if len(entry.parts) < 2 else 'too deep'}")
    if faults.count:
        raise InvalidDatasetError(
            f"{faults.count:,} images are not in a class folder: {faults.told()}; {LAYOUT}",
            faults=faults.faults(),
        )


def _findings(
    archive: zipfile.ZipFile,
    entries: list[_Entry],
    left_out: list[LeftOut],
    *,
    limits: DatasetLimits,
    labelled: bool,
) -> Iterator[Finding]:
    yield from left_out
    for entry in entries:
        load = functools.partial(_load, archive, entry.info, limits)
        yield Candidate(entry.info.filename, entry.parts[0] if labelled else None, load)


def _load(archive: zipfile.ZipFile, info: zipfile.ZipInfo, limits: DatasetLimits) -> Pixels:
    if info.file_size > limits.image_file_bytes:
        raise TooLargeError(
            f"image {info.filename!r} has {info.file_size:,} bytes; at most {limits.image_file_bytes:,} are allowed"
        )
    try:
        data = _unpacked(archive, info)
    except _READING_ERRORS as error:
        raise BrokenImageError(f"is damaged in the archive: {str(error)[:200]}") from error
    return decode_image(data, item=info.filename, pixel_limit=limits.image_pixels)


def _unpacked(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """The bytes of an entry, as many as the directory says it has; where there are more, its checksum is wrong.

    They come in pieces, for a read without a bound unpacks everything before Python cuts it to that size. The read
    that finds nothing left is the one that compares the checksum of an entry said to be empty.
    """
    data = io.BytesIO()
    with archive.open(info) as stream:
        shutil.copyfileobj(stream, data, PIECE_BYTES)
    return data.getvalue()
