"""Engines: how connections are opened, and what databases must be told before they keep their promises."""

import sqlite3
import time
import weakref
from pathlib import Path

from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import ArgumentError, DBAPIError
from sqlalchemy.pool import ConnectionPoolEntry

from registry.errors import BusyError, SettingsError, ZooError
from storage.translation import disk_translated, translated

BUSY_SECONDS = 30.0
POOL_SIZE = 10
POOL_OVERFLOW = 40
REMOTE: dict[str, str | int | None] = {
    "prepare_threshold": None,  # a plan made for no particular values reads half the list for a page in its middle
    "connect_timeout": 10,
    "application_name": "module-zoo",
    "keepalives_idle": 20,
    "keepalives_interval": 10,
    "keepalives_count": 3,
    "tcp_user_timeout": 50_000,
}
"""What a connection to PostgreSQL does where the address does not say otherwise; seconds, the last in milliseconds."""
NOT_LET_IN = ("authentication failed", "no password supplied", "does not exist", "pg_hba.conf", "permission denied")
"""What PostgreSQL says where trying again will not help; one that says it in another language counts as unreachable."""


def open_engine(url: str) -> Engine:
    """An engine for a database; the folder of a SQLite file is made.

    Raises:
        SettingsError: the address is not well-formed, or its driver is not installed.
        StorageError: the folder cannot be made.
    """
    parsed = _parsed(url)
    return _open_sqlite(parsed) if parsed.get_backend_name() == "sqlite" else _open_postgres(parsed)


def check_reachable(engine: Engine) -> None:
    """Open a connection, to say at the start what is wrong where none can be had.

    Raises:
        SettingsError: PostgreSQL does not let this user in, or knows neither user nor database.
        BusyError: nobody answers there.
    """
    try:
        engine.connect().close()
    except DBAPIError as error:
        if engine.dialect.name == "sqlite":
            with translated():
                raise
        raise _refusal(engine.url, str(error.orig).partition("\n")[0].strip()) from error


def _refusal(url: URL, reason: str) -> ZooError:
    """Why there is no connection; the reason is the driver's own, which names user and host and no password."""
    if any(words in reason for words in NOT_LET_IN):
        return SettingsError(
            f"ZOO_DATABASE: PostgreSQL does not let {url.username!r} into {url.database!r} ({reason}); "
            "correct the user, the password or the name of the database"
        )
    return BusyError(
        f"ZOO_DATABASE: the PostgreSQL of {url.database!r} cannot be reached ({reason}); "
        "see that it runs there and that host and port are right"
    )


def _parsed(url: str) -> URL:
    """The parts of an address. Raises SettingsError, which does not repeat it: it may hold a password."""
    try:
        return make_url(url)
    except (ArgumentError, ValueError) as error:
        raise SettingsError(
            "ZOO_DATABASE is not well-formed; write it as postgresql://user:password@host:5432/zoo, and letters of the "
            "password such as '@', ':' or '/' as '%' and two digits"
        ) from error


def _open_postgres(url: URL) -> Engine:
    """An engine whose connections notice within a minute that the server has gone. Raises SettingsError."""
    try:
        engine = create_engine(
            url,
            pool_size=POOL_SIZE,
            max_overflow=POOL_OVERFLOW,
            pool_pre_ping=True,
            connect_args={name: value for name, value in REMOTE.items() if name not in url.query},
            isolation_level="READ COMMITTED",  # each statement sees what was committed before it, so a holder does
        )
    except ModuleNotFoundError as error:
        raise SettingsError(
            f"ZOO_DATABASE names PostgreSQL, but its driver {error.name} is not installed; install module-zoo with the "
            "extra `postgres`"
        ) from error
    event.listen(engine, "connect", _bound_waiting)
    return engine


def _bound_waiting(connection: DBAPIConnection, entry: ConnectionPoolEntry) -> None:
    """Nobody waits longer for a lock than on SQLite."""
    del entry
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = {round(1000 * BUSY_SECONDS)}")
    cursor.close()
    connection.commit()


def _open_sqlite(url: URL) -> Engine:
    """An engine for a file. Raises StorageError when its folder cannot be made."""
    if url.database:
        folder = Path(url.database).parent
        with disk_translated(f"the folder {folder}"):
            folder.mkdir(parents=True, exist_ok=True)
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=POOL_OVERFLOW, connect_args={"timeout": BUSY_SECONDS})
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


def hold_advisory_lock(connection: Connection, number: int, *, shared: bool = False) -> None:
    """Wait for a numbered lock of PostgreSQL and hold it until the transaction ends; SQLite has its write lock.

    Those who wait are served in their order, so many that share do not keep one that wants it alone from it.
    """
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock{'_shared' if shared else ''}({number})")


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
