"""Blobs in a bucket of an S3-compatible store: each an object under its own digest, there whole or not at all.

Bytes wait on this machine until all of them are here and their digest is known; only then are they sent, to their
final key, which the store shows when it has all of them (decision 0021).
"""

import hashlib
import io
import re
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, timedelta
from pathlib import Path
from typing import IO, BinaryIO

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.store import S3Store

from registry.blobs import check_digest
from registry.errors import CorruptBlobError, NotFoundError, StorageError, WrongDigestError
from registry.names import Digest
from registry.ports import BlobWriter
from registry.records import BlobInfo, BlobLink, StoredBlob
from storage.s3_reading import RangedFile
from storage.s3_translation import NOT_IMPLEMENTED, object_found, status_of, store_translated, zoo_error
from storage.translation import disk_translated

MEBIBYTE = 1024 * 1024
PART_BYTES = 8 * MEBIBYTE
MOST_PARTS = 9000
PARTS_AT_ONCE = 4
READ_BYTES = MEBIBYTE
LINK_SECONDS = 300
PREFIX = "sha256:"
BLOB_KEY = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/([0-9a-f]{64})")
READY_KEY = ".ready"
SPOOL = "the folder where uploads wait for the object store"


@dataclass(frozen=True, slots=True)
class S3Stores:
    """A bucket: as the service reaches it, and, where readers are sent there, as they do."""

    own: S3Store
    readers: S3Store | None = None


