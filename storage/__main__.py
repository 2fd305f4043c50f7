"""The tables of a database: ``python -m storage upgrade``, ``downgrade REVISION`` or ``revision``.

Which database, say the ``ZOO_*`` variables, as for the service. It ends with 0 when done, 1 when not (for
``revision``: when the database is not at the program's revision), 2 when used wrongly.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from sqlalchemy import Engine

from registry.errors import InvalidInputError, ZooError
from registry.settings import Settings
from storage.engine import check_reachable, open_engine
from storage.migrations import BASE, downgrade, newest_revision, revision_of, upgrade

DONE, FAILED, WRONG_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one thing with the tables, and say what was done."""
    given = _parser().parse_args(arguments)
    try:
        with _engine() as engine:
            return _revision(engine) if given.what == "revision" else _move(engine, given.what, given)
    except InvalidInputError as error:
        sys.stderr.write(f"{error}\n")
        return WRONG_USE
    except ZooError as error:
        sys.stderr.write(f"{error}\n")
        return FAILED


def _move(engine: Engine, what: str, given: argparse.Namespace) -> int:
    """Upgrade or downgrade."""
    before = revision_of(engine) or BASE
    if what == "upgrade":
        upgrade(engine)
    else:
        downgrade(engine, given.revision)
    after = revision_of(engine) or BASE
    moved = f"was at revision {before} and is now at {after}" if before != after else f"is at revision {after} already"
    sys.stdout.write(f"the database {moved}\n")
    return DONE


def _revision(engine: Engine) -> int:
    """Say at which revision the database is, and which the program needs."""
    found, wanted = revision_of(engine) or BASE, newest_revision()
    sys.stdout.write(f"the database is at revision {found}, this program needs {wanted}\n")
    return DONE if found == wanted else FAILED


@contextmanager
def _engine() -> Iterator[Engine]:
    """The database of the settings."""
    engine = open_engine(Settings.load().database_url)
    try:
        check_reachable(engine)
        yield engine
    finally:
        engine.dispose()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m storage", description="The tables of the database of ZOO_DATABASE."
    )
    words = parser.add_subparsers(dest="what", required=True)
    words.add_parser("upgrade", help="bring them to the newest revision; several may call this at once")
    back = words.add_parser("downgrade", help="take them back to an older revision")
    back.add_argument("revision", help=f"such as 0006; {BASE} removes every table")
    words.add_parser("revision", help="say at which revision they are")
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
