"""The audit: every change is written down in the transaction that makes it, and nobody can take that back."""

from datetime import datetime

from registry.audit_records import AuditCheck, AuditEntry, AuditSearch, Deed, Kind, chained
from registry.origins import current_origin
from registry.ports import Begin, UnitOfWork
from registry.records import STAFF, Page

ENTRIES_AT_ONCE = 1000


def note(work: UnitOfWork, kind: Kind, ref: str, *, at: datetime, by: str = STAFF, detail: str = "") -> None:
    """Write down a change within the transaction that makes it."""
    work.changes.add(Deed(kind=kind, ref=ref, by=by, request=current_origin().request_id, detail=detail, at=at))


class AuditService:
    """Reading the audit, and checking that it is as it was written."""

    def __init__(self, begin: Begin) -> None:
        """Args: begin: where it is kept."""
        self._begin = begin

    def entries(self, wanted: AuditSearch, *, limit: int, cursor: str | None) -> Page[AuditEntry]:
        """Entries, newest first."""
        with self._begin() as work:
            return work.changes.entries(wanted, limit=limit, cursor=cursor)

    def verify(self) -> AuditCheck:
        """Compute every hash again, from the first entry on.

        Finds an entry that was altered, removed, put in between or cut off the end; not one whose hash, and all after
        it, were made anew: for that, compare the head with one that was kept elsewhere.
        """
        with self._begin() as work:
            last = work.changes.last_given()
        before, expected = "", 1
        while expected <= last:
            entries = self._next(expected, last)
            for entry in entries:
                reason = _fault(entry, before, expected)
                if reason is not None:
                    return AuditCheck(entries=expected - 1, head=before, broken_at=expected, reason=reason)
                before, expected = entry.hash, expected + 1
            if not entries:
                return AuditCheck(
                    entries=expected - 1, head=before, broken_at=expected, reason=f"entry {expected} is missing"
                )
        return AuditCheck(entries=last, head=before)

    def _next(self, first: int, last: int) -> tuple[AuditEntry, ...]:
        """Some entries from one serial on, in a transaction of its own, so that checking holds up nobody."""
        with self._begin() as work:
            found = work.changes.chain(first - 1, limit=ENTRIES_AT_ONCE)
        return tuple(entry for entry in found if entry.serial <= last)


def _fault(entry: AuditEntry, before: str, expected: int) -> str | None:
    """What is wrong with an entry that should follow this hash, with this serial."""
    if entry.serial != expected:
        return f"entry {expected} is missing; {entry.serial} follows"
    if entry.hash != chained(before, entry.serial, entry):
        return f"entry {entry.serial} ({entry.kind} {entry.ref[:200]}) is not what was written"
    return None
