"""The courier: brings changes to webhooks, each at least once, in order, however often the service is restarted."""

import base64
import hashlib
import hmac
import json
import secrets
import time
from collections.abc import Mapping
from datetime import datetime, timedelta

from registry.history_ports import Sender
from registry.ports import Begin, Clock
from registry.records import Change
from registry.webhook_records import Delivery, SecretWebhook, Sent
from registry.webhooks import SECRET_PREFIX

LEASE = timedelta(seconds=90)
"""For so long one courier has a webhook to itself after each delivery; longer than one delivery can take."""

TURN = timedelta(seconds=20)
"""Then others are served before this webhook goes on."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(hours=1)
GIVEN_UP_AFTER = timedelta(days=5)
KEPT = timedelta(days=7)
"""Deliveries are remembered for so long."""

AT_ONCE = 100
GONE = 410


class Courier:
    """Delivers what is due. Any number may run: a webhook is claimed under a lease, so one at a time serves it."""

    def __init__(self, begin: Begin, clock: Clock, send: Sender) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock, self._send = begin, clock, send

    def deliver_due(self) -> int:
        """Serve every webhook for which something is due now; gives how often something was sent."""
        sent = 0
        while True:
            holder = secrets.token_hex(8)
            now = self._clock()
            with self._begin() as work:
                webhook = work.webhooks.claim(holder=holder, at=now, until=now + LEASE)
            if webhook is None:
                return sent
            sent += self._serve(webhook, holder)

    def _serve(self, webhook: SecretWebhook, holder: str) -> int:
        """Deliver in order, until there is no more, one fails, or the turn is over; gives how often it was sent."""
        sent, ends = 0, self._clock() + TURN
        while True:
            change, webhook = self._next(webhook)
            if change is None or self._clock() > ends:
                self._save(webhook, holder, until=self._clock())
                return sent
            delivery = self._deliver(webhook, change)
            webhook, sent = after(webhook, delivery), sent + 1
            until = self._clock() + (LEASE if delivery.succeeded else timedelta())
            held = self._save(webhook, holder, until=until, delivery=delivery)
            if not held or not delivery.succeeded:
                return sent  # it was removed, or is somebody else's by now, or is to be tried again later

    def _next(self, webhook: SecretWebhook) -> tuple[Change | None, SecretWebhook]:
        """The next change that the webhook wants, and the webhook with those before it passed over."""
        with self._begin() as work:
            changes = work.changes.since(webhook.serial, limit=AT_ONCE)
        for change in changes:
            if webhook.wants(change.kind, change.ref):
                return change, webhook
            webhook = webhook.model_copy(update={"serial": change.serial})
        return None, webhook

    def _deliver(self, webhook: SecretWebhook, change: Change) -> Delivery:
        """Send one change once."""
        now, body = self._clock(), payload(change)
        message = f"{webhook.id}-{change.serial}"
        began = time.perf_counter()
        sent: Sent = self._send(webhook.url, body=body, headers=signed(webhook.secret, message, now, body))
        return Delivery(
            serial=change.serial,
            attempt=webhook.failures + 1,
            at=now,
            status=sent.status,
            error=sent.error,
            milliseconds=round(1000 * (time.perf_counter() - began), 1),
        )

    def _save(self, webhook: SecretWebhook, holder: str, *, until: datetime, delivery: Delivery | None = None) -> bool:
        """Keep how far a webhook is, and what was sent, in one step; False when somebody else has it."""
        with self._begin() as work:
            if not work.webhooks.save(webhook, holder=holder, until=until):
                return False
            if delivery is not None:
                work.webhooks.add_delivery(webhook.id, delivery, forget_before=delivery.at - KEPT)
        return True


def after(webhook: SecretWebhook, delivery: Delivery) -> SecretWebhook:
    """The webhook after a delivery: further on, or to be tried again later, or given up."""
    if delivery.succeeded:
        changed = {"serial": delivery.serial, "failures": 0, "failing_since": None, "next_at": delivery.at}
        return webhook.model_copy(update=changed)
    since = webhook.failing_since or delivery.at
    pause = min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(webhook.failures, 20))
    changed = {"failures": webhook.failures + 1, "failing_since": since, "next_at": delivery.at + pause}
    return webhook.model_copy(update={**changed, "disabled": _given_up(delivery, since)})


def _given_up(delivery: Delivery, since: datetime) -> str | None:
    """Why nothing is sent any more; None while it is tried again."""
    if delivery.status == GONE:
        return f"the receiver answered {GONE}, that it is gone"
    if delivery.at - since >= GIVEN_UP_AFTER:
        last = f"the answer was {delivery.status}" if delivery.error is None else delivery.error
        return f"no delivery succeeded for {GIVEN_UP_AFTER.days} days; at last {last}"
    return None


def payload(change: Change) -> bytes:
    """What is sent of a change."""
    body = {"type": change.kind, "timestamp": change.at.isoformat(), "data": change.model_dump(mode="json")}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def signed(secret: str, message: str, at: datetime, body: bytes) -> Mapping[str, str]:
    """The headers of a delivery, as Standard Webhooks has them: HMAC-SHA256 over id, timestamp and body."""
    timestamp = str(int(at.timestamp()))
    key = base64.b64decode(secret.removeprefix(SECRET_PREFIX))
    digest = hmac.new(key, f"{message}.{timestamp}.".encode() + body, hashlib.sha256).digest()
    return {
        "content-type": "application/json",
        "webhook-id": message,
        "webhook-timestamp": timestamp,
        "webhook-signature": f"v1,{base64.b64encode(digest).decode()}",
    }
