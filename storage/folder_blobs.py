"""Blobs in a folder: each a file under its own digest, there whole or not at all."""

import hashlib
import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO

from registry.errors import CorruptBlobError, NotFoundError, WrongDigestError
from registry.names import Digest
from registry.ports import BlobWriter
from registry.records import BlobInfo, BlobLink, StoredBlob
from storage.translation import disk_translated

DAY_SECONDS = 86_400.0
PREFIX = "sha256:"
TWO_HEX = "[0-9a-f]" * 2
BLOB_FILES = f"{TWO_HEX}/{TWO_HEX}/{'[0-9a-f]' * 64}"
"""Where `blob_path` puts files."""


class FolderBlobs:
    """Blobs as files ``aa/bb/<hex>`` of one folder; what is being written lies in ``tmp`` beside them."""

    def __init__(self, folder: Path, *, stale_after_seconds: float = DAY_SECONDS) -> None:
        """Make the folder, and clear what writers that died have left.

        Args:
            folder: where the blobs are; one file system, as renaming must be one step.
            stale_after_seconds: a half-written file that nobody has touched for so long is removed.

        Raises:
            StorageError: the folder cannot be made or used.
        """
        self._folder = folder
        self._half_written = folder / "tmp"
        with disk_translated(f"the folder {folder}"):
            self._half_written.mkdir(parents=True, exist_ok=True)
            _remove_older(self._half_written, time.time() - stale_after_seconds)

    def check_writable(self) -> None:
        """Raises StorageFullError or StorageError unless a blob could be written."""
        with self.writer() as writer:
            writer.write(b"ready?")

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A writer of one new blob; leaving without `commit` keeps nothing. Raises StorageFullError, StorageError."""
        path = self._half_written / f"{secrets.token_hex(16)}.part"
        with disk_translated():
            file = path.open("xb", buffering=0)
        try:
            yield FolderBlobWriter(file, path, self._folder)
        finally:
            with disk_translated():
                _abandon(file, path)

    def put(self, data: bytes) -> Digest:
        """Keep bytes that are in memory already. Raises StorageFullError, StorageError."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit().digest

    def get(self, digest: Digest) -> bytes:
        """All bytes, verified. Raises NotFoundError, CorruptBlobError, StorageError."""
        with self.open(digest) as file, disk_translated():
            data = file.read()
        found = PREFIX + hashlib.sha256(data).hexdigest()
        if found != digest:
            raise CorruptBlobError(
                f"the bytes stored as {digest} are damaged, they now have {found}; upload the file again"
            )
        return data

    @contextmanager
    def open(self, digest: Digest) -> Iterator[BinaryIO]:
        """The file itself, to read from; not verified. Raises NotFoundError, StorageError."""
        with _found(digest):
            file = blob_path(self._folder, digest).open("rb")
        with file:
            yield file

    def info(self, digest: Digest) -> BlobInfo:
        """Size of a blob. Raises NotFoundError, StorageError."""
        with _found(digest):
            size_bytes = blob_path(self._folder, digest).stat().st_size
        return BlobInfo(digest=digest, size_bytes=size_bytes)

    def stamp(self, digest: Digest) -> str:
        """Which file it is, and when it was written. Raises NotFoundError, StorageError."""
        with _found(digest):
            found = blob_path(self._folder, digest).stat()
        return f"{found.st_ino} {found.st_mtime_ns} {found.st_size}"

    def link(self, digest: Digest) -> BlobLink | None:  # noqa: ARG002
        """None: whoever reads from a folder reads through the service."""
        return None

    def delete(self, digest: Digest) -> None:
        """Forget a blob; no error when it is not there. Raises StorageError."""
        path = blob_path(self._folder, digest)
        with disk_translated(), suppress(FileNotFoundError):
            path.unlink()
            sync_folder(path.parent)

    def listing(self) -> Iterator[StoredBlob]:
        """Every blob, in no order. Raises StorageError."""
        with disk_translated(f"the folder {self._folder}"):
            for path in self._folder.glob(BLOB_FILES):
                with suppress(FileNotFoundError):
                    yield _stored(path)


class FolderBlobWriter:
    """Writes one file, hashing as it goes."""

    def __init__(self, file: BinaryIO, path: Path, folder: Path) -> None:
        """Args: file: open and unbuffered; path: where it is now; folder: where blobs are."""
        self._file, self._path, self._folder = file, path, folder
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Append bytes. Raises StorageFullError, StorageError."""
        rest = memoryview(chunk)
        with disk_translated():
            while rest:
                rest = rest[self._file.write(rest) :]
        self._hash.update(chunk)
        self._size_bytes += len(chunk)

    def digest(self) -> Digest:
        """Of the bytes written so far."""
        return Digest(PREFIX + self._hash.hexdigest())

    def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make the bytes durable and visible: the file first, then its name.

        Raises:
            WrongDigestError: they are not the expected bytes; nothing is kept.
            StorageFullError: there is no room.
            StorageError: the folder cannot be used.
        """
        digest = self.digest()
        if expected is not None and digest != expected:
            raise WrongDigestError(f"the bytes have {digest}, not {expected}; send the file again")
        with disk_translated():
            os.fsync(self._file.fileno())
            self._file.close()
            _move(self._path, blob_path(self._folder, digest))
        return BlobInfo(digest=digest, size_bytes=self._size_bytes)


def blob_path(folder: Path, digest: Digest) -> Path:
    """Where the bytes of a digest are."""
    name = digest.removeprefix(PREFIX)
    return folder / name[:2] / name[2:4] / name


def _stored(path: Path) -> StoredBlob:
    """What a listing says of a blob's file. Raises FileNotFoundError when it has gone."""
    found = path.stat()
    moment = datetime.fromtimestamp(found.st_mtime, UTC)
    return StoredBlob(digest=Digest(PREFIX + path.name), size_bytes=found.st_size, stored_at=moment)


def _move(source: Path, target: Path) -> None:
    """Give a finished file its name, for good. Bytes that are there already are replaced by the same, or healed."""
    target.parent.mkdir(parents=True, exist_ok=True)
    source.replace(target)
    for folder in (target.parent, target.parent.parent, target.parent.parent.parent):
        sync_folder(folder)


def sync_folder(folder: Path) -> None:
    """Make a folder's names durable; Windows has no way to, and needs none."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _remove_older(folder: Path, moment: float) -> None:
    """Remove files that nobody has written to since a moment, in seconds since 1970."""
    for path in folder.glob("*.part"):
        with suppress(FileNotFoundError):
            if path.stat().st_mtime < moment:
                path.unlink()


def _abandon(file: BinaryIO, path: Path) -> None:
    """Close a writer's file, and remove it where it was not given its name."""
    try:
        file.close()
    finally:
        path.unlink(missing_ok=True)


@contextmanager
def _found(digest: Digest) -> Iterator[None]:
    """Raises NotFoundError when there is no file for a digest, StorageError when it cannot be reached."""
    with disk_translated():
        try:
            yield
        except FileNotFoundError as error:
            raise NotFoundError(f"there are no bytes with {digest}; upload them first") from error
