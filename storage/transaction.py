"""One transaction: reads that never wait, and writes that take the lock they need."""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar, TypeVarTuple

from sqlalchemy import Delete, Insert, Row, Update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session
from sqlalchemy.sql.selectable import TypedReturnsRows

from registry.batches import batches
from registry.names import Digest
from storage.engine import hold_advisory_lock, hold_write_lock
from storage.tables import Table
from storage.translation import translated

Columns = TypeVarTuple("Columns")
Value = TypeVar("Value")
CHUNK = 500
"""How many values go into one list of a statement; databases bound it."""
HOLD_NUMBER = 7_211_406_019
"""Which advisory lock of PostgreSQL a transaction holds that holds; any number that nobody else uses."""

Change = Insert | Update | Delete
OWN_ROWS_ARE_STALE = {"synchronize_session": False, "populate_existing": True}
"""A transaction remembers no rows: what is read is read from the database."""


class Transaction:
    """Statements of one unit of work. The first write waits for the write lock, where the database has one."""

    def __init__(self, session: Session) -> None:
        """Args: session: a session that has begun, and that somebody else commits."""
        self._session = session
        self._holds_lock = False
        self._last: list[Callable[[], None]] = []

    def rows(self, statement: TypedReturnsRows[*Columns]) -> Sequence[Row[*Columns]]:
        """All rows of a query."""
        with translated():
            return self._session.execute(statement, execution_options=OWN_ROWS_ARE_STALE).all()

    def first(self, statement: TypedReturnsRows[*Columns]) -> Row[*Columns] | None:
        """The first row of a query."""
        with translated():
            return self._session.execute(statement, execution_options=OWN_ROWS_ARE_STALE).first()

    def change(self, statement: Change) -> None:
        """Carry out a change."""
        self.lock()
        with translated():
            self._session.execute(statement, execution_options=OWN_ROWS_ARE_STALE)

    def changed(self, statement: TypedReturnsRows[*Columns]) -> Sequence[Row[*Columns]]:
        """Carry out a change, or a query that locks its rows; gives the rows it returns."""
        self.lock()
        return self.rows(statement)

    def added(
        self, statement: TypedReturnsRows[*Columns], rows: Sequence[Mapping[str, object]]
    ) -> Sequence[Row[*Columns]]:
        """Carry out an insert for many rows at once, each by its columns' names; gives what is returned, unordered."""
        self.lock()
        with translated():
            return self._session.execute(statement, rows, execution_options=OWN_ROWS_ARE_STALE).all()

    def insert(self, table: type[Table]) -> sqlite.Insert | postgresql.Insert:
        """An insert that may say what happens on a conflict."""
        if self._session.get_bind().dialect.name == "sqlite":
            return sqlite.insert(table)
        return postgresql.insert(table)

    @property
    def has_grams(self) -> bool:
        """Whether the database has `zoo_grams` and its index."""
        return self._session.get_bind().dialect.name == "postgresql"

    def lock(self) -> None:
        """Hold the write lock from here on, where the database has one."""
        if self._holds_lock:
            return
        with translated():
            hold_write_lock(self._session.connection())
        self._holds_lock = True

    def do_last(self, write: Callable[[], None]) -> None:
        """Have something written when all else is: what takes a lock that everybody wants, and so briefly."""
        self._last.append(write)

    def finish(self) -> None:
        """Write what was to be last, in the order in which it was asked for; the commit follows."""
        while self._last:
            self._last.pop(0)()

    def hold(self) -> None:
        """Wait until no other transaction holds, and hold until this one ends; holding twice is holding once."""
        self.lock()
        with translated():
            hold_advisory_lock(self._session.connection(), HOLD_NUMBER)

    def hold_shared(self) -> None:
        """Wait until no other transaction holds alone, and keep others from it until this one ends."""
        self.lock()
        with translated():
            hold_advisory_lock(self._session.connection(), HOLD_NUMBER, shared=True)

    def hold_bytes(self, digest: Digest) -> None:
        """Wait until no other transaction holds these bytes, and hold them until this one ends."""
        self.lock()
        with translated():
            hold_advisory_lock(self._session.connection(), _number_of(digest))


def _number_of(digest: Digest) -> int:
    """A number for a lock: below zero, as fixed ones are above, and of seven bytes. Two digests may share one.

    It is made of the text, since the doctor also meets digests that are none.
    """
    return -1 - int.from_bytes(hashlib.sha256(digest.encode()).digest()[:7])


def chunks(values: Iterable[Value]) -> Iterator[tuple[Value, ...]]:
    """The values in pieces that fit into one statement."""
    return batches(values, CHUNK)
