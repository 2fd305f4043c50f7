"""Engines: how connections are opened, and what SQLite must be told before it keeps its promises."""

import sqlite3
import time
import weakref
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from storage.translation import disk_translated

BUSY_SECONDS = 30.0
POOL_SIZE = 10
POOL_OVERFLOW = 40


def open_engine(url: str) -> Engine:
    """An engine for a database; the folder of a SQLite file is made. Raises StorageError when it cannot be."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(
            parsed,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            isolation_level="READ COMMITTED",  # each statement sees what was committed before it, so a holder does
        )
    if parsed.database:
        folder = Path(parsed.database).parent
        with disk_translated(f"the folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
    engine = create_engine(
        parsed, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW, connect_args={"timeout": BUSY_SECONDS}
    )
    event.listen(engine, "begin", _begin)
    opened = OpenConnections()
    event.listen(engine, "connect", opened.prepare)
    event.listen(engine, "close", opened.forget)
    weakref.finalize(engine, opened.close)
    return engine


def hold_write_lock(connection: Connection) -> None:
    """Wait for SQLite's one write lock and hold it until the transaction ends; other databases lock rows.

    What was read so far came from an older moment, as it does on PostgreSQL between two statements; from here
    on nobody else writes. A transaction that read and then wrote without this could be refused at once.
    """
    if connection.dialect.name == "sqlite":
        connection.exec_driver_sql("COMMIT")
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def hold_advisory_lock(connection: Connection, number: int) -> None:
    """Wait for a numbered lock of PostgreSQL and hold it until the transaction ends; SQLite has its write lock."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({number})")


def _begin(connection: Connection) -> None:
    """Begin for SQLite: readers see one moment and hold no lock."""
    connection.exec_driver_sql("BEGIN")


def _use_write_ahead_log(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging once. SQLite does not wait for others here, so we do."""
    deadline = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


class OpenConnections:
    """Connections of one SQLite engine: prepared when they open, and closed when the engine goes."""

    def __init__(self) -> None:
        self._connections: dict[int, sqlite3.Connection] = {}

    def prepare(self, connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        """Transactions are ours to begin, readers never wait for a writer, and a commit is on the disk."""
        del entry
        if not isinstance(connection, sqlite3.Connection):
            raise TypeError(f"expected a connection of sqlite3, got {type(connection)}")
        connection.isolation_level = None
        _use_write_ahead_log(connection)
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")
        self._connections[id(connection)] = connection

    def forget(self, connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
        """The pool has closed a connection itself."""
        del entry
        self._connections.pop(id(connection), None)

    def close(self) -> None:
        """Close what is open still."""
        while self._connections:
            self._connections.popitem()[1].close()
