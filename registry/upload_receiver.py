"""Bytes of an upload on their way in: kept piece by piece, and joined when the last one is there."""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from registry.blobs import BlobKeeper
from registry.errors import ChecksumMismatchError, ConflictError, CorruptBlobError, NotFoundError, WrongDigestError
from registry.known_chunks import KnownChunks
from registry.names import Digest
from registry.ports import Begin, BlobStore, BlobWriter, Clock
from registry.settings import Settings
from registry.upload_records import Upload, UploadLease, UploadPiece, expected_digest

CHUNK_BYTES = 1024 * 1024
SMALL_PIECE_BYTES = 1024 * 1024
"""A last piece below this is written again together with what comes next, so that tiny requests make few pieces."""

PIECE_SECONDS = 10.0
"""A piece that has taken so long is kept even if it is not full: no more is lost when the service is killed."""


class Checksum(Protocol):
    """What the bytes of one request must add up to."""

    def update(self, data: bytes, /) -> None:
        """Add bytes."""

    def matches(self) -> bool:
        """Whether the bytes so far are those."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What uploads need from outside."""

    begin: Begin
    blobs: BlobStore
    clock: Clock
    settings: Settings
    keeper: BlobKeeper
    known_chunks: KnownChunks

    def expires_at(self) -> datetime:
        """Until when an upload waits that gets bytes now."""
        return self.clock() + timedelta(seconds=self.settings.upload_expires_seconds)

    def renewed(self, lease: UploadLease) -> UploadLease:
        """A lease as it is when it is renewed now."""
        return replace(lease, expires_at=self.clock() + timedelta(seconds=self.settings.upload_lease_seconds))


class Receiver:
    """Takes the bytes of one request under a lease, in one thread at a time; one of its last three methods ends it.

    Every full piece is made durable and recorded at once. With a checksum nothing is recorded before all bytes of
    the request are there and have it.
    """

    def __init__(
        self, around: Surroundings, upload: Upload, lease: UploadLease, *, owner: str, checksum: Checksum | None = None
    ) -> None:
        """Args: upload: as it is when the lease begins; lease: which nobody else has; owner: whose upload it is."""
        self._around, self._upload, self._lease, self._checksum = around, upload, lease, checksum
        self._owner = owner
        self._unrecorded: list[UploadPiece] = []
        self._piece = _PieceWriter(around)
        self._end = upload.offset

    @property
    def room_bytes(self) -> int:
        """How many bytes are missing still."""
        settings = self._around.settings
        return (self._upload.length if self._upload.length is not None else settings.upload_limit_bytes) - self._end

    def write(self, chunk: bytes) -> None:
        """Take the next bytes.

        Raises:
            ConflictError: the lease is lost: this was too slow, or the upload is gone.
            StorageFullError: there is no room; what is recorded stays.
        """
        if self._checksum is not None:
            self._checksum.update(chunk)
        rest = memoryview(chunk)
        while rest:
            if not self._piece.open:
                self._begin_piece()
            taken = rest[: self._piece.room_bytes]
            self._piece.write(bytes(taken))
            self._end += len(taken)
            rest = rest[len(taken) :]
            if self._piece.due:
                self._end_piece()
        self._keep_lease()

    def finish(self) -> Upload:
        """Keep all that came, join the pieces if they are all there, and end the lease.

        Raises:
            ChecksumMismatchError: the bytes of this request are other ones; none of them was kept.
            WrongDigestError: all bytes are there, and are not those that the metadata names; the upload is gone.
            ConflictError: the lease is lost.
        """
        try:
            self._end_piece()
            if self._checksum is not None and not self._checksum.matches():
                raise ChecksumMismatchError(
                    f"the {self._end - self._upload.offset} bytes of this request do not have the checksum that "
                    f"Upload-Checksum names; none of them was kept, send them again from {self._upload.offset}"
                )
            self._record()
            if self._upload.whole:
                self._complete()
        finally:
            self.abandon()
        return self._upload

    def keep(self) -> None:
        """Keep what came of a request that broke off, unless it was to have a checksum, and end the lease."""
        try:
            if self._checksum is None:
                self._end_piece()
                self._record()
        finally:
            self.abandon()

    def abandon(self) -> None:
        """Keep nothing but what is recorded, and end the lease."""
        self._piece.close()
        self._discard(self._unrecorded)
        self._unrecorded = []
        with self._around.begin() as work:
            work.uploads.release(self._upload.id, self._lease)

    def _begin_piece(self) -> None:
        """Begin a piece where the last one ended, or with the bytes of a small last one."""
        last = self._last_piece()
        if last is None or last.size_bytes >= min(SMALL_PIECE_BYTES, self._around.settings.upload_piece_bytes):
            self._piece.begin(self._end)
        else:
            self._piece.begin(last.start)
            self._piece.write(self._around.blobs.get(last.digest))

    def _last_piece(self) -> UploadPiece | None:
        """The recorded piece that ends where the next byte goes."""
        if self._unrecorded:
            return None
        with self._around.begin() as work:
            pieces = work.uploads.pieces(self._upload.id)
        return pieces[-1] if pieces else None

    def _end_piece(self) -> None:
        if self._piece.open:
            self._unrecorded.append(self._piece.commit())
            if self._checksum is None:
                self._record()

    def _record(self) -> None:
        """Record the pieces that are durable, in one transaction."""
        if not self._unrecorded:
            return
        lease, expires_at, pieces = self._around.renewed(self._lease), self._around.expires_at(), self._unrecorded
        with self._around.begin() as work:
            for piece in pieces:
                self._around.keeper.require(work, piece.digest)
            replaced = [piece for piece in work.uploads.pieces(self._upload.id) if piece.start >= pieces[0].start]
            _check_held(
                self._upload,
                held=work.uploads.advance(self._upload.id, pieces, lease=lease, expires_at=expires_at),
            )
        self._lease, self._unrecorded = lease, []
        self._upload = self._upload.model_copy(update={"offset": self._end, "expires_at": expires_at})
        self._discard(replaced)

    def _keep_lease(self) -> None:
        """Renew the lease where a third of it has gone by."""
        seconds = self._around.settings.upload_lease_seconds
        if self._lease.expires_at - self._around.clock() < timedelta(seconds=seconds * 2 / 3):
            lease = self._around.renewed(self._lease)
            with self._around.begin() as work:
                _check_held(self._upload, held=work.uploads.renew(self._upload.id, lease))
            self._lease = lease

    def _complete(self) -> None:
        """Make one blob of all pieces; pieces that are damaged, or are not what was meant, take the upload along."""
        with self._around.begin() as work:
            pieces = work.uploads.pieces(self._upload.id)
        try:
            digest = self._joined(pieces, expected=expected_digest(self._upload.metadata))
        except (WrongDigestError, CorruptBlobError, NotFoundError):
            with self._around.begin() as work:
                work.uploads.remove(self._upload.id)
            self._discard(pieces)
            raise
        with self._around.begin() as work:
            self._around.keeper.require(work, digest)
            work.blob_owners.add(digest, owner=self._owner)
            _check_held(self._upload, held=work.uploads.complete(self._upload.id, digest, lease=self._lease))
        self._upload = self._upload.model_copy(update={"digest": digest})
        self._discard(piece for piece in pieces if piece.digest != digest)

    def _joined(self, pieces: tuple[UploadPiece, ...], *, expected: Digest | None) -> Digest:
        """The blob of all bytes; a single piece is that already."""
        if len(pieces) == 1:
            if expected not in (None, pieces[0].digest):
                raise WrongDigestError(f"the bytes have {pieces[0].digest}, not {expected}; begin the upload again")
            return pieces[0].digest
        with self._around.blobs.writer() as unwatched:
            writer = self._around.known_chunks.watched(unwatched)
            for piece in pieces:
                chunks = _bytes_of(self._around.blobs, piece)
                for chunk in chunks if expected is not None else _verified(chunks, piece):
                    writer.write(chunk)
                    self._keep_lease()
            self._around.keeper.spare(writer.digest())
            return writer.commit(expected).digest

    def _discard(self, pieces: "Iterator[UploadPiece] | list[UploadPiece] | tuple[UploadPiece, ...]") -> None:
        """Delete bytes of pieces that nothing refers to any more."""
        for digest in {piece.digest for piece in pieces}:
            self._around.keeper.discard(digest)


