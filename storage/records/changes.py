"""The audit and the zoo's own history in SQL: one table to which rows are only added."""

from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, func, select

from registry.access import EVERYTHING, Sight
from registry.audit_records import PUBLIC, AuditEntry, AuditSearch, Deed, chained
from registry.records import Change, Page
from storage.cursors import read_cursor, write_cursor
from storage.records.sight import in_sight
from storage.tables import AuditRow, CounterRow
from storage.transaction import Transaction

SERIAL = "changes"
ORDER = "audit"


class SqlChangeRecords:
    """The audit, and the part of it that is public.

    Serials are given in the order of the commits, so a reader never sees a gap close: whoever is given one holds the
    counter's row until the transaction ends, and so knows the entry before. That row is the last lock of a transaction,
    so nobody who has it waits for another lock.
    """

    def __init__(self, transaction: Transaction, sight: Sight = EVERYTHING) -> None:
        """Args: transaction: the one all records of a unit of work share; sight: which changes the feed may tell."""
        self._transaction, self._sight = transaction, sight

    def add(self, deed: Deed) -> None:
        """Append, when all else of the transaction is written."""
        self._transaction.do_last(partial(self._append, deed))

    def _append(self, deed: Deed) -> None:
        serial = self._next_serial()
        insert = self._transaction.insert(AuditRow).values(
            serial=serial,
            kind=deed.kind,
            ref=deed.ref,
            namespace=_namespace(deed),
            actor=deed.by,
            request=deed.request,
            detail=deed.detail,
            at=deed.at,
            public=deed.kind in PUBLIC,
            hash=chained(self._hash_before(serial), serial, deed),
        )
        self._transaction.change(insert)

    def serial(self) -> int:
        """The newest serial of a public change, 0 for an empty zoo."""
        rows = self._transaction.rows(select(func.coalesce(func.max(AuditRow.serial), 0)).where(AuditRow.public))
        return rows[0][0]

    def last_given(self) -> int:
        """The newest serial of any entry, 0 without any."""
        row = self._transaction.first(select(CounterRow.last).where(CounterRow.name == SERIAL))
        return 0 if row is None else row[0]

    def since(self, serial: int, *, limit: int, namespace: str | None = None) -> tuple[Change, ...]:
        """Public changes in sight after a serial, oldest first; of one namespace if it is named."""
        seen = in_sight(AuditRow.namespace, self._sight)
        later = select(AuditRow).where(AuditRow.public, AuditRow.serial > serial, seen)
        if namespace is not None:
            later = later.where(AuditRow.namespace == namespace)
        rows = self._transaction.rows(later.order_by(AuditRow.serial).limit(limit))
        return tuple(
            Change.model_validate(
                {"serial": row.serial, "kind": row.kind, "ref": row.ref, "detail": row.detail, "at": row.at}
            )
            for (row,) in rows
        )

    def chain(self, serial: int, *, limit: int) -> tuple[AuditEntry, ...]:
        """Entries of every kind after a serial, oldest first."""
        later = select(AuditRow).where(AuditRow.serial > serial).order_by(AuditRow.serial).limit(limit)
        return tuple(_entry(row) for (row,) in self._transaction.rows(later))

    def entries(self, wanted: AuditSearch, *, limit: int, cursor: str | None) -> Page[AuditEntry]:
        """Entries that fit, newest first. Raises InvalidInputError for a bad cursor."""
        found = select(AuditRow).where(*_conditions(wanted))
        if cursor is not None:
            found = found.where(AuditRow.serial < read_cursor(cursor, ORDER, (int,))[0])
        rows = self._transaction.rows(found.order_by(AuditRow.serial.desc()).limit(limit + 1))
        entries = tuple(_entry(row) for (row,) in rows[:limit])
        more = write_cursor(ORDER, (entries[-1].serial,)) if len(rows) > limit else None
        return Page(items=entries, next_cursor=more)

    def _next_serial(self) -> int:
        insert = self._transaction.insert(CounterRow).values(name=SERIAL, last=1)
        raised = insert.on_conflict_do_update(
            index_elements=[CounterRow.name], set_={"last": CounterRow.last + 1}
        ).returning(CounterRow.last)
        return self._transaction.changed(raised)[0][0]

    def _hash_before(self, serial: int) -> str:
        """The hash of the entry before; empty for the first."""
        row = self._transaction.first(select(AuditRow.hash).where(AuditRow.serial == serial - 1))
        return "" if row is None else row[0]


def _namespace(deed: Deed) -> str | None:
    """The namespace that a public change is in."""
    return deed.ref.partition("/")[0] if deed.kind in PUBLIC else None


def _entry(row: AuditRow) -> AuditEntry:
    fields = {name: getattr(row, name) for name in ("serial", "kind", "ref", "request", "detail", "at", "hash")}
    return AuditEntry.model_validate({**fields, "by": row.actor})


def _conditions(wanted: AuditSearch) -> list[ColumnElement[bool]]:
    """What must hold of an entry."""
    since: datetime | None = wanted.since
    named = [(AuditRow.ref, wanted.ref), (AuditRow.actor, wanted.actor), (AuditRow.kind, wanted.kind)]
    conditions: list[ColumnElement[bool]] = [column == value for column, value in named if value is not None]
    return conditions if since is None else [*conditions, AuditRow.at >= since]
