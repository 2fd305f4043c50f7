"""A worker: claims jobs of the zoo, does them, brings back the results; one lane trains, one does all that is short."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from client.zoo import Zoo
from registry.errors import (
    ForbiddenError,
    LeaseLostError,
    NotFoundError,
    SettingsError,
    UnauthenticatedError,
    ZooError,
)
from registry.origins import Origin, originating
from registry.records import Job
from registry.traces import NO_SPANS, Span, Spans
from registry.work import JobResult, WorkKind
from trainer.duties import Duties
from trainer.lease import Lease
from trainer.patience import LONGEST_PAUSE_SECONDS, patiently
from trainer.progress import Stopped

log = structlog.get_logger()

CLAIM_WAIT_SECONDS = 20.0
IDLE_PARTING_SECONDS = 1.0
PARTING_SECONDS = 5.0
RELEASE_SECONDS = 3.0
"""Together less than the ten seconds after which a container's supervisor loses patience."""

LANES: dict[str, tuple[WorkKind, ...]] = {"train": ("train",), "short": ("score", "joint", "predict", "verify")}
"""A long training must not keep questions waiting, so each lane has its own thread."""


class Worker:
    """All lanes of one process."""

    def __init__(
        self, zoo: Zoo, *, name: str, wait_seconds: float = CLAIM_WAIT_SECONDS, spans: Spans = NO_SPANS
    ) -> None:
        """Set up.

        Args:
            zoo: whose jobs to do.
            name: how it is called in the zoo.
            wait_seconds: of one long poll.
            spans: where jobs are traced.
        """
        self.stop = threading.Event()
        duties = Duties(zoo)
        self.lanes = [
            Lane(zoo, duties, kinds=kinds, name=f"{name}/{lane}", stop=self.stop, wait_seconds=wait_seconds)
            for lane, kinds in LANES.items()
        ]
        for lane in self.lanes:
            lane.spans = spans

    def run(self) -> None:
        """Work until `stop` is set; then give back what is being done, for another worker to do again.

        Raises:
            UnauthenticatedError, ForbiddenError: the zoo does not take this worker's token.
            SettingsError: the zoo cannot be reached with the settings here.
        """
        threads = [threading.Thread(target=lane.run, name=lane.name, daemon=True) for lane in self.lanes]
        for thread in threads:
            thread.start()
        self.stop.wait()
        self._part(threads)
        log.info("worker ended")
        for refusal in (lane.refusal for lane in self.lanes if lane.refusal is not None):
            raise refusal

    def _part(self, threads: Sequence[threading.Thread]) -> None:
        """Let every lane give its job back; where one does not come to it in time, do it for the lane.

        An idle lane is waited for too, a little: a job may be on its way to it.
        """
        began = time.monotonic()
        for lane, thread in zip(self.lanes, threads, strict=True):
            while thread.is_alive() and time.monotonic() - began < lane.parting_seconds:
                thread.join(timeout=0.05)
        late = [threading.Thread(target=lane.give_back, daemon=True) for lane in self.lanes if lane.busy]
        for release in late:
            release.start()
        deadline = time.monotonic() + RELEASE_SECONDS
        for release in late:
            release.join(max(0.0, deadline - time.monotonic()))