class _PieceWriter:
    """Writes one piece after the other, each a blob."""

    def __init__(self, around: Surroundings) -> None:
        self._around, self._stack = around, ExitStack()
        self._writer: BlobWriter | None = None
        self._start, self._size, self._began = 0, 0, around.clock()

    @property
    def open(self) -> bool:
        """Whether a piece has begun."""
        return self._writer is not None

    @property
    def room_bytes(self) -> int:
        """How many bytes fit into this piece still."""
        return self._around.settings.upload_piece_bytes - self._size

    @property
    def due(self) -> bool:
        """Whether the piece is full, or old enough to be kept."""
        return self.room_bytes <= 0 or self._around.clock() - self._began >= timedelta(seconds=PIECE_SECONDS)

    def begin(self, start: int) -> None:
        """Begin a piece."""
        writer = self._stack.enter_context(self._around.blobs.writer())
        self._writer = self._around.known_chunks.watched(writer)  # a single piece is the whole blob
        self._start, self._size, self._began = start, 0, self._around.clock()

    def write(self, chunk: bytes) -> None:
        """Append to the piece that has begun."""
        if self._writer is None:
            raise ValueError("no piece has begun")
        self._writer.write(chunk)
        self._size += len(chunk)

    def commit(self) -> UploadPiece:
        """Make the piece durable."""
        if self._writer is None:
            raise ValueError("no piece has begun")
        self._around.keeper.spare(self._writer.digest())
        blob = self._writer.commit()
        self.close()
        return UploadPiece(self._start, blob.digest, blob.size_bytes)

    def close(self) -> None:
        """Forget a piece that has begun and is not durable."""
        self._writer = None
        self._stack.close()


def _check_held(upload: Upload, *, held: bool) -> None:
    """Raises ConflictError when a lease was lost."""
    if not held:
        raise ConflictError(
            f"upload {upload.id} was removed meanwhile, or goes on in another request; ask HEAD where it is now"
        )


def _bytes_of(blobs: BlobStore, piece: UploadPiece) -> Iterator[bytes]:
    """The bytes of a piece, not verified. Raises NotFoundError."""
    with blobs.open(piece.digest) as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def _verified(chunks: Iterator[bytes], piece: UploadPiece) -> Iterator[bytes]:
    """The same bytes, for whoever does not know the digest of the whole.

    Raises:
        CorruptBlobError: after the last one, if they have changed.
    """
    hashed = hashlib.sha256()
    for chunk in chunks:
        hashed.update(chunk)
        yield chunk
    if f"sha256:{hashed.hexdigest()}" != piece.digest:
        raise CorruptBlobError(f"the bytes from {piece.start} on were damaged in storage; begin the upload again")
