"""The database as it was at one moment, while others go on writing."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy import Engine, inspect, select
from sqlalchemy.orm import Session

from storage.tables import Table
from storage.translation import translated

Row = TypeVar("Row", bound=Table)
ROWS_AT_ONCE = 1000


@contextmanager
def snapshot(engine: Engine) -> Iterator[Session]:
    """A session that reads one moment from its first statement to its end, and keeps nobody from writing."""
    one_moment = engine
    if engine.dialect.name == "postgresql":
        one_moment = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    with translated(), Session(one_moment) as session, session.begin():
        yield session


def every(session: Session, table: type[Row]) -> Iterator[Row]:
    """Every row of a table, a few in memory at a time, in the order of its keys."""
    keys = inspect(table).primary_key
    wanted = select(table).order_by(*keys).execution_options(yield_per=ROWS_AT_ONCE)
    for row in session.scalars(wanted):
        yield row
        session.expunge(row)
