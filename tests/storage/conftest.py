"""A fresh SQLite file and a fresh folder for each test."""

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

pytest.register_assert_rewrite("tests.storage.contracts")


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'zoo.sqlite3'}"


@pytest.fixture(scope="session")
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("migrated") / "zoo.sqlite3"
    engine = open_engine(f"sqlite:///{file}")
    upgrade(engine)
    engine.dispose()
    return file


@pytest.fixture
def engine(database: str, migrated: Path, tmp_path: Path) -> Iterator[Engine]:
    shutil.copy(migrated, tmp_path / "zoo.sqlite3")
    engine = open_engine(database)
    yield engine
    engine.dispose()


@pytest.fixture
def begin(engine: Engine) -> Begin:
    return units_of_work(engine)


@pytest.fixture
def blobs(tmp_path: Path) -> FolderBlobs:
    return FolderBlobs(tmp_path / "blobs")