@dataclass(slots=True)
class Lane:
    """One job after the other, of some kinds. `held`: the job it does; `refusal`: why it cannot go on.

    `query`: the one whose jobs are done at home; a lane of the zoo's workers has none. `failure`: why its last job
    failed, in full; of a job at home the zoo is told no more than the kind of failure, for words may quote the data.
    """

    zoo: Zoo
    duties: Duties
    kinds: Sequence[WorkKind]
    name: str
    stop: threading.Event
    wait_seconds: float
    held: Job | None = None
    refusal: ZooError | None = None
    query: str | None = None
    failure: str | None = None
    spans: Spans = NO_SPANS

    @property
    def busy(self) -> bool:
        """Whether it holds a job."""
        return self.held is not None

    @property
    def parting_seconds(self) -> float:
        """How long it is waited for when the worker ends."""
        return PARTING_SECONDS if self.busy else IDLE_PARTING_SECONDS

    def run(self) -> None:
        """Claim and do jobs until told to stop."""
        while not self.stop.is_set():
            try:
                self.step()
            except Stopped:
                return
            except (UnauthenticatedError, ForbiddenError, SettingsError) as error:
                self.refusal = error
                self.stop.set()
            except Exception:
                log.exception("lane stumbled", lane=self.name)
                self.stop.wait(LONGEST_PAUSE_SECONDS)

    def step(self) -> None:
        """Wait for one job, and do it. Raises Stopped when told to stop while the zoo is away."""
        job = patiently(self._claim, should_stop=self.stop.is_set)
        if job is None:
            return
        self.held = job
        try:
            self._do(job)
        finally:
            self.held = None

    def _claim(self) -> Job | None:
        return self.zoo.jobs.claim(self.kinds, worker=self.name, wait_seconds=self.wait_seconds, query=self.query)

    def give_back(self) -> None:
        """Give the job that is held back, if there is one: the next worker need not wait for the lease to run out."""
        job = self.held
        if job is None:
            return
        try:
            self.zoo.jobs.release(job.id, attempt=job.attempt)
        except ZooError as error:
            log.warning("job not given back", job=job.id, attempt=job.attempt, why=error.detail)
        else:
            log.info("job given back", job=job.id, attempt=job.attempt)

    def _do(self, job: Job) -> None:
        """Do a job on behalf of the request that asked for it, which logs, traces and requests to the zoo then name."""
        origin = job.origin
        asked = {} if origin.request_id is None else {"request_id": origin.request_id}
        known: dict[str, str | int] = {"zoo.job": job.id, "zoo.attempt": job.attempt, "zoo.worker": self.name, **asked}
        named = f"job {job.work.kind}"
        with (
            self.spans.span(named, kind="consumer", parent=origin.traceparent, attributes=known) as span,
            originating(Origin(request_id=origin.request_id, traceparent=span.traceparent or origin.traceparent)),
            structlog.contextvars.bound_contextvars(job=job.id, **asked),
        ):
            self._hold(job, span)

    def _hold(self, job: Job, span: Span) -> None:
        """Do a job and end it, or give it back; a lost lease ends nothing."""
        told = log.bind(job=job.id, kind=job.work.kind, attempt=job.attempt)
        told.info("job claimed")
        lease = Lease(self.zoo.jobs, job, stop=self.stop)
        try:
            with lease:
                self._end(job, lease, span)
        except Stopped:
            told.info("job given up")
            span.fail("given up")
            if not lease.lost:
                self.give_back()
        except (LeaseLostError, NotFoundError) as error:
            told.warning("job is held by another attempt or has ended", why=error.detail)
            span.fail(error.detail)
        else:
            told.info("job ended")

    def _end(self, job: Job, lease: Lease, span: Span) -> None:
        lease.check()
        outcome = self._outcome(job, lease)
        lease.flush()
        if isinstance(outcome, str):
            span.fail(outcome)
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
            log.warning("result refused", job=job.id, why=error.detail)
            self._fail(job, f"the zoo refused the result: {error.detail}", lease)

    def _outcome(self, job: Job, lease: Lease) -> JobResult | str:
        """The result, or one sentence that says why there is none."""
        try:
            return self.duties.do(job.work, lease)
        except (Stopped, LeaseLostError):
            raise
        except ZooError as error:
            log.warning("job failed", job=job.id, why=error.detail)
            return self._told(error, error.detail)
        except Exception as error:
            log.exception("job failed", job=job.id)
            return self._told(error, f"{type(error).__name__}: {error}")

    def _told(self, error: Exception, words: str) -> str:
        """What the zoo is told of a failure."""
        self.failure = words
        return words if self.query is None else type(error).__name__
