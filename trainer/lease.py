"""The lease on a job: a thread renews it and tells the progress; whoever lost it stops and publishes nothing."""

import contextvars
import threading
import time
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

import structlog

from client.errors import TEMPORARY
from client.jobs import Jobs
from registry.errors import InvalidInputError, LeaseLostError, NotFoundError, ZooError
from registry.names import Digest
from registry.records import Job, Progress
from trainer.progress import Stopped

log = structlog.get_logger()

RENEWALS = 3
LONGEST_PAUSE_SECONDS = 10.0
SHORTEST_PAUSE_SECONDS = 0.05
SHORTEST_ANSWER_SECONDS = 1.0
TELL_SECONDS = 1.0


class Lease:
    """Holds a job while a block runs. `progress` is sent with every heartbeat, at most once a second on its own."""

    def __init__(self, jobs: Jobs, job: Job, *, stop: threading.Event) -> None:
        """Args: jobs: the zoo's jobs; job: as it was claimed; stop: set when the worker is to end."""
        self._jobs, self._job, self._stop = jobs, job, stop
        self._progress = Progress()
        self._third = third_of_lease(job, now=datetime.now(UTC))
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
        self._renew()

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
        self._renew()
        self.check()

    def _keep(self) -> None:
        """Send heartbeats until the job has ended or the lease is lost."""
        while not self._ended.is_set() and not self._lost.is_set():
            self._news.clear()
            began = time.monotonic()
            self._renew()
            self._wait(renewal_seconds(self._third), since=began)

    def _wait(self, pause: float, *, since: float) -> None:
        """Sleep until a pause since the last renewal is over, or until there is news and that was a second ago.

        What a renewal itself took is part of the pause: one that hung must be followed by another in time.
        """
        self._ended.wait(max(0.0, min(pause, TELL_SECONDS) - (time.monotonic() - since)))
        self._news.wait(max(0.0, pause - (time.monotonic() - since)))

    def _renew(self) -> None:
        """One heartbeat, that is answered within a third of the lease or not at all."""
        checkpoint = self._take()
        try:
            job = self._jobs.heartbeat(
                self._job.id,
                attempt=self._job.attempt,
                progress=self._progress,
                checkpoint=checkpoint,
                answer_seconds=max(self._third, SHORTEST_ANSWER_SECONDS),
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
            self._take_back(checkpoint)
        else:
            self._third = third_of_lease(job, now=datetime.now(UTC))


def third_of_lease(job: Job, *, now: datetime) -> float:
    """A third of what is left of a lease, in seconds."""
    if job.lease_expires_at is None:
        return LONGEST_PAUSE_SECONDS
    return (job.lease_expires_at - now).total_seconds() / RENEWALS


def renewal_seconds(third: float) -> float:
    """Pause between heartbeats: a third of the lease, within bounds."""
    return min(max(third, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)
