"""Where the zoo is put together: the one place that names every part."""

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from registry.errors import BusyError
from registry.ports import BlobStore
from registry.readiness import Readiness
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
    blobs = FolderBlobs(settings.home / "blobs")
    return Zoo.wire(
        begin=units_of_work(engine),
        blobs=blobs,
        clock=utc_now,
        settings=settings,
        backing=EngineAndBlobs(engine, blobs),
    )


class EngineAndBlobs:
    """A database and a blob store: ready while the one is at its revision and a blob can be written to the other."""

    def __init__(self, engine: Engine, blobs: BlobStore) -> None:
        """Args: engine: of the database; blobs: the store."""
        self._engine, self._blobs, self._wanted = engine, blobs, newest_revision()
        self._readiness = Readiness({"database": self._check_database, "blob store": self._check_blobs})

    def check_ready(self) -> None:
        """Raises BusyError that names what cannot be used, or does not answer in time."""
        self._readiness.check()

    def connections_in_use(self) -> int:
        """Connections that the engine's pool has given out."""
        pool = self._engine.pool
        return pool.checkedout() if isinstance(pool, QueuePool) else 0

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()

    def _check_database(self) -> None:
        found = revision_of(self._engine)
        if found != self._wanted:
            raise BusyError(f"it is at revision {found}, this program needs {self._wanted}; restart it to upgrade")

    def _check_blobs(self) -> None:
        with self._blobs.writer() as writer:
            writer.write(b"ready?")
