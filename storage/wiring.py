"""Where the zoo is put together: the one place that names every part."""

from dataclasses import replace

from sqlalchemy import Engine
from sqlalchemy.pool import QueuePool

from registry.courier import Courier
from registry.readiness import Readiness
from registry.settings import Settings
from registry.zoo import Zoo
from storage.blob_choice import KeptBlobs, open_blobs
from storage.clock import utc_now
from storage.engine import check_reachable, open_engine
from storage.migrations import check_served, prepare
from storage.outgoing import HttpSender
from storage.translation import disk_translated
from storage.unit_of_work import units_of_work


def open_zoo(settings: Settings) -> Zoo:
    """The zoo on the database and the blobs of its settings; both are made where nothing is, but a bucket is not.

    Raises:
        SettingsError: the database lets nobody in, or is not at the revision of this program, or the object store that
            the settings name cannot be used.
        BusyError: the database cannot be reached, or is held by somebody else.
        StorageFullError: there is no room.
        StorageError: the home folder cannot be made or used.
    """
    with disk_translated(f"the folder {settings.home}"):
        settings.home.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database_url)
    check_reachable(engine)
    prepare(engine)
    blobs = open_blobs(settings)
    begin = units_of_work(engine)
    zoo = Zoo.wire(
        begin=begin,
        blobs=blobs,
        clock=utc_now,
        settings=settings,
        backing=EngineAndBlobs(engine, blobs),
    )
    return replace(zoo, courier=Courier(begin, utc_now, HttpSender(private=settings.webhook_private)))


class EngineAndBlobs:
    """A database and a blob store: ready while the one is at its revision and a blob can be written to the other."""

    def __init__(self, engine: Engine, blobs: KeptBlobs) -> None:
        """Args: engine: of the database; blobs: the store."""
        self._engine, self._blobs = engine, blobs
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
        check_served(self._engine)

    def _check_blobs(self) -> None:
        self._blobs.check_writable()
