"""Where the zoo is put together: the one place that names every part."""

from collections.abc import Callable

from sqlalchemy import Engine

from registry.errors import BusyError
from registry.ports import BlobStore
from registry.settings import Settings
from registry.zoo import Zoo
from storage.clock import utc_now
from storage.engine import open_engine
from storage.folder_blobs import FolderBlobs
from storage.migrations import newest_revision, revision_of, upgrade
from storage.translation import disk_translated
from storage.unit_of_work import units_of_work


def open_zoo(settings: Settings) -> Zoo:
    """The zoo on the database and the folder of its settings; both are made, or brought up to date.

    Raises:
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


def open_blobs(settings: Settings) -> BlobStore:
    """The blobs of the settings. Raises StorageError when they cannot be used."""
    return FolderBlobs(settings.home / "blobs")


def readiness(engine: Engine, blobs: BlobStore) -> Callable[[], None]:
    """A check that raises ZooError while the database is not at its revision or no blob can be written."""
    wanted = newest_revision()

    def check_ready() -> None:
        found = revision_of(engine)
        if found != wanted:
            raise BusyError(f"the database is at revision {found}, this program needs {wanted}; restart it to upgrade")
        with blobs.writer() as writer:
            writer.write(b"ready?")

    return check_ready
