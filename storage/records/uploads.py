"""Uploads in progress, in SQL."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Row, delete, func, insert, or_, select, update

from registry.names import Digest
from registry.upload_records import Upload, UploadLease, UploadPiece
from storage.tables import UploadPieceRow, UploadRow
from storage.transaction import Transaction

COLUMNS = (
    UploadRow.id,
    UploadRow.received,
    UploadRow.length,
    UploadRow.said,
    UploadRow.created_at,
    UploadRow.expires_at,
    UploadRow.digest,
)


class SqlUploadRecords:
    """Uploads and their pieces."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, upload: Upload, *, owner: str) -> None:
        """Record a new upload, without pieces."""
        self._transaction.change(
            insert(UploadRow).values(
                id=upload.id,
                owner=owner,
                received=upload.offset,
                length=upload.length,
                said=upload.metadata,
                created_at=upload.created_at,
                expires_at=upload.expires_at,
                digest=upload.digest,
            )
        )

    def get(self, upload_id: str, *, owner: str | None) -> Upload | None:
        """One upload; an owner of None sees every one."""
        wanted = select(*COLUMNS).where(UploadRow.id == upload_id)
        if owner is not None:
            wanted = wanted.where(UploadRow.owner == owner)
        row = self._transaction.first(wanted)
        return None if row is None else _upload(row)

    def pieces(self, upload_id: str) -> tuple[UploadPiece, ...]:
        """The pieces of an upload, in order and without gaps."""
        columns = (UploadPieceRow.start, UploadPieceRow.digest, UploadPieceRow.size_bytes)
        wanted = select(*columns).where(UploadPieceRow.upload_id == upload_id).order_by(UploadPieceRow.start)
        return tuple(UploadPiece(start, Digest(digest), size) for start, digest, size in self._transaction.rows(wanted))

    def take(self, upload_id: str, lease: UploadLease, *, offset: int, length: int | None, at: datetime) -> bool:
        """Give a lease in one statement, and fix the length; False when another one lasts, or it is not as meant."""
        free = or_(UploadRow.lease.is_(None), UploadRow.lease_expires_at <= at)
        there = (UploadRow.id == upload_id) & (UploadRow.received == offset) & UploadRow.digest.is_(None)
        values: dict[str, object] = {"lease": lease.token, "lease_expires_at": lease.expires_at}
        if length is not None:
            values["length"] = func.coalesce(UploadRow.length, length)
        return self._changed(there & free, values)

    def renew(self, upload_id: str, lease: UploadLease) -> bool:
        """Make a lease last longer; False when it is not held any more."""
        return self._changed(_held(upload_id, lease), {"lease_expires_at": lease.expires_at})

    def release(self, upload_id: str, lease: UploadLease) -> None:
        """End a lease; no error when it is not held any more."""
        self._changed(_held(upload_id, lease), {"lease": None, "lease_expires_at": None})

    def advance(
        self, upload_id: str, pieces: Sequence[UploadPiece], *, lease: UploadLease, expires_at: datetime
    ) -> bool:
        """Put pieces in the place of all from the first one's start on, and renew the lease; False when it is lost."""
        values = {"received": pieces[-1].end, "expires_at": expires_at, "lease_expires_at": lease.expires_at}
        if not self._changed(_held(upload_id, lease), values):
            return False
        after = (UploadPieceRow.upload_id == upload_id) & (UploadPieceRow.start >= pieces[0].start)
        self._transaction.change(delete(UploadPieceRow).where(after))
        rows = [
            {"upload_id": upload_id, "start": piece.start, "digest": piece.digest, "size_bytes": piece.size_bytes}
            for piece in pieces
        ]
        self._transaction.change(insert(UploadPieceRow).values(rows))
        return True

    def complete(self, upload_id: str, digest: Digest, *, lease: UploadLease) -> bool:
        """Put one blob in the place of all pieces, and end the lease; False when it is lost."""
        values = {"digest": digest, "lease": None, "lease_expires_at": None}
        if not self._changed(_held(upload_id, lease), values):
            return False
        self._transaction.change(delete(UploadPieceRow).where(UploadPieceRow.upload_id == upload_id))
        return True

    def remove(self, upload_id: str) -> None:
        """Forget an upload, and its pieces with it; no error when it is not there."""
        self._transaction.change(delete(UploadRow).where(UploadRow.id == upload_id))

    def expired(self, *, at: datetime, limit: int) -> tuple[Upload, ...]:
        """Uploads that waited in vain, and that nobody adds to now; the oldest first."""
        idle = or_(UploadRow.lease.is_(None), UploadRow.lease_expires_at <= at)
        wanted = select(*COLUMNS).where(UploadRow.expires_at <= at, idle).order_by(UploadRow.expires_at).limit(limit)
        return tuple(_upload(row) for row in self._transaction.rows(wanted))

    def _changed(self, which: ColumnElement[bool], values: Mapping[str, object]) -> bool:
        """Change an upload, if there is one like this."""
        change = update(UploadRow).where(which).values(values).returning(UploadRow.id)
        return bool(self._transaction.changed(change))


def _held(upload_id: str, lease: UploadLease) -> ColumnElement[bool]:
    return (UploadRow.id == upload_id) & (UploadRow.lease == lease.token)


def _upload(row: Row[str, int, int | None, str, datetime, datetime, str | None]) -> Upload:
    upload_id, received, length, said, created_at, expires_at, digest = row
    return Upload(
        id=upload_id,
        offset=received,
        length=length,
        metadata=said,
        created_at=created_at,
        expires_at=expires_at,
        digest=None if digest is None else Digest(digest),
    )
