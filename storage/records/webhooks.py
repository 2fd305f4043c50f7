"""Webhooks and their deliveries in SQL."""

import json
from datetime import datetime

from sqlalchemy import delete, func, or_, select, update

from registry.records import Page
from registry.webhook_records import Delivery, SecretWebhook, Webhook
from storage.cursors import newest_first, read_cursor, write_cursor
from storage.tables import AuditRow, DeliveryRow, WebhookRow
from storage.transaction import Transaction

STATE = ("serial", "failures", "failing_since", "next_at", "disabled")
ORDER = "deliveries"


class SqlWebhookRecords:
    """Webhooks. What never changes is the record; how far it is are columns, which the holder of its lease writes."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, webhook: SecretWebhook) -> None:
        """Record a webhook."""
        values = {name: getattr(webhook, name) for name in STATE}
        record = webhook.model_dump_json(exclude={*STATE, "secret"})
        self._transaction.change(
            self._transaction.insert(WebhookRow).values(
                id=webhook.id,
                owner=webhook.owner,
                created_at=webhook.created_at,
                secret=webhook.secret,
                record=record,
                holder=None,
                held_until=None,
                **values,
            )
        )

    def get(self, webhook_id: str, *, owner: str | None) -> Webhook | None:
        """One webhook; an owner of None sees every one."""
        wanted = select(WebhookRow).where(WebhookRow.id == webhook_id)
        row = self._transaction.first(wanted if owner is None else wanted.where(WebhookRow.owner == owner))
        return None if row is None else read_webhook(row[0])

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Webhook]:
        """Newest first."""
        wanted = select(WebhookRow.id, WebhookRow.created_at, WebhookRow.id)
        page = newest_first(
            self._transaction,
            wanted if owner is None else wanted.where(WebhookRow.owner == owner),
            order=(WebhookRow.created_at, WebhookRow.id),
            page=(limit, cursor),
            read=str,
        )
        rows = self._transaction.rows(select(WebhookRow).where(WebhookRow.id.in_(page.items)))
        found = {row.id: read_webhook(row) for (row,) in rows}
        items = tuple(found[webhook_id] for webhook_id in page.items if webhook_id in found)
        return Page(items=items, next_cursor=page.next_cursor)

    def remove(self, webhook_id: str) -> None:
        """Forget a webhook, and its deliveries with it."""
        self._transaction.change(delete(WebhookRow).where(WebhookRow.id == webhook_id))

    def claim(self, *, holder: str, at: datetime, until: datetime) -> SecretWebhook | None:
        """Give the webhook that has waited longest to a holder; None where nothing is due, which takes no lock."""
        newest = select(func.coalesce(func.max(AuditRow.serial), 0)).where(AuditRow.public).scalar_subquery()
        free = select(WebhookRow.id).where(
            WebhookRow.disabled.is_(None),
            WebhookRow.next_at <= at,
            WebhookRow.serial < newest,
            or_(WebhookRow.held_until.is_(None), WebhookRow.held_until <= at),
        )
        oldest = free.order_by(WebhookRow.next_at, WebhookRow.serial, WebhookRow.id).limit(1)
        if self._transaction.first(oldest) is None:
            return None
        one = oldest.with_for_update(skip_locked=True).scalar_subquery()
        held = update(WebhookRow).where(WebhookRow.id == one).values(holder=holder, held_until=until)
        rows = self._transaction.changed(held.returning(WebhookRow.id))
        if not rows:
            return None
        row = self._transaction.rows(select(WebhookRow).where(WebhookRow.id == rows[0][0]))[0][0]
        return SecretWebhook(**dict(read_webhook(row)), secret=row.secret)

    def save(self, webhook: SecretWebhook, *, holder: str, until: datetime) -> bool:
        """Keep how far a webhook is, and hold it until then; False when this holder does not have it any more."""
        values = {name: getattr(webhook, name) for name in STATE}
        held = update(WebhookRow).where(WebhookRow.id == webhook.id, WebhookRow.holder == holder)
        saved = held.values(held_until=until, **values)
        return bool(self._transaction.changed(saved.returning(WebhookRow.id)))

    def add_delivery(self, webhook_id: str, delivery: Delivery, *, forget_before: datetime) -> None:
        """Record a delivery, and forget those before a moment."""
        old = delete(DeliveryRow).where(DeliveryRow.webhook == webhook_id, DeliveryRow.at < forget_before)
        self._transaction.change(old)
        new = self._transaction.insert(DeliveryRow).values(
            webhook=webhook_id, at=delivery.at, serial=delivery.serial, record=delivery.model_dump_json()
        )
        self._transaction.change(new)

    def deliveries(self, webhook_id: str, *, limit: int, cursor: str | None) -> Page[Delivery]:
        """Newest first. Raises InvalidInputError for a bad cursor."""
        wanted = select(DeliveryRow.id, DeliveryRow.record).where(DeliveryRow.webhook == webhook_id)
        if cursor is not None:
            wanted = wanted.where(DeliveryRow.id < read_cursor(cursor, ORDER, (int,))[0])
        rows = self._transaction.rows(wanted.order_by(DeliveryRow.id.desc()).limit(limit + 1))
        more = write_cursor(ORDER, rows[limit - 1][:1]) if len(rows) > limit else None
        items = tuple(Delivery.model_validate_json(record) for _, record in rows[:limit])
        return Page(items=items, next_cursor=more)


def read_webhook(row: WebhookRow) -> Webhook:
    """The webhook of a row, without its secret."""
    return Webhook.model_validate({**json.loads(row.record), **{name: getattr(row, name) for name in STATE}})
