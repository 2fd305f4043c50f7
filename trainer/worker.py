"""A worker: claims jobs of the zoo, does them, brings back the results; one lane trains, one scores and predicts."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from client.zoo import Zoo
from registry.errors import ForbiddenError, LeaseLostError, NotFoundError, UnauthenticatedError, ZooError
from registry.records import Job
from registry.work import JobResult, WorkKind
from trainer.duties import Duties
from trainer.lease import Lease
from trainer.patience import LONGEST_PAUSE_SECONDS, patiently
from trainer.progress import Stopped

log = structlog.get_logger()

CLAIM_WAIT_SECONDS = 20.0
PARTING_SECONDS = 10.0

LANES: dict[str, tuple[WorkKind, ...]] = {"train": ("train",), "short": ("score", "predict")}
"""A long training must not keep questions waiting, so each lane has its own thread."""


class Worker:
    """All lanes of one process."""

    def __init__(self, zoo: Zoo, *, name: str, wait_seconds: float = CLAIM_WAIT_SECONDS) -> None:
        """Args: zoo: whose jobs to do; name: how it is called in the zoo; wait_seconds: of one long poll."""
        self.stop = threading.Event()
        duties = Duties(zoo)
        self.lanes = [
            Lane(zoo, duties, kinds=kinds, name=f"{name}/{lane}", stop=self.stop, wait_seconds=wait_seconds)
            for lane, kinds in LANES.items()
        ]

    def run(self) -> None:
        """Work until `stop` is set; then give up what is being done, which another worker will do again.

        Raises:
            UnauthenticatedError, ForbiddenError: the zoo does not take this worker's token.
        """
        threads = [threading.Thread(target=lane.run, name=lane.name, daemon=True) for lane in self.lanes]
        for thread in threads:
            thread.start()
        self.stop.wait()
        deadline = time.monotonic() + PARTING_SECONDS
        for lane, thread in zip(self.lanes, threads, strict=True):
            while lane.busy and thread.is_alive() and time.monotonic() < deadline:
                thread.join(timeout=0.1)
        log.info("worker ended")
        for refusal in (lane.refusal for lane in self.lanes if lane.refusal is not None):
            raise refusal


@dataclass(slots=True)
class Lane:
    """One job after the other, of some kinds. `busy`: it holds a job; `refusal`: the zoo does not take its token."""

    zoo: Zoo
    duties: Duties
    kinds: Sequence[WorkKind]
    name: str
    stop: threading.Event
    wait_seconds: float
    busy: bool = False
    refusal: ZooError | None = None

    def run(self) -> None:
        """Claim and do jobs until told to stop."""
        while not self.stop.is_set():
            try:
                self.step()
            except Stopped:
                return
            except (UnauthenticatedError, ForbiddenError) as error:
                self.refusal = error
                self.stop.set()
            except Exception:
                log.exception("lane stumbled", lane=self.name)
                self.stop.wait(LONGEST_PAUSE_SECONDS)

    def step(self) -> None:
        """Wait for one job, and do it. Raises Stopped when told to stop while the zoo is away."""
        job = patiently(
            lambda: self.zoo.jobs.claim(self.kinds, worker=self.name, wait_seconds=self.wait_seconds),
            should_stop=self.stop.is_set,
        )
        if job is None or self.stop.is_set():
            return
        self.busy = True
        try:
            self._do(job)
        finally:
            self.busy = False

    def _do(self, job: Job) -> None:
        """Do a job and end it; a lost lease ends nothing."""
        told = log.bind(job=job.id, kind=job.work.kind, attempt=job.attempt)
        told.info("job claimed")
        try:
            with Lease(self.zoo.jobs, job, stop=self.stop) as lease:
                self._end(job, lease)
        except Stopped:
            told.info("job given up")
        except (LeaseLostError, NotFoundError) as error:
            told.warning("job is held by another attempt or has ended", why=error.detail)
        else:
            told.info("job ended")

    def _end(self, job: Job, lease: Lease) -> None:
        outcome = self._outcome(job, lease)
        lease.flush()
        if isinstance(outcome, str):
            self._fail(job, outcome, lease)
        else:
            self._finish(job, outcome, lease)

    def _fail(self, job: Job, error: str, lease: Lease) -> None:
        patiently(
            lambda: self.zoo.jobs.fail(job.id, attempt=job.attempt, error=error),
            should_stop=lease.should_stop,
        )

    def _finish(self, job: Job, result: JobResult, lease: Lease) -> None:
        """Bring a result; one that the zoo refuses is told as the job's failure."""
        try:
            patiently(
                lambda: self.zoo.jobs.finish(job.id, attempt=job.attempt, result=result),
                should_stop=lease.should_stop,
            )
        except (LeaseLostError, NotFoundError):
            raise
        except ZooError as error:
            log.exception("result refused", job=job.id)
            self._fail(job, f"the zoo refused the result: {error.detail}", lease)

    def _outcome(self, job: Job, lease: Lease) -> JobResult | str:
        """The result, or one sentence that says why there is none."""
        try:
            return self.duties.do(job.work, lease)
        except (Stopped, LeaseLostError):
            raise
        except ZooError as error:
            log.warning("job failed", job=job.id, why=error.detail, exc_info=True)
            return error.detail
        except Exception as error:
            log.exception("job failed", job=job.id)
            return f"{type(error).__name__}: {error}"
