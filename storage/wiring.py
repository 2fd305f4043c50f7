"""Where the zoo is put together: the one place that names every part."""

from collections.abc import Callable

from sqlalchemy import Engine

from registry.errors import BusyError
from registry.settings import Settings
from registry.zoo import Zoo
from storage.blob_choice import KeptBlobs, open_blobs
from storage.clock import utc_now
from storage.engine import open_engine
from storage.migrations import newest_revision, revision_of, upgrade
from storage.translation import disk_translated
from storage.unit_of_work import units_of_work


def open_zoo(settings: Settings) -> Zoo:
    """The zoo on the database and the blobs of its settings; both are made, or brought up to date; a bucket is not.

    Raises:
        SettingsError: the object store that the settings name cannot be used.
        BusyError: the database cannot be reached, or is held by somebody else.
        StorageFullError: there is no room.
        StorageError: the home folder cannot be made or used.
    """
    with disk_translated(f"the folder {settings.home}"):
        settings.home.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database_url)
    upgrade(engine)
    blobs = open_blobs(settings)
    return Zoo.wire(
        begin=units_of_work(engine),
        blobs=blobs,
        clock=utc_now,
        settings=settings,
        check_ready=readiness(engine, blobs),
        close=engine.dispose,
    )


def readiness(engine: Engine, blobs: KeptBlobs) -> Callable[[], None]:
    """A check that raises ZooError while the database is not at its revision or no blob can be written."""
    wanted = newest_revision()

    def check_ready() -> None:
        found = revision_of(engine)
        if found != wanted:
            raise BusyError(f"the database is at revision {found}, this program needs {wanted}; restart it to upgrade")
        blobs.check_writable()

    return check_ready
