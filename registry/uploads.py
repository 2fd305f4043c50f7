"""Uploads that may break off and go on: sessions whose bytes come in several requests, to any replica."""

import secrets

from registry.errors import ConflictError, GoneError, NotFoundError, TooLargeError, UploadLockedError
from registry.upload_receiver import Checksum, Receiver, Surroundings
from registry.upload_records import Upload, UploadLease, expected_digest

EXPIRED_AT_ONCE = 100
"""How many sessions one call of `expire` removes."""


class UploadService:
    """The rules about uploads: bytes go on where they stopped, or nothing changes.

    A session belongs to who began it. What is recorded of it is durable, so that another process goes on with it; two
    requests never add to it at once, for each holds its lease, which ends by itself when its process dies.
    """

    def __init__(self, around: Surroundings) -> None:
        """Args: around: everything it needs from outside."""
        self._around = around

    def create(self, *, owner: str, length: int | None, metadata: str) -> Upload:
        """Begin a session; those that have expired go.

        Args:
            owner: who uploads.
            length: number of bytes there will be; None where that is told later.
            metadata: what the uploader says of the bytes; a `digest` in it is checked at the end.

        Raises:
            TooLargeError: it would be over the limit.
            InvalidInputError: the metadata cannot be read.
        """
        self._check_length(length)
        expected_digest(metadata)
        self.expire()
        upload = Upload(
            id=secrets.token_urlsafe(24),
            offset=0,
            length=length,
            metadata=metadata,
            created_at=self._around.clock(),
            expires_at=self._around.expires_at(),
        )
        with self._around.begin() as work:
            work.uploads.add(upload, owner=owner)
        return upload

    def get(self, upload_id: str, *, owner: str) -> Upload:
        """One session. Raises NotFoundError, GoneError."""
        with self._around.begin() as work:
            upload = work.uploads.get(upload_id, owner=owner)
        if upload is None:
            raise NotFoundError(f"there is no upload {upload_id[:100]!r}; begin one with POST /uploads")
        if upload.expires_at <= self._around.clock():
            raise GoneError(f"upload {upload.id} expired at {upload.expires_at}; begin another with POST /uploads")
        return upload

    def receive(
        self,
        upload_id: str,
        *,
        owner: str,
        offset: int,
        length: int | None = None,
        checksum: Checksum | None = None,
    ) -> Receiver:
        """Begin to add bytes at an offset; whoever asks must end what is returned.

        Args:
            upload_id: the session.
            owner: whose it is.
            offset: where the uploader believes that it goes on.
            length: number of bytes in all, where it was not told before.
            checksum: of the bytes that come now.

        Raises:
            NotFoundError: there is no such session for this owner.
            GoneError: it has expired.
            ConflictError: it goes on elsewhere, or its length is another one; nothing changed.
            UploadLockedError: another request adds to it now.
            TooLargeError: the length is over the limit.
        """
        upload = self.get(upload_id, owner=owner)
        self._check_length(length)
        _check_offset(upload, offset=offset, length=length)
        lease = self._around.renewed(UploadLease(secrets.token_hex(16), self._around.clock()))
        with self._around.begin() as work:
            taken = work.uploads.take(upload.id, lease, offset=offset, length=length, at=self._around.clock())
            upload = work.uploads.get(upload.id, owner=owner) or upload
        if not taken:
            _check_offset(upload, offset=offset, length=length)
            raise UploadLockedError(
                f"another request adds to upload {upload.id} now; wait until it ends, at the latest "
                f"{self._around.settings.upload_lease_seconds:g} s after its last byte"
            )
        return Receiver(self._around, upload, lease, owner=owner, checksum=checksum)

    def remove(self, upload_id: str, *, owner: str) -> None:
        """End a session: its bytes go, unless something else refers to them. Raises NotFoundError, GoneError."""
        self._remove(self.get(upload_id, owner=owner), owner=owner)

    def expire(self, *, limit: int = EXPIRED_AT_ONCE) -> int:
        """Remove sessions that waited too long, with their bytes; gives how many, at most `limit`."""
        with self._around.begin() as work:
            expired = work.uploads.expired(at=self._around.clock(), limit=limit)
        for upload in expired:
            self._remove(upload)
        return len(expired)

    def _remove(self, upload: Upload, *, owner: str | None = None) -> None:
        """Forget a session, then delete its bytes; where they were told to be here, the collector does that."""
        with self._around.begin() as work:
            pieces = work.uploads.pieces(upload.id)
            work.uploads.remove(upload.id)
        digests = {piece.digest for piece in pieces} | ({upload.digest} if upload.digest is not None else set())
        for digest in digests:
            self._around.keeper.discard(digest, owner=owner)

    def _check_length(self, length: int | None) -> None:
        """Raises TooLargeError when an upload would be over the limit."""
        limit = self._around.settings.upload_limit_bytes
        if length is not None and length > limit:
            raise TooLargeError(
                f"the upload would have {length} bytes, more than the limit of {limit} "
                "(ZOO_MODULE_LIMIT_BYTES, ZOO_DATASET_LIMIT_BYTES)"
            )


def _check_offset(upload: Upload, *, offset: int, length: int | None) -> None:
    """Raises ConflictError when an upload does not go on at an offset, or has another length."""
    if offset != upload.offset:
        raise ConflictError(
            f"upload {upload.id} has {upload.offset} bytes, so it does not go on at {offset}; nothing changed, send "
            f"what comes after byte {upload.offset}"
        )
    if length is not None and (upload.length not in (None, length) or length < upload.offset):
        had = f"a length of {upload.length} bytes" if upload.length is not None else f"{upload.offset} bytes already"
        raise ConflictError(f"upload {upload.id} has {had}, so its length cannot become {length}")
