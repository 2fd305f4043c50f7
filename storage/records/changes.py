"""The zoo's own history in SQL."""

from datetime import datetime

from sqlalchemy import func, select

from registry.records import Change
from storage.tables import ChangeRow, CounterRow
from storage.transaction import Transaction

SERIAL = "changes"


class SqlChangeRecords:
    """The zoo's own history. Serials are given in the order of the commits, so a reader never sees a gap close."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, kind: str, ref: str, *, at: datetime) -> int:
        """Append; gives the new serial."""
        serial = self._next_serial()
        insert = self._transaction.insert(ChangeRow).values(serial=serial, kind=kind, ref=ref, at=at)
        self._transaction.change(insert)
        return serial

    def serial(self) -> int:
        """The newest serial, 0 for an empty zoo."""
        rows = self._transaction.rows(select(func.coalesce(func.max(ChangeRow.serial), 0)))
        return rows[0][0]

    def since(self, serial: int, *, limit: int) -> tuple[Change, ...]:
        """Changes after a serial, oldest first."""
        later = select(ChangeRow).where(ChangeRow.serial > serial).order_by(ChangeRow.serial).limit(limit)
        rows = self._transaction.rows(later)
        return tuple(
            Change.model_validate({"serial": row.serial, "kind": row.kind, "ref": row.ref, "at": row.at})
            for (row,) in rows
        )

    def _next_serial(self) -> int:
        insert = self._transaction.insert(CounterRow).values(name=SERIAL, last=1)
        raised = insert.on_conflict_do_update(
            index_elements=[CounterRow.name], set_={"last": CounterRow.last + 1}
        ).returning(CounterRow.last)
        return self._transaction.changed(raised)[0][0]
