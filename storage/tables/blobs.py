"""Tables about bytes: uploads on their way, bytes that nothing refers to, and whose turn it is to look."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.tables.declared import Table


class UploadRow(Table):
    """One upload in progress, or complete and waiting to be used. `lease` is held by the request that adds to it."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    received: Mapped[int]
    length: Mapped[int | None]
    said: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    lease: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    digest: Mapped[str | None] = mapped_column(index=True)


class UploadPieceRow(Table):
    """Bytes of an upload from `start` on, in a blob of their own."""

    __tablename__ = "upload_pieces"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]


class UnreferredBlobRow(Table):
    """Bytes that nothing referred to when the collector looked, and since when; they go once that is long enough."""

    __tablename__ = "unreferred_blobs"
    __table_args__ = (Index(None, "since", "digest"),)

    digest: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]


class TurnRow(Table):
    """Something that the processes of a service do in turn, and when it is due again."""

    __tablename__ = "turns"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
