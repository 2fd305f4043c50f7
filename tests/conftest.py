"""One PostgreSQL for all tests, started when the first of them asks, and stopped at the end."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from tests.postgres import MigratedDatabases, Postgres, running_postgres


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_databases(postgres: Postgres) -> Iterator[MigratedDatabases]:
    with ExitStack() as kept:
        yield MigratedDatabases(postgres, kept)
