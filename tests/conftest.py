"""Servers that many tests share, started once, when the first test needs them, and stopped at the end."""

import os
import signal
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import structlog

from tests.object_store import ObjectStore, named_store, running_store
from tests.postgres import MigratedDatabases, Postgres, running_postgres


@pytest.fixture(autouse=True)
def _plain_logs() -> None:
    """Each test begins with plain logs: drawing a traceback takes seconds, and a program may have set others."""
    renderer = structlog.dev.ConsoleRenderer(colors=False, exception_formatter=structlog.dev.plain_traceback)
    processors = [structlog.contextvars.merge_contextvars, structlog.processors.add_log_level, renderer]
    structlog.configure(processors=processors, logger_factory=structlog.PrintLoggerFactory())


@pytest.fixture
def hang_up_is_heard() -> Iterator[None]:
    """SIGHUP has its effect here and in programs begun here, though the tests themselves run under `nohup`."""
    before = signal.getsignal(signal.SIGHUP)
    if before is signal.SIG_IGN:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    with running_postgres() as server:
        yield server


@pytest.fixture(scope="session")
def migrated_databases(postgres: Postgres) -> Iterator[MigratedDatabases]:
    with ExitStack() as kept:
        yield MigratedDatabases(postgres, kept)


@pytest.fixture(scope="session")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ObjectStore]:
    named = os.environ.get("ZOO_TEST_S3")
    if named:
        yield named_store(named)
        return
    with running_store(tmp_path_factory.mktemp("object-store")) as store:
        yield store
