"""A fresh database and a fresh folder for each test; a test that asks for a database runs on both kinds.

One that is about a single kind says so: ``@ONLY_SQLITE`` or ``@ONLY_POSTGRES`` of tests.storage.kinds.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine

from registry.ports import Begin
from storage.engine import open_engine
from storage.folder_blobs import FolderBlobs
from storage.migrations import upgrade
from storage.unit_of_work import units_of_work
from tests.postgres import MigratedDatabases, Postgres
from tests.storage.kinds import BOTH, POSTGRES

pytest.register_assert_rewrite("tests.storage.contracts")


@pytest.fixture(params=BOTH)
def kind(request: pytest.FixtureRequest) -> str:
    """Which kind of database a test runs on."""
    return str(request.param)


@pytest.fixture
def database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of a database that only this test has: empty, or with every table where it asks for `engine` too."""
    if kind != POSTGRES:
        yield f"sqlite:///{tmp_path / 'zoo.sqlite3'}"
        return
    if "engine" in request.fixturenames:
        migrated: MigratedDatabases = request.getfixturevalue("migrated_databases")
        with migrated.one() as url:
            yield url
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        with postgres.database() as url:
            yield url


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "zoo.sqlite3"
    engine = open_engine(f"sqlite:///{file}")
    upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture
def engine(kind: str, database: str, migrated: Path, tmp_path: Path) -> Iterator[Engine]:
    if kind != POSTGRES:
        shutil.copy(migrated, tmp_path / "zoo.sqlite3")
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def other_database(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The URL of one more, empty."""
    if kind != POSTGRES:
        yield f"sqlite:///{tmp_path / 'other.sqlite3'}"
        return
    postgres: Postgres = request.getfixturevalue("postgres")
    with postgres.database() as url:
        yield url


@pytest.fixture
def begin(engine: Engine) -> Begin:
    return units_of_work(engine)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")
