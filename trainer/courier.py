"""Brings a run's checkpoints to the zoo while the run goes on."""

import threading
from types import TracebackType
from typing import Self

import structlog

from client.zoo import Zoo
from registry.errors import ZooError
from trainer.lease import Lease

log = structlog.get_logger()

LAST_UPLOAD_SECONDS = 30.0


class Courier:
    """Uploads checkpoints in a thread of its own while a block runs, and tells the lease where they are.

    Of those that wait only the last one goes; when the block ends, one that is on its way still arrives.
    """

    def __init__(self, zoo: Zoo, lease: Lease) -> None:
        """Args: zoo: where they go; lease: of the job that they are of."""
        self._zoo, self._lease = zoo, lease
        self._lock = threading.Lock()
        self._news = threading.Event()
        self._waiting: bytes | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._carry, name="checkpoints", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            self._ended, self._waiting = True, None
        self._news.set()
        self._thread.join(LAST_UPLOAD_SECONDS)

    def send(self, checkpoint: bytes) -> None:
        """Have a checkpoint brought, in place of one that waits still."""
        with self._lock:
            self._waiting = checkpoint
        self._news.set()

    def _carry(self) -> None:
        while not self._ended:
            self._news.wait()
            self._news.clear()
            with self._lock:
                checkpoint, self._waiting = self._waiting, None
            if checkpoint is not None:
                self._bring(checkpoint)

    def _bring(self, checkpoint: bytes) -> None:
        """Upload one; where the zoo does not take it, the run goes on, and the next one may arrive."""
        try:
            self._lease.keep(self._zoo.blobs.put(checkpoint))
        except ZooError as error:
            log.warning("checkpoint not brought to the zoo, the run goes on", why=error.detail)
