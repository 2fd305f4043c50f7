"""The commands about the tables of a database: upgrade, downgrade, revision."""

import sys
from argparse import ArgumentParser, Namespace, _SubParsersAction
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TypeAlias

from sqlalchemy import Engine

from registry.settings import Settings
from storage.engine import check_reachable, open_engine
from storage.migrations import BASE, downgrade, newest_revision, revision_of, upgrade

Parsers: TypeAlias = "_SubParsersAction[ArgumentParser]"


def add_commands(parsers: Parsers) -> None:
    """Add each command to those of ``python -m storage``."""
    up = parsers.add_parser("upgrade", help="bring the tables to the newest revision; several may call this at once")
    up.set_defaults(run=move_up)
    down = parsers.add_parser("downgrade", help="take the tables back to an older revision")
    down.add_argument("revision", help=f"such as 0006; {BASE} removes every table")
    down.set_defaults(run=move_down)
    parsers.add_parser("revision", help="say at which revision the tables are").set_defaults(run=tell_revision)


def move_up(settings: Settings, given: Namespace) -> bool:
    """Bring the tables to the newest revision."""
    del given
    with _engine(settings) as engine:
        before = revision_of(engine) or BASE
        upgrade(engine)
        return _moved(engine, before)


def move_down(settings: Settings, given: Namespace) -> bool:
    """Take the tables back. Raises InvalidInputError for a revision that there is not."""
    with _engine(settings) as engine:
        before = revision_of(engine) or BASE
        downgrade(engine, given.revision)
        return _moved(engine, before)


def tell_revision(settings: Settings, given: Namespace) -> bool:
    """Say at which revision the database is, and which the program needs; true when they are the same."""
    del given
    with _engine(settings) as engine:
        found, wanted = revision_of(engine) or BASE, newest_revision()
    sys.stdout.write(f"the database is at revision {found}, this program needs {wanted}\n")
    return found == wanted


def _moved(engine: Engine, before: str) -> bool:
    after = revision_of(engine) or BASE
    moved = f"was at revision {before} and is now at {after}" if before != after else f"is at revision {after} already"
    sys.stdout.write(f"the database {moved}\n")
    return True


@contextmanager
def _engine(settings: Settings) -> Iterator[Engine]:
    """The database of the settings."""
    engine = open_engine(settings.database_url)
    try:
        check_reachable(engine)
        yield engine
    finally:
        engine.dispose()
