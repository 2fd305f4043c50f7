"""Jobs over HTTP: submit and follow them, and, for workers, claim and end them."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import httpx

from client.connection import Call, Connection
from client.events import follow
from registry.errors import JobFailedError
from registry.frozen import Frozen
from registry.names import Digest, ModuleName
from registry.recipes import TrainingRecipe
from registry.records import Job, JobStatus, Page, Progress
from registry.work import JobResult, WorkKind

CLAIM_WAIT_SECONDS = 20.0
CLOCKS_AGREE = timedelta(seconds=2)
"""Answers tell the time in whole seconds, so a smaller difference between two clocks cannot be seen in them."""


class _NewJob(Frozen):
    """A training run to be queued."""

    name: str
    recipe: TrainingRecipe


class _Claim(Frozen):
    """A worker that is free."""

    worker: str
    kinds: tuple[WorkKind, ...]
    wait_seconds: float
    query: str | None


class _Heartbeat(Frozen):
    """A worker that is alive, how far it is, and where its last checkpoint is if that is new."""

    attempt: int
    progress: Progress
    checkpoint: Digest | None


class _Finish(Frozen):
    """What a worker brings back."""

    attempt: int
    result: JobResult


class _Fail(Frozen):
    """Why a worker could not."""

    attempt: int
    error: str


class _Release(Frozen):
    """A worker that gives a job back."""

    attempt: int


class Jobs:
    """Jobs of the zoo."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def submit(self, name: ModuleName | str, recipe: TrainingRecipe) -> Job:
        """Queue a training run that publishes under ``name``. Raises InvalidRecipeError, NotFoundError."""
        return self._connection.ask(Call("POST", "/jobs", body=_NewJob(name=str(name), recipe=recipe), keyed=True), Job)

    def show(self, job_id: int) -> Job:
        """One job as it is now. Raises NotFoundError."""
        return self._connection.ask(Call("GET", f"/jobs/{job_id}"), Job)

    def list(
        self,
        *,
        kind: WorkKind | None = None,
        status: JobStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page[Job]:
        """One page of jobs, newest first, without their results; `show` has those."""
        params = {"kind": kind, "status": status, "limit": limit, "cursor": cursor}
        return self._connection.ask(Call("GET", "/jobs", params=params), Page[Job])

    def cancel(self, job_id: int) -> Job:
        """Cancel a job; its worker stops at the next heartbeat. One that has ended stays as it is."""
        return self._connection.ask(Call("DELETE", f"/jobs/{job_id}"), Job)

    def events(self, job_id: int) -> Iterator[Job]:
        """The job as it is now, and each time it changes, until it has ended."""
        return follow(self._connection, f"/jobs/{job_id}", Job, ended=lambda job: job.status.ended)

    def claim(
        self,
        kinds: Sequence[WorkKind],
        *,
        worker: str,
        wait_seconds: float = CLAIM_WAIT_SECONDS,
        query: str | None = None,
    ) -> Job | None:
        """Claim the oldest free job of these kinds; None when there was none for so long.

        Jobs of the kind score-here are those of one query, which is named. The lease ends by this machine's clock.
        """
        body = _Claim(worker=worker, kinds=tuple(kinds), wait_seconds=wait_seconds, query=query)
        response = self._connection.send(Call("POST", "/jobs/claim", body=body, wait_seconds=wait_seconds))
        if response.status_code == httpx.codes.NO_CONTENT:
            return None
        return _by_our_clock(self._connection.read(response, Job), response)

    def heartbeat(
        self,
        job_id: int,
        *,
        attempt: int,
        progress: Progress,
        checkpoint: Digest | None = None,
        answer_seconds: float | None = None,
    ) -> Job:
        """Keep the lease and say how far it is; with a checkpoint, whose bytes were sent before, that is kept.

        The lease ends by this machine's clock. With `answer_seconds` the heartbeat is sent once and waited for so long.

        Raises:
            LeaseLostError: another attempt holds the job, or it has ended.
            InvalidInputError: the zoo does not have the bytes of the checkpoint.
        """
        body = _Heartbeat(attempt=attempt, progress=progress, checkpoint=checkpoint)
        tries = None if answer_seconds is None else 1
        call = Call("PUT", f"/jobs/{job_id}/heartbeat", body=body, answer_seconds=answer_seconds, tries=tries)
        response = self._connection.send(call)
        return _by_our_clock(self._connection.read(response, Job), response)

    def finish(self, job_id: int, *, attempt: int, result: JobResult) -> Job:
        """End a job with its result. Raises LeaseLostError."""
        body = _Finish(attempt=attempt, result=result)
        return self._connection.ask(Call("POST", f"/jobs/{job_id}/finish", body=body), Job)

    def fail(self, job_id: int, *, attempt: int, error: str) -> Job:
        """End a job that could not be done. Raises LeaseLostError."""
        body = _Fail(attempt=attempt, error=error)
        return self._connection.ask(Call("POST", f"/jobs/{job_id}/fail", body=body), Job)

    def release(self, job_id: int, *, attempt: int) -> Job:
        """Give a job back unharmed, for the next worker to claim. Raises LeaseLostError."""
        return self._connection.ask(Call("POST", f"/jobs/{job_id}/release", body=_Release(attempt=attempt)), Job)


def _by_our_clock(job: Job, response: httpx.Response) -> Job:
    """A job that was just answered, whose lease ends by the clock here rather than by the zoo's."""
    told = response.headers.get("Date")
    if told is None or job.lease_expires_at is None:
        return job
    try:
        ahead = datetime.now(UTC) - parsedate_to_datetime(told)
    except (ValueError, TypeError):  # no date, or one without a zone
        return job
    if abs(ahead) < CLOCKS_AGREE:
        return job
    return job.model_copy(update={"lease_expires_at": job.lease_expires_at + ahead})


def check_done(job: Job) -> Job:
    """A job that has ended well. Raises JobFailedError with the reason when it has not."""
    if job.status is not JobStatus.DONE:
        raise JobFailedError(f"job {job.id} is {job.status}: {job.error or 'no reason was given'}")
    return job
