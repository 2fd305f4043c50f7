"""What is written down of every change: who did what, when; entries are chained, so that altering one shows."""

import hashlib
import json
from datetime import UTC, datetime
from typing import Annotated, Literal, get_args

from pydantic import Field

from registry.frozen import Frozen

PublicKind = Literal["publish", "yank", "unyank", "delete", "alias", "unalias", "refuse", "verify", "namespace"]
"""What everybody may know of, and what may change an answer."""

PrivateKind = Literal[
    "add_dataset",
    "remove_dataset",
    "add_task",
    "compose",
    "submit",
    "cancel",
    "outcome",
    "create_webhook",
    "remove_webhook",
    "create_token",
    "revoke_token",
    "lost",
]
"""What is between whoever did it and who keeps the zoo; `lost` was one of these, before the tables were taken back."""

Kind = PublicKind | PrivateKind

PUBLIC: frozenset[str] = frozenset(get_args(PublicKind))

LONGEST_DETAIL = 2000


class Deed(Frozen):
    """One change as it is told to the audit.

    Args:
        kind: what was done.
        ref: to what: a version, an alias, a dataset's digest, a job, whatever names it for good.
        by: whose request it was; the zoo's own name where it did it by itself.
        request: the request's id.
        detail: what else is worth keeping, such as the version an alias points at now; nothing private.
        at: when.
    """

    kind: Kind
    ref: str
    by: str
    request: str | None = None
    detail: Annotated[str, Field(max_length=LONGEST_DETAIL)] = ""
    at: datetime


class AuditEntry(Deed):
    """One entry: a deed with its place and its hash, which covers the entry and the hash before it."""

    serial: int
    hash: str


class AuditSearch(Frozen):
    """Which entries; empty fields do not narrow. `since` is the moment from which on."""

    ref: str | None = None
    actor: str | None = None
    kind: Kind | None = None
    since: datetime | None = None


class AuditCheck(Frozen):
    """Whether the audit is as it was written: how many entries hold, and the first that does not.

    Whoever keeps `head` elsewhere can tell later that nothing up to it was rewritten.
    """

    entries: int
    head: str
    broken_at: int | None = None
    reason: str | None = None

    @property
    def whole(self) -> bool:
        """Whether nothing is missing or altered."""
        return self.broken_at is None


def chained(before: str, serial: int, deed: Deed) -> str:
    """The hash of an entry: SHA-256 over the hash before it, its serial and everything it says.

    Args:
        before: the hash of the entry before; empty for the first.
        serial: its place.
        deed: what it says.

    Returns:
        64 hex digits.
    """
    said = [before, serial, deed.kind, deed.ref, deed.by, deed.request, deed.detail, _written(deed.at)]
    return hashlib.sha256(json.dumps(said, ensure_ascii=True, separators=(",", ":")).encode()).hexdigest()


def _written(at: datetime) -> str:
    """A moment as text that does not depend on how a database gives it back."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")