class S3Blobs:
    """Blobs as objects ``aa/bb/<hex>``, as in a folder; bytes on their way there wait in files without a name."""

    def __init__(self, stores: S3Stores, spool: Path) -> None:
        """Make the folder for bytes that wait. Raises StorageError."""
        self._stores, self._spool = stores, spool
        with disk_translated(f"the folder {spool}"):
            spool.mkdir(parents=True, exist_ok=True)

    def check_writable(self) -> None:
        """Raises StorageError, StorageFullError or BusyError unless the bucket is there and can be written to."""
        with store_translated():
            with suppress(FileNotFoundError), store_translated():
                obstore.get_range(self._stores.own, READY_KEY, start=0, end=1)
            obstore.put(self._stores.own, READY_KEY, b"ready", use_multipart=False)

    @contextmanager
    def writer(self) -> Iterator[BlobWriter]:
        """A writer of one new blob; leaving without `commit` keeps nothing. Raises StorageFullError, StorageError."""
        with disk_translated(SPOOL):
            spool = tempfile.SpooledTemporaryFile(max_size=PART_BYTES, dir=str(self._spool))  # noqa: SIM115 (closed below)
        try:
            yield S3BlobWriter(spool, self)
        finally:
            with suppress(OSError):  # what waited is not wanted any more, so it matters not that it cannot be flushed
                spool.close()

    def put(self, data: bytes) -> Digest:
        """Keep bytes that are in memory already. Raises StorageFullError, StorageError, BusyError."""
        with self.writer() as writer:
            writer.write(data)
            return writer.commit().digest

    def get(self, digest: Digest) -> bytes:
        """All bytes, verified. Raises NotFoundError, CorruptBlobError, StorageError, BusyError."""
        with self.open(digest) as file:
            size_bytes = file.seek(0, io.SEEK_END)
            file.seek(0)
            data = file.read(size_bytes)
        found = PREFIX + hashlib.sha256(data).hexdigest()
        if found != digest:
            raise CorruptBlobError(
                f"the bytes stored as {digest} are damaged, they now have {found}; upload the file again"
            )
        return data

    @contextmanager
    def open(self, digest: Digest) -> Iterator[BinaryIO]:
        """A seekable file over ranged reads; not verified. Raises NotFoundError, StorageError, BusyError."""
        size_bytes, key = self.info(digest).size_bytes, blob_key(digest)

        def fetch(first: int, past: int) -> obstore.Bytes:
            with object_found(digest):
                return obstore.get_range(self._stores.own, key, start=first, end=past)

        with io.BufferedReader(RangedFile(fetch, size_bytes=size_bytes)) as file:
            yield file

    def info(self, digest: Digest) -> BlobInfo:
        """Size of a blob. Raises NotFoundError, StorageError, BusyError."""
        with object_found(digest):
            size_bytes = obstore.head(self._stores.own, blob_key(digest))["size"]
        return BlobInfo(digest=digest, size_bytes=size_bytes)

    def stamp(self, digest: Digest) -> str:
        """What the store says of its object, and when it was put. Raises NotFoundError, StorageError, BusyError."""
        with object_found(digest):
            found = obstore.head(self._stores.own, blob_key(digest))
        return f"{found['e_tag']} {found['version']} {found['last_modified'].isoformat()} {found['size']}"

    def link(self, digest: Digest) -> BlobLink | None:
        """A signed address of the bytes, where readers are sent to the store; None where they are not."""
        if self._stores.readers is None:
            return None
        with store_translated():
            url = obstore.sign(self._stores.readers, "GET", blob_key(digest), timedelta(seconds=LINK_SECONDS))
        return BlobLink(url=url, seconds=LINK_SECONDS)

    def delete(self, digest: Digest) -> None:
        """Forget a blob; no error when it is not there. Raises StorageError, BusyError."""
        with suppress(FileNotFoundError), store_translated():
            obstore.delete(self._stores.own, blob_key(digest))

    def listing(self) -> Iterator[StoredBlob]:
        """Every blob, in no order. Raises StorageError, BusyError."""
        with store_translated():
            for page in obstore.list(self._stores.own):
                for each in page:
                    named = BLOB_KEY.fullmatch(each["path"])
                    if named is not None:
                        yield StoredBlob(
                            digest=Digest(PREFIX + named[1]),
                            size_bytes=each["size"],
                            stored_at=each["last_modified"].astimezone(UTC),
                        )

    def keep(self, spool: IO[bytes], info: BlobInfo) -> None:
        """Send bytes that wait here to their key, and leave good ones that are there already as they are.

        Raises:
            StorageFullError: there is no room.
            StorageError: the store failed, or the bytes that waited are not what they were.
            BusyError: the store does not answer.
        """
        if info.size_bytes <= PART_BYTES:
            data = spool.read()
            if self._create(data, info.digest) or self._is_whole(info):
                return
            with store_translated():
                obstore.put(self._stores.own, blob_key(info.digest), data, use_multipart=False)
        elif not self._is_whole(info):
            part_bytes = max(PART_BYTES, -(-info.size_bytes // MOST_PARTS))
            with store_translated():
                obstore.put(
                    self._stores.own,
                    blob_key(info.digest),
                    _checked_pieces(spool, info.digest),
                    chunk_size=part_bytes,
                    max_concurrency=PARTS_AT_ONCE,
                )

    def _create(self, data: bytes, digest: Digest) -> bool:
        """Put an object where there is none, in one step; False where there is one, or the store knows no such step."""
        try:
            obstore.put(self._stores.own, blob_key(digest), data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except BaseError as error:
            if status_of(error) == NOT_IMPLEMENTED:
                return False
            raise zoo_error(error) from error
        return True

    def _is_whole(self, info: BlobInfo) -> bool:
        """Whether the bytes of a digest are there already, all of them and undamaged."""
        try:
            if self.info(info.digest).size_bytes != info.size_bytes:
                return False
            with self.open(info.digest) as file:
                check_digest(file, info.digest)
        except (NotFoundError, CorruptBlobError):
            return False
        return True


class S3BlobWriter:
    """Gathers one blob's bytes on this machine, hashing as they come: a few in memory, many in a file."""

    def __init__(self, spool: IO[bytes], blobs: S3Blobs) -> None:
        """Args: spool: where they wait; blobs: where they go."""
        self._spool, self._blobs = spool, blobs
        self._hash = hashlib.sha256()
        self._size_bytes = 0

    def write(self, chunk: bytes) -> None:
        """Append bytes. Raises StorageFullError, StorageError."""
        with disk_translated(SPOOL):
            self._spool.write(chunk)
        self._hash.update(chunk)
        self._size_bytes += len(chunk)

    def digest(self) -> Digest:
        """Of the bytes written so far."""
        return Digest(PREFIX + self._hash.hexdigest())

    def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Make the bytes durable and visible.

        Raises:
            WrongDigestError: they are not the expected bytes; nothing is kept, and nothing was sent.
            StorageFullError: there is no room.
            StorageError: the store cannot be used.
            BusyError: the store does not answer.
        """
        digest = self.digest()
        if expected is not None and digest != expected:
            raise WrongDigestError(f"the bytes have {digest}, not {expected}; send the file again")
        with disk_translated(SPOOL):
            self._spool.seek(0)
        info = BlobInfo(digest=digest, size_bytes=self._size_bytes)
        self._blobs.keep(self._spool, info)
        return info


def blob_key(digest: Digest) -> str:
    """The key of a digest's object, below the prefix of the store."""
    name = digest.removeprefix(PREFIX)
    return f"{name[:2]}/{name[2:4]}/{name}"


def _checked_pieces(spool: IO[bytes], digest: Digest) -> Iterator[bytes]:
    """The bytes that wait; an error in place of the end, which ends the upload, when they are not what they were."""
    hashed = hashlib.sha256()
    while True:
        with disk_translated(SPOOL):
            piece = spool.read(READ_BYTES)
        if not piece:
            break
        hashed.update(piece)
        yield piece
    if PREFIX + hashed.hexdigest() != digest:
        raise StorageError(f"the bytes of {digest} changed while they waited here; check this machine's disk")
