"""A folder of bytes under their own digest, safe for many threads and processes without a lock.

A file gets its final name only when its bytes have been checked, by an atomic rename; until then it is a draft
with a name of its own. Drafts of the same bytes never share a file: one that another process left behind is copied,
not taken over, so that whoever may still be writing to it does no harm; of its own, a process knows that nobody does.
"""

import hashlib
import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from registry.errors import WrongDigestError
from registry.names import Digest

CHUNK_BYTES = 1024 * 1024
ABANDONED_SECONDS = 3600.0

_left_here: set[tuple[int, Path]] = set()
"""Drafts that this process left behind, by its id: a process that forks leaves its child none."""


def digest_of_file(path: Path) -> Digest:
    """SHA-256 of a file. Raises OSError when it cannot be read."""
    with path.open("rb") as file:
        return Digest(f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}")


def digest_of_bytes(data: bytes) -> Digest:
    """SHA-256 of bytes in memory."""
    return Digest(f"sha256:{hashlib.sha256(data).hexdigest()}")


class Draft:
    """Bytes on their way into the cache: counted and hashed as they come."""

    def __init__(self, path: Path, file: BinaryIO, *, digest: Digest) -> None:
        """An empty draft that writes to an open file."""
        self.path, self.digest, self.size = path, digest, 0
        self._file, self._hash = file, hashlib.sha256()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self._file.write(chunk)
        self._hash.update(chunk)
        self.size += len(chunk)

    def restart(self) -> None:
        """Forget every byte."""
        self._file.seek(0)
        self._file.truncate()
        self.size, self._hash = 0, hashlib.sha256()

    def take_stock(self) -> None:
        """Count and hash the bytes that are in the file already."""
        while chunk := self._file.read(CHUNK_BYTES):
            self._hash.update(chunk)
            self.size += len(chunk)

    def copy_from(self, other: Path) -> None:
        """Begin with the bytes that another draft of the same blob has come to."""
        with other.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self.write(chunk)

    def parts(self, part_bytes: int) -> Iterator[Digest]:
        """The digest of each part of so many bytes, as they are in the file."""
        self._file.flush()
        with self.path.open("rb") as file:
            while part := file.read(part_bytes):
                yield digest_of_bytes(part)

    def overwrite(self, start: int, chunk: bytes) -> None:
        """Put other bytes in the place of some that are there; `hash_again` when that is done."""
        self._file.seek(start)
        self._file.write(chunk[: max(self.size - start, 0)])
        self._file.seek(self.size)

    def hash_again(self) -> None:
        """Hash what is in the file, in the place of what came."""
        self._file.flush()
        self._hash = hashlib.sha256()
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK_BYTES):
                self._hash.update(chunk)

    def check(self) -> None:
        """Raises WrongDigestError unless the bytes are the ones that were asked for."""
        found = f"sha256:{self._hash.hexdigest()}"
        if found != self.digest:
            raise WrongDigestError(
                f"{self.size} bytes arrived with digest {found}, not {self.digest}; "
                "nothing was kept; ask again, or ask whoever runs the zoo to check its storage"
            )

    def finish(self) -> None:
        """Write what is still in memory, and close."""
        self._file.close()


