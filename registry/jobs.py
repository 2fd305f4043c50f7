"""Jobs: work that is queued, claimed under a lease, and ended by the one attempt that holds it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

import structlog

from registry.errors import (
    InvalidInputError,
    InvalidRecipeError,
    LeaseLostError,
    NotFoundError,
)
from registry.modules import CheckedFile, ModuleService
from registry.names import Digest, ModuleName
from registry.pipelines import PipelineService
from registry.ports import Begin, Clock, UnitOfWork
from registry.recipes import TrainingRecipe
from registry.records import Job, JobStatus, KeptStatistics, Page, Progress
from registry.reusability import ReusabilityService
from registry.settings import Settings
from registry.tasks import keep_task, make_task
from registry.work import (
    JobResult,
    PredictResult,
    PredictWork,
    ScoreResult,
    ScoreWork,
    TrainResult,
    TrainWork,
    WorkKind,
)

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Makers:
    """The services that take in what workers bring."""

    modules: ModuleService
    pipelines: PipelineService
    reusability: ReusabilityService


class JobService:
    """The rules about jobs. The attempt number is the fence: a worker that lost its lease can end nothing."""

    def __init__(self, begin: Begin, clock: Clock, settings: Settings, makers: Makers) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock, self._settings, self._makers = begin, clock, settings, makers

    def submit_training(self, name: ModuleName, recipe: TrainingRecipe, *, owner: str) -> Job:
        """Queue a training run. Raises NotFoundError for its dataset, InvalidTaskError, InvalidRecipeError."""
        if len(name.name) > LONGEST_BASE_NAME:
            raise InvalidRecipeError(
                f"the name {name.name!r} has {len(name.name)} characters; modules get endings such as -hidden-1, "
                f"so use at most {LONGEST_BASE_NAME}"
            )
        with self._begin() as work:
            dataset = work.datasets.get(recipe.task.dataset, owner=owner)
            if dataset is None:
                raise NotFoundError(f"there is no dataset {recipe.task.dataset}; upload it with POST /datasets")
            keep_task(work, make_task(dataset, recipe.task.classes), at=self._clock())
            return work.jobs.submit(TrainWork(name=str(name), recipe=recipe), owner=owner, at=self._clock())

    def submit_prediction(self, work_to_do: PredictWork, *, owner: str) -> Job:
        """Queue a prediction over images that are stored already."""
        with self._begin() as work:
            return work.jobs.submit(work_to_do, owner=owner, at=self._clock())

    def get(self, job_id: int) -> Job:
        """One job. Raises NotFoundError."""
        with self._begin() as work:
            return _job(work, job_id)

    def list(self, *, kind: WorkKind | None, status: JobStatus | None, limit: int, cursor: str | None) -> Page[Job]:
        """Jobs, newest first."""
        with self._begin() as work:
            return work.jobs.list(kind=kind, status=status, limit=limit, cursor=cursor)

    def claim(self, kinds: Sequence[WorkKind], *, worker: str) -> Job | None:
        """Give a worker the oldest free job, under a lease; None when there is none.

        A job whose workers died `job_attempts` times is failed instead of given out again.
        """
        while True:
            now = self._clock()
            with self._begin() as work:
                job = work.jobs.claim(kinds, worker=worker, at=now, lease_expires_at=now + self._lease)
                if job is None or job.attempt <= self._settings.job_attempts:
                    return job
                error = f"the worker died or went silent {job.attempt - 1} times while doing this job"
                work.jobs.end(job.id, attempt=job.attempt, status=JobStatus.FAILED, result=None, error=error, at=now)

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._settings.lease_seconds)

    def heartbeat(self, job_id: int, *, attempt: int, progress: Progress) -> Job:
        """Renew a lease and say how far the job is. Raises NotFoundError, LeaseLostError."""
        with self._begin() as work:
            expires = self._clock() + self._lease
            if not work.jobs.renew(job_id, attempt=attempt, progress=progress, lease_expires_at=expires):
                raise _lost(_job(work, job_id), attempt)
            return _job(work, job_id)

    def finish(self, job_id: int, *, attempt: int, result: JobResult) -> Job:
        """End a job with what it brought; publishing and ending are one step, so nothing is published twice.

        Raises:
            NotFoundError: no such job.
            LeaseLostError: another attempt holds it, or it has ended; nothing of the result is taken.
            InvalidInputError: the result is not what the job asked for.
        """
        job = self.get(job_id)
        if job.status is not JobStatus.RUNNING or job.attempt != attempt:
            raise _lost(job, attempt)
        match (job.work, result):
            case (TrainWork(), TrainResult()):
                return self._finish_training(job, result)
            case (ScoreWork() as share, ScoreResult()):
                kept = self._makers.reusability.keep(share, result.statistics)
                return self._finish_scoring(job, result, kept)
            case (PredictWork(), PredictResult()):
                with self._begin() as work:
                    return self._end(work, job, result)
            case _:
                raise InvalidInputError(f"job {job_id} is of kind {job.work.kind}, its result of kind {result.kind}")

    def _finish_training(self, job: Job, result: TrainResult) -> Job:
        """Check every file first; then publish all of them, the pipeline too, and end the job in one transaction."""
        checked = [self._check(made.name, made.digest) for made in result.modules]
        with self._begin() as work:
            published = [self._makers.modules.record(work, name, file).module for name, file in checked]
            refs = [module.ref for module in published]
            pipeline_id = None
            if result.pipeline is not None:
                pipeline_id = self._makers.pipelines.record(work, result.pipeline, refs).pipeline.id
            done = result.model_copy(update={"published": tuple(refs), "pipeline_id": pipeline_id})
            return self._end(work, job, done)

    def _check(self, text: str, digest: Digest) -> tuple[ModuleName, CheckedFile]:
        return ModuleName.parse(text), self._makers.modules.check(digest)

    def _finish_scoring(self, job: Job, result: ScoreResult, kept: Sequence[KeptStatistics]) -> Job:
        with self._begin() as work:
            for statistics in kept:
                work.statistics.add(statistics)
            return self._end(work, job, result)

    def _end(self, work: UnitOfWork, job: Job, result: JobResult) -> Job:
        """End a job as done; leaving the transaction by the error takes everything in it back."""
        ended = work.jobs.end(
            job.id, attempt=job.attempt, status=JobStatus.DONE, result=result, error=None, at=self._clock()
        )
        if not ended:
            raise _lost(_job(work, job.id), job.attempt)
        return _job(work, job.id)

    def fail(self, job_id: int, *, attempt: int, error: str) -> Job:
        """End a job that cannot be done. Raises NotFoundError, LeaseLostError."""
        with self._begin() as work:
            ended = work.jobs.end(
                job_id,
                attempt=attempt,
                status=JobStatus.FAILED,
                result=None,
                error=error[:2000],
                at=self._clock(),
            )
            if not ended:
                raise _lost(_job(work, job_id), attempt)
            return _job(work, job_id)

    def cancel(self, job_id: int) -> Job:
        """Stop a job; one that has ended stays as it is. Its worker learns of it by its next heartbeat."""
        with self._begin() as work:
            _job(work, job_id)
            work.jobs.end(job_id, attempt=None, status=JobStatus.CANCELLED, result=None, error=None, at=self._clock())
            return _job(work, job_id)


LONGEST_BASE_NAME = 48


def _job(work: UnitOfWork, job_id: int) -> Job:
    job = work.jobs.get(job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id}")
    return job


def _lost(job: Job, attempt: int) -> LeaseLostError:
    """Why this attempt may not report."""
    if job.status is JobStatus.RUNNING:
        return LeaseLostError(f"attempt {job.attempt} holds job {job.id}, not attempt {attempt}; stop working on it")
    return LeaseLostError(f"job {job.id} is {job.status.value}; stop working on it")
