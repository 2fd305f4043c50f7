"""Changes of the tables, one revision after the other."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from storage.engine import hold_advisory_lock, hold_write_lock
from storage.translation import translated

LOCK_NUMBER = 7_211_406_018
"""Which advisory lock of PostgreSQL an upgrade holds; any number that nobody else uses."""


def upgrade(engine: Engine) -> None:
    """Bring a database to the newest revision; several processes may start at once."""
    config = alembic_config()
    with translated(), engine.begin() as connection:
        hold_lock(connection)
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def newest_revision() -> str | None:
    """The revision that the tables of this program have."""
    return ScriptDirectory.from_config(alembic_config()).get_current_head()


def revision_of(engine: Engine) -> str | None:
    """The revision that a database has; None for an empty one."""
    with translated(), engine.connect() as connection:
        return MigrationContext.configure(connection).get_current_revision()


def alembic_config() -> Config:
    """Alembic's settings, without a file."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    return config


def hold_lock(connection: Connection) -> None:
    """Keep other processes from upgrading until the transaction ends."""
    hold_write_lock(connection)
    hold_advisory_lock(connection, LOCK_NUMBER)
