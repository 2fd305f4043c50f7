"""Tables of what was done: the audit, keys of requests, webhooks and their deliveries."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.tables.declared import Table


class AuditRow(Table):
    """One change, public or not. Triggers of the database refuse to alter or remove a row."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "public", "serial"), Index(None, "ref", "serial"), Index(None, "namespace", "serial"))

    serial: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    ref: Mapped[str]
    namespace: Mapped[str | None]
    actor: Mapped[str]
    request: Mapped[str | None]
    detail: Mapped[str]
    at: Mapped[datetime]
    public: Mapped[bool]
    hash: Mapped[str]


class CounterRow(Table):
    """The last number given, under a name; whoever raises it holds it until the transaction ends."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class RequestKeyRow(Table):
    """What was answered to a request that came with a key of its own."""

    __tablename__ = "request_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    answer: Mapped[str]
    created: Mapped[bool]
    about: Mapped[str | None] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)


class WebhookRow(Table):
    """One webhook, how far it is, and who serves it until when."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "owner", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    created_at: Mapped[datetime]
    secret: Mapped[str]
    record: Mapped[str]
    serial: Mapped[int]
    failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    next_at: Mapped[datetime]
    disabled: Mapped[str | None]
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None]


class DeliveryRow(Table):
    """One try to deliver a change to a webhook."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "webhook", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    serial: Mapped[int]
    record: Mapped[str]
