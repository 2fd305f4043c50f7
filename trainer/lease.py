"""The lease on a job: a thread renews it and tells the progress; whoever lost it stops and publishes nothing."""

import contextvars
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog

from client.jobs import Jobs
from registry.errors import InvalidInputError, LeaseLostError, NotFoundError, ZooError
from registry.names import Digest
from registry.records import Job, Progress
from trainer.patience import TEMPORARY
from trainer.progress import Stopped

log = structlog.get_logger()

RENEWALS = 3
LONGEST_PAUSE_SECONDS = 10.0
SHORTEST_PAUSE_SECONDS = 0.05
TELL_SECONDS = 1.0


class Lease:
    """Holds a job while a block runs. `progress` is sent with every heartbeat, at most once a second on its own."""

    def __init__(self, jobs: Jobs, job: Job, *, stop: threading.Event) -> None:
        """Args: jobs: the zoo's jobs; job: as it was claimed; stop: set when the worker is to end."""
        self._jobs, self._job, self._stop = jobs, job, stop
        self._progress = Progress()
        self._lock = threading.Lock()
        self._checkpoint: Digest | None = None
        self._news = threading.Event()
        self._ended = threading.Event()
        self._lost = threading.Event()
        # heartbeats are made for the request that asked for the job, so the thread has its context
        run = contextvars.copy_context().run
        self._thread = threading.Thread(target=run, args=(self._keep,), name=f"lease of job {job.id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ended.set()
        self._news.set()
        self._thread.join()

    @property
    def lost(self) -> bool:
        """Whether another attempt holds the job now, or it has ended."""
        return self._lost.is_set()

    def tell(self, progress: Progress) -> None:
        """Remember how far the job is; the thread sends it."""
        self._progress = progress
        self._news.set()

    @property
    def checkpoint(self) -> Digest | None:
        """Where the attempt before left off, if there was one."""
        return self._job.checkpoint

    def keep(self, checkpoint: Digest) -> None:
        """Tell where the last checkpoint is, now; where that fails for a time, the next heartbeat tells it."""
        with self._lock:
            self._checkpoint = checkpoint
        self._renew(0.0)

    def _take(self) -> Digest | None:
        """The checkpoint that is to be sent, which is thereby no more."""
        with self._lock:
            checkpoint, self._checkpoint = self._checkpoint, None
        return checkpoint

    def _take_back(self, checkpoint: Digest | None) -> None:
        """Send a checkpoint again, unless there is a newer one."""
        with self._lock:
            self._checkpoint = self._checkpoint or checkpoint

    def should_stop(self) -> bool:
        """Whether the work is in vain: the lease is lost, or the worker is to end."""
        return self._lost.is_set() or self._stop.is_set()

    def check(self) -> None:
        """Raises Stopped when the work is in vain."""
        if self.should_stop():
            raise Stopped

    def flush(self) -> None:
        """Send the latest progress now. Raises Stopped when the work is in vain."""
        self._renew(0.0)
        self.check()

    def _keep(self) -> None:
        """Send heartbeats until the job has ended or the lease is lost."""
        pause = renewal_seconds(self._job, now=datetime.now(UTC))
        while not self._ended.is_set() and not self._lost.is_set():
            self._news.clear()
            pause = self._renew(pause)
            self._wait(pause)

    def _wait(self, pause: float) -> None:
        """Sleep until the next renewal is due, or until there is news and the last was a second ago."""
        began = time.monotonic()
        self._ended.wait(min(pause, TELL_SECONDS))
        self._news.wait(max(0.0, pause - (time.monotonic() - began)))

    def _renew(self, pause: float) -> float:
        """One heartbeat; gives the pause until the next one is due."""
        checkpoint = self._take()
        try:
            job = self._jobs.heartbeat(
                self._job.id, attempt=self._job.attempt, progress=self._progress, checkpoint=checkpoint
            )
        except InvalidInputError as error:
            log.warning("checkpoint not taken", job=self._job.id, why=error.detail)
        except (LeaseLostError, NotFoundError) as error:
            log.warning("lease lost", job=self._job.id, attempt=self._job.attempt, why=error.detail)
            self._lost.set()
        except TEMPORARY as error:
            log.warning("heartbeat not delivered", job=self._job.id, why=error.detail)
            self._take_back(checkpoint)
        except ZooError:
            log.exception("heartbeat refused", job=self._job.id)
        else:
            return renewal_seconds(job, now=datetime.now(UTC))
        return pause


def renewal_seconds(job: Job, *, now: datetime) -> float:
    """Pause between heartbeats: a third of what is left of the lease, within bounds if clocks disagree."""
    if job.lease_expires_at is None:
        return LONGEST_PAUSE_SECONDS
    left = (job.lease_expires_at - now).total_seconds() / RENEWALS
    return min(max(left, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
