"""What the rules need from outside to know what has happened: the audit, and the requests that came with a key."""

from collections.abc import Mapping
from datetime import datetime
from typing import Protocol

from registry.audit_records import AuditEntry, AuditSearch, Deed
from registry.key_records import FirstAnswer, RequestKey
from registry.names import Digest
from registry.records import Change, Page
from registry.webhook_records import Delivery, SecretWebhook, Sent, Webhook


class ChangeRecords(Protocol):
    """The audit, to which entries are only added, and the public part of it: the zoo's own history.

    All have one row of serials, given in the order of commits: whoever has read up to one has missed none before it.
    """

    def add(self, deed: Deed) -> None:
        """Append, with the commit of the transaction: until then it has no serial and is not found."""

    def serial(self) -> int:
        """The newest serial of a public change, 0 for an empty zoo."""

    def last_given(self) -> int:
        """The newest serial of any entry, 0 without any."""

    def since(self, serial: int, *, limit: int, namespace: str | None = None) -> tuple[Change, ...]:
        """Public changes after a serial, oldest first; of one namespace if it is named."""

    def chain(self, serial: int, *, limit: int) -> tuple[AuditEntry, ...]:
        """Entries of every kind after a serial, oldest first."""

    def entries(self, wanted: AuditSearch, *, limit: int, cursor: str | None) -> Page[AuditEntry]:
        """Entries that fit, newest first."""


class RequestKeyRecords(Protocol):
    """Which requests were made under which key, and how they were answered."""

    def reserve(self, key: RequestKey, *, at: datetime, since: datetime) -> FirstAnswer | None:
        """Take a key for this transaction, or give the answer that is kept under it since then.

        While another transaction has taken it, this waits. `keep` comes before the end; older answers are forgotten.
        """

    def keep(self, key: RequestKey, *, answer: str, created: bool, about: Digest | None) -> None:
        """Keep the answer under a key that was taken."""

    def forget_about(self, data: Digest) -> None:
        """Forget the answers that tell of a dataset."""


class WebhookRecords(Protocol):
    """Who wants to be told of changes, how far each is, and what was sent."""

    def add(self, webhook: SecretWebhook) -> None:
        """Record a webhook."""

    def get(self, webhook_id: str, *, owner: str | None) -> Webhook | None:
        """One webhook; an owner of None sees every one."""

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Webhook]:
        """Newest first."""

    def remove(self, webhook_id: str) -> None:
        """Forget a webhook and its deliveries."""

    def claim(self, *, holder: str, at: datetime, until: datetime) -> SecretWebhook | None:
        """Give the webhook that has waited longest to a holder; None where nothing is due."""

    def save(self, webhook: SecretWebhook, *, holder: str, until: datetime) -> bool:
        """Keep how far a webhook is, and hold it until then; False when this holder does not have it any more."""

    def add_delivery(self, webhook_id: str, delivery: Delivery, *, forget_before: datetime) -> None:
        """Record a delivery, and forget those before a moment."""

    def deliveries(self, webhook_id: str, *, limit: int, cursor: str | None) -> Page[Delivery]:
        """Newest first."""


class Sender(Protocol):
    """Sends a body to an address that somebody named, and to no other; never raises for what the other side does."""

    def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Sent:
        """The status that was answered, or why there is none."""
