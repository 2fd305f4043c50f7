"""What a running service does by itself: collect bytes that nothing refers to, end what nobody came back for."""

import threading

import structlog

from registry.collection import Collector
from registry.errors import ZooError
from registry.queries import QueryService
from registry.settings import Settings
from registry.uploads import UploadService

log = structlog.get_logger()

LOOK_SECONDS = 60.0
"""A process asks so often whether it is its turn; more often where turns are shorter."""

STOP_SECONDS = 2.0
"""So long a process that ends waits for what it has under way."""


class Caretaker:
    """A thread that collects when it is time. It may end at any moment, as whatever it did not do is done next time."""

    def __init__(self, collector: Collector, uploads: UploadService, queries: QueryService, settings: Settings) -> None:
        """Args: collector, uploads, queries: what it calls; settings: how often."""
        self._collector, self._uploads, self._queries = collector, uploads, queries
        self._seconds = min(LOOK_SECONDS, settings.gc_seconds)
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._look_after, name="caretaker", daemon=True)

    def start(self) -> None:
        """Begin; the first look is one interval from now, so that a start is not slowed down."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way; where that takes long, the process ends without it."""
        self._stopping.set()
        self._thread.join(STOP_SECONDS)

    def _look_after(self) -> None:
        while not self._stopping.wait(self._seconds):
            try:
                self._care()
            except ZooError as error:
                log.warning("bytes that nothing refers to were not all collected", why=error.detail)
            except Exception:
                log.exception("the collector failed; it tries again when it is due next")

    def _care(self) -> None:
        """Do what is due, if it is this process's turn."""
        if self._collector.collect_in_turn() is not None:
            while self._uploads.expire():
                pass  # some at a time
            self._queries.look_after()
