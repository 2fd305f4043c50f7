"""A folder of class folders as one zip file: the same folder always gives the same bytes."""

import os
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from registry.errors import InvalidDatasetError

LONG_AGO = (1980, 1, 1, 0, 0, 0)
CHUNK_BYTES = 1024 * 1024
SHOWN_NAMES = 3


@contextmanager
def as_file(data: Path) -> Iterator[Path]:
    """A dataset as one file: itself, or, of a folder, a zip that is gone afterwards.

    Raises:
        FileNotFoundError: there is nothing at ``data``.
        InvalidDatasetError: the folder holds no file, or one whose name is no text.
    """
    if not data.is_dir():
        data.stat()
        yield data
        return
    with tempfile.TemporaryDirectory(prefix="module-zoo-") as folder:
        packed = Path(folder) / f"{shown(data.resolve().name) or 'data'}.zip"
        pack(data, packed)
        yield packed


def pack(folder: Path, target: Path) -> None:
    """Write a folder's files into a zip: sorted, without times, not compressed; no links, no hidden files."""
    files = sorted(_files(folder), key=lambda path: path.relative_to(folder).as_posix())
    if not files:
        raise InvalidDatasetError(
            f"the folder {shown(folder)} holds no files; give it one folder of images for each class"
        )
    _check_names([path.relative_to(folder) for path in files])
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for path in files:
            _add(archive, path, name=path.relative_to(folder).as_posix())


def _check_names(names: Sequence[Path]) -> None:
    """Raises InvalidDatasetError naming what is not UTF-8, as old archives leave behind: no zip can hold it."""
    odd = [name for name in names if shown(name) != str(name)]
    if odd:
        first = ", ".join(f"'{shown(name)}'" for name in odd[:SHOWN_NAMES])
        more = ", ..." if len(odd) > SHOWN_NAMES else ""
        raise InvalidDatasetError(f"{len(odd)} names of files are not UTF-8: {first}{more}; rename them")


def shown(name: Path | str) -> str:
    """A file's name as text: bytes of it that are none are written as escapes."""
    return os.fsencode(name).decode(errors="backslashreplace")


def _add(archive: zipfile.ZipFile, path: Path, *, name: str) -> None:
    """Add one file, with the same time and rights for all."""
    entry = zipfile.ZipInfo(name, LONG_AGO)
    entry.create_system, entry.external_attr, entry.file_size = 3, 0o644 << 16, path.stat().st_size
    with path.open("rb") as reader, archive.open(entry, "w") as writer:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)


def _files(folder: Path) -> Iterator[Path]:
    """Every file below a folder that is neither hidden nor a link, nor below such a folder."""
    for path in folder.iterdir():
        if path.name.startswith(".") or path.is_symlink():
            continue
        if path.is_dir():
            yield from _files(path)
        elif path.is_file():
            yield path
