"""Changes of the tables, one revision after the other."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from registry.errors import BusyError, InvalidInputError, SettingsError
from storage.engine import hold_advisory_lock, hold_write_lock
from storage.translation import translated

LOCK_NUMBER = 7_211_406_018
"""Which advisory lock of PostgreSQL an upgrade holds; any number that nobody else uses."""
BASE = "base"
"""The revision of an empty database."""
UPGRADE = "python -m storage upgrade"


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest revision; several processes may start at once.

    Raises:
        SettingsError: the database is at a revision that this program does not know.
    """
    with _held(engine) as connection:
        _check_known(MigrationContext.configure(connection).get_current_revision())
        command.upgrade(alembic_config(connection), "head")


def downgrade(engine: Engine, revision: str) -> None:
    """Take a database back to an older revision, or to ``base``, where nothing is left.

    Raises:
        InvalidInputError: there is no such revision, or the database is not as far.
        SettingsError: the database is at a revision that this program does not know.
    """
    known = [BASE, *revisions()]
    if revision not in known:
        raise InvalidInputError(f"there is no revision {revision[:100]!r}; choose one of {', '.join(known)}")
    with _held(engine) as connection:
        found = MigrationContext.configure(connection).get_current_revision()
        _check_known(found)
        if known.index(found or BASE) < known.index(revision):
            raise InvalidInputError(
                f"the database is at revision {found or BASE}, which is before {revision}; upgrade it"
            )
        command.downgrade(alembic_config(connection), revision)


def revisions() -> tuple[str, ...]:
    """Every revision that this program knows, oldest first."""
    walked = ScriptDirectory.from_config(alembic_config()).walk_revisions()
    return tuple(script.revision for script in walked)[::-1]


def newest_revision() -> str:
    """The revision that the tables of this program have."""
    return revisions()[-1]


def revision_of(engine: Engine) -> str | None:
    """The revision that a database has; None for an empty one."""
    with translated(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def prepare(engine: Engine) -> None:
    """See at the start of a service that the tables are there and are those of this program.

    An empty database gets its tables, a file of SQLite is brought up to date. A PostgreSQL that others may be using is
    not changed by a start: whoever deploys upgrades it once.

    Raises:
        SettingsError: the database is older, or newer than this program.
    """
    found = revision_of(engine)
    if found == newest_revision():
        return
    _check_known(found)
    if found is not None and engine.dialect.name != "sqlite":
        raise SettingsError(
            f"the database is at revision {found}, this program needs {newest_revision()}; run `{UPGRADE}`, then start"
        )
    upgrade(engine)


def check_served(engine: Engine) -> None:
    """Raises BusyError while the database lacks what this program needs; a revision that came later only adds."""
    found, wanted = revision_of(engine), newest_revision()
    later = found is not None and found.isdecimal() and len(found) == len(wanted) and found > wanted
    if found != wanted and not later:
        raise BusyError(f"the database is at revision {found}, this program needs {wanted}; run `{UPGRADE}`")


def _check_known(found: str | None) -> None:
    """Raises SettingsError for a revision that this program does not know."""
    if found is not None and found not in revisions():
        raise SettingsError(
            f"the database is at revision {found}, which this program does not know (its newest is "
            f"{newest_revision()}); start the newer program, or take the database back with the newer program's "
            f"`python -m storage downgrade {newest_revision()}`"
        )


@contextmanager
def _held(engine: Engine) -> Iterator[Connection]:
    """A transaction that keeps other processes from changing tables until it ends, however long they wait."""
    with translated(), engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
        hold_lock(connection)
        yield connection


def alembic_config(connection: Connection | None = None) -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


def hold_lock(connection: Connection) -> None:
    """Keep other processes from upgrading until the transaction ends."""
    hold_write_lock(connection)
    hold_advisory_lock(connection, LOCK_NUMBER)