class Cache:
    """Files by digest, at ``<folder>/<first two hex digits>/<hex>``."""

    def __init__(self, folder: Path) -> None:
        """The folder is made when the first file comes."""
        self.folder = folder

    def place(self, digest: Digest) -> Path:
        """Where a file is, or would be."""
        name = digest.removeprefix("sha256:")
        return self.folder / name[:2] / name

    def find(self, digest: Digest) -> Path | None:
        """A file that is here and has its digest; one that is damaged is removed."""
        path = self.place(digest)
        try:
            with path.open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == path.name:
                    self._sweep(digest)
                    return path
                _remove(path, os.fstat(file.fileno()))
        except FileNotFoundError:
            return None
        return None

    @contextmanager
    def draft(self, digest: Digest) -> Iterator[Draft]:
        """A draft that begins where the longest one left behind stopped.

        It stays behind, to be resumed, when the block ends without `keep`; unless it is wrong, or no longer than what
        it began with. Drafts that nobody needs any more go when it begins.
        """
        place = self.place(digest)
        place.parent.mkdir(parents=True, exist_ok=True)
        longest = self._longest_part(digest)
        ours = None if longest is None else _taken_over(longest)
        path = place.with_name(f"{place.name}.{uuid.uuid4().hex}.part") if ours is None or longest is None else longest
        with ours or path.open("x+b") as file:
            draft = Draft(path, file, digest=digest)
            try:
                if ours is not None:
                    draft.take_stock()
                elif longest is not None:
                    _resume(draft, longest)
                self._sweep(digest)
                yield draft
            except WrongDigestError:
                draft.restart()
                raise
            finally:
                _leave(draft, longer_than=0 if ours is not None or longest is None else _size(longest))

    def keep(self, draft: Draft) -> Path:
        """Check a draft and give it its final name. Raises WrongDigestError."""
        draft.check()
        draft.finish()
        place = self.place(draft.digest)
        draft.path.chmod(0o444)
        draft.path.replace(place)
        self._sweep(draft.digest)
        return place

    def _parts(self, digest: Digest) -> list[Path]:
        """Every draft of a blob."""
        place = self.place(digest)
        return sorted(place.parent.glob(f"{place.name}.*.part"))

    def _longest_part(self, digest: Digest) -> Path | None:
        """The draft that has come farthest."""
        sizes = [(size, path) for path in self._parts(digest) if (size := _size(path)) > 0]
        return max(sizes)[1] if sizes else None

    def _sweep(self, digest: Digest) -> None:
        """Remove drafts that this process left behind, or that nobody has written to for an hour.

        The blob is here, or a draft has begun with as many bytes as any of them has.
        """
        for path in self._parts(digest):
            if _is_left_here(path) or time.time() - _modified(path) > ABANDONED_SECONDS:
                path.unlink(missing_ok=True)


def _remove(path: Path, damaged: os.stat_result) -> None:
    """Remove a damaged file, unless somebody has put another in its place meanwhile."""
    if os.path.samestat(path.stat(), damaged):
        path.unlink(missing_ok=True)


def _is_left_here(path: Path) -> bool:
    """Whether this process left a draft behind; of several that ask, the first is told so, whose the draft is now."""
    try:
        _left_here.remove((os.getpid(), path))
    except KeyError:
        return False
    return True


def _taken_over(path: Path) -> BinaryIO | None:
    """A draft that this process left behind, open to go on; None for any other, or when it has gone."""
    if not _is_left_here(path):
        return None
    try:
        os.utime(path)  # whoever sweeps now sees that somebody is at it
        return path.open("r+b")
    except FileNotFoundError:
        return None


def _leave(draft: Draft, *, longer_than: int) -> None:
    """Close a draft; unless it was kept, it stays behind where it is longer, and goes where it is not."""
    try:
        draft.finish()
    finally:
        if draft.size <= longer_than:
            draft.path.unlink(missing_ok=True)
        elif draft.path.exists():
            _left_here.add((os.getpid(), draft.path))


def _resume(draft: Draft, left_behind: Path) -> None:
    """Begin a draft with what another one has; with nothing, when that one has gone in the meantime."""
    try:
        draft.copy_from(left_behind)
    except FileNotFoundError:
        draft.restart()


def _size(path: Path) -> int:
    """Size of a file in bytes; 0 when it has gone."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _modified(path: Path) -> float:
    """When a file was last written to; now, when it has gone."""
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return time.time()


def place_copy(source: Path, target: Path) -> None:
    """Copy a cached file to where it is wanted: whole or not at all, unless that is a pipe or a device."""
    if target.exists() and not target.is_file():
        with target.open("wb") as through:
            _copy(source, through)
        return
    target = target.resolve()
    draft = target.with_name(f".{target.name}.{uuid.uuid4().hex}.part")
    try:
        with draft.open("xb") as writer:
            _copy(source, writer)
            writer.flush()
            os.fsync(writer.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def _copy(source: Path, writer: BinaryIO) -> None:
    """Write a file's bytes to an open one."""
    with source.open("rb") as reader:
        while chunk := reader.read(CHUNK_BYTES):
            writer.write(chunk)
