"""Where the zoo is put together: the one place that names every part."""

from collections.abc import Callable
from dataclasses import replace

from sqlalchemy import Engine

from registry.courier import Courier
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
        check_ready=readiness(engine, blobs),
        close=engine.dispose,
    )
    return replace(zoo, courier=Courier(begin, utc_now, HttpSender(private=settings.webhook_private)))


def readiness(engine: Engine, blobs: KeptBlobs) -> Callable[[], None]:
    """A check that raises ZooError while the database is older than this program or no blob can be written."""

    def check_ready() -> None:
        check_served(engine)
        blobs.check_writable()

    return check_ready
