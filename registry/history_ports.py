"""What the rules need from outside to know what has happened: the audit, and the requests that came with a key."""

from datetime import datetime
from typing import Protocol

from registry.audit_records import AuditEntry, AuditSearch, Deed
from registry.key_records import FirstAnswer, RequestKey
from registry.names import Digest
from registry.records import Change, Page


class ChangeRecords(Protocol):
    """The audit, to which entries are only added, and the public part of it: the zoo's own history.

    All have one row of serials, given in the order of commits: whoever has read up to one has missed none before it.
    """

    def add(self, deed: Deed) -> int:
        """Append; gives the new serial. Until the transaction ends, whoever else appends waits."""

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
