"""Webhooks and their deliveries: what travels and what is kept."""

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import Field

from registry.audit_records import PublicKind
from registry.frozen import Asked, Frozen
from registry.names import WORD_PATTERN

LONGEST_URL = 2000


class NewWebhook(Asked):
    """Where changes are to be sent: those of some kinds (none named: all), in one namespace if it is named."""

    url: Annotated[str, Field(max_length=LONGEST_URL)]
    events: Annotated[tuple[PublicKind, ...], Field(max_length=20)] = ()
    namespace: Annotated[str, Field(pattern=f"^{WORD_PATTERN}$")] | None = None


class Webhook(NewWebhook):
    """One webhook. All changes up to `serial` were delivered, or not wanted.

    `failures` counts the tries in vain since the last success; the next is at `next_at`. A `disabled` one says why.
    """

    id: str
    owner: str
    created_at: datetime
    serial: int
    failures: int = 0
    failing_since: datetime | None = None
    next_at: datetime
    disabled: str | None = None

    def wants(self, kind: PublicKind, ref: str) -> bool:
        """Whether a change is to be delivered."""
        in_place = self.namespace is None or ref.partition("/")[0] == self.namespace
        return in_place and (not self.events or kind in self.events)


class SecretWebhook(Webhook):
    """A webhook with the secret that its deliveries are signed with, as it is told once."""

    secret: str


class Delivery(Frozen):
    """One try to deliver one change: the status that was answered, or why there was none."""

    serial: int
    attempt: int
    at: datetime
    status: int | None
    error: str | None = None
    milliseconds: float

    @property
    def succeeded(self) -> bool:
        """Whether the receiver has taken it."""
        return self.status is not None and 200 <= self.status < 300


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of sending a request: a status, or the reason why there is none."""

    status: int | None
    error: str | None = None
