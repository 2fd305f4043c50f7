"""Jobs: work that is queued, claimed under a lease, and ended by the one attempt that holds it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import TypeAlias

import structlog

from registry.at_home import require_bytes
from registry.audit import note
from registry.blobs import BlobKeeper, pairs_of
from registry.errors import (
    ConflictError,
    InvalidInputError,
    InvalidRecipeError,
    LeaseLostError,
    NotFoundError,
    ZooError,
)
from registry.job_rules import check_kinds, job_of, lost_lease, require_dataset, require_names
from registry.joint_statistics import JointStatisticsService
from registry.key_records import RequestKey
from registry.modules import ModuleService
from registry.names import Digest, ModuleName
from registry.pipelines import PipelineService
from registry.ports import Begin, Clock, UnitOfWork
from registry.queries import QueryService, cancel_job, jobs_of_query
from registry.query_askers import require_unneeded
from registry.recipes import TrainingRecipe
from registry.records import Job, JobStatus, KeptStatistics, Page, Progress
from registry.request_keys import Made, once
from registry.settings import Settings
from registry.statistics import StatisticsService
from registry.tasks import keep_task, make_task
from registry.training_plan import check_recipe
from registry.verification import request, settle
from registry.work import (
    LONGEST_REASON,
    JobResult,
    JointResult,
    JointWork,
    ModuleVerdict,
    NewModule,
    PredictResult,
    PredictWork,
    ScoreResult,
    ScoreWork,
    TrainResult,
    TrainWork,
    VerifyResult,
    VerifyWork,
    WorkKind,
    without_nul,
)

log = structlog.get_logger()

Check: TypeAlias = Callable[[], tuple[KeptStatistics, ...]]
Record: TypeAlias = Callable[..., None]


@dataclass(frozen=True, slots=True)
class Makers:
    """The services that take in what workers bring."""

    modules: ModuleService
    pipelines: PipelineService
    statistics: StatisticsService
    keeper: BlobKeeper
    queries: QueryService
    joint: JointStatisticsService


class JobService:
    """The rules about jobs. The attempt number is the fence: a worker that lost its lease can end nothing."""

    def __init__(self, begin: Begin, clock: Clock, settings: Settings, makers: Makers) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock, self._settings, self._makers = begin, clock, settings, makers

    def submit_training(
        self, name: ModuleName, recipe: TrainingRecipe, *, owner: str, key: RequestKey | None = None
    ) -> Job:
        """Queue a training run, under one key once.

        Raises:
            KeyReusedError: the key was used for another request.
            NotFoundError: its dataset is not there.
            ConflictError: the zoo was told of the dataset, but does not have its bytes.
            InvalidTaskError, InvalidRecipeError: it cannot be trained.
        """
        if len(name.name) > LONGEST_BASE_NAME:
            raise InvalidRecipeError(
                f"the name {name.name!r} has {len(name.name)} characters; modules get endings such as -hidden-1, "
                f"so use at most {LONGEST_BASE_NAME}"
            )
        with self._begin() as work:
            work.hold()
            submit = partial(self._submit_training, work, TrainWork(name=str(name), recipe=recipe), owner=owner)
            return once(work, key, submit, model=Job, at=self._clock(), about=recipe.task.dataset).model

    def _submit_training(self, work: UnitOfWork, training: TrainWork, *, owner: str) -> Made[Job]:
        """Check a training run and queue it, within a transaction that holds."""
        recipe, now = training.recipe, self._clock()
        dataset = work.datasets.get(recipe.task.dataset, owner=owner)
        if dataset is None:
            raise NotFoundError(f"there is no dataset {recipe.task.dataset}; upload it with POST /datasets")
        require_bytes(work, dataset.digest, what="training")
        task = make_task(dataset, recipe.task.classes)
        check_recipe(recipe, dataset, task.counts, parameter_limit=self._settings.module_limit_parameters)
        keep_task(work, task, owner=owner, at=now)
        pairs = pairs_of(training)
        if pairs is not None:
            self._makers.keeper.require(work, pairs)
        job = work.jobs.submit(training, owner=owner, at=now)
        note(work, "submit", f"job {job.id}", at=now, by=owner, detail=training.name)
        return Made(job, created=True)

    def submit_prediction(self, work_to_do: PredictWork, *, owner: str) -> Job:
        """Queue a prediction over images that are stored already. Raises NotFoundError when they are gone."""
        with self._begin() as work:
            self._makers.keeper.require_beside(work, work_to_do.images)
            return work.jobs.submit(work_to_do, owner=owner, at=self._clock())

    def get(self, job_id: int) -> Job:
        """One job. Raises NotFoundError."""
        with self._begin() as work:
            return job_of(work, job_id)

    def list(
        self,
        *,
        kind: WorkKind | None,
        status: JobStatus | None,
        owner: str | None = None,
        limit: int,
        cursor: str | None,
    ) -> Page[Job]:
        """Jobs of an owner, or of all, newest first, without their results."""
        with self._begin() as work:
            return work.jobs.list(kind=kind, status=status, owner=owner, limit=limit, cursor=cursor)

    def claim(
        self,
        kinds: Sequence[WorkKind],
        *,
        worker: str,
        query: str | None = None,
        owner: str | None = None,
        given_up: Callable[[Job], None] = lambda _: None,
    ) -> Job | None:
        """Give a worker the oldest free job, under a lease; None when there is none.

        A job whose workers died `job_attempts` times is failed instead of given out again; a module that killed
        them while they looked at it is refused. Jobs that are done at home are given to whoever asked the query only.

        Args:
            kinds: what the worker can do.
            worker: how it is called.
            query: the query whose jobs are done at home; None for a worker of the zoo.
            owner: who asks for jobs of a query.
            given_up: is told of each job that is failed.

        Raises:
            NotFoundError: this owner has no such query.
            InvalidInputError: jobs at home are claimed without their query, or others with one.
        """
        check_kinds(kinds, query)
        while True:
            now = self._clock()
            with self._begin() as work:
                among = None if query is None else jobs_of_query(work, query, owner=owner)
                job = work.jobs.claim(kinds, worker=worker, at=now, lease_expires_at=now + self._lease, among=among)
                if job is None or job.attempt - job.releases <= self._settings.job_attempts:
                    return job
                failed = self._given_up(work, job, at=now)
            self._discard_checkpoint(failed)
            self._tell_queries(failed)
            given_up(failed)

    def _given_up(self, work: UnitOfWork, job: Job, *, at: datetime) -> Job:
        """End a job whose workers died too often."""
        error = f"the worker died or went silent {self._settings.job_attempts} times while doing this job"
        work.jobs.end(job.id, attempt=job.attempt, status=JobStatus.FAILED, result=None, error=error, at=at)
        if isinstance(job.work, VerifyWork):
            settle(work, ModuleVerdict(module=job.work.module, refused=error), at=at)
        return job_of(work, job.id)

    @property
    def _lease(self) -> timedelta:
        return timedelta(seconds=self._settings.lease_seconds)

    def heartbeat(self, job_id: int, *, attempt: int, progress: Progress, checkpoint: Digest | None = None) -> Job:
        """Renew a lease and say how far the job is; a new checkpoint takes the place of the last, whose bytes go.

        Raises:
            NotFoundError: no such job.
            LeaseLostError: another attempt holds it, or it has ended.
            InvalidInputError: the bytes of the checkpoint are not here.
        """
        with self._begin() as work:
            if checkpoint is not None:
                self._require_checkpoint(work, checkpoint)
            before = job_of(work, job_id)
            expires = self._clock() + self._lease
            renewed = work.jobs.renew(
                job_id, attempt=attempt, progress=progress, lease_expires_at=expires, checkpoint=checkpoint
            )
            if not renewed:
                raise lost_lease(job_of(work, job_id), attempt)
            now = job_of(work, job_id)
        if before.checkpoint != now.checkpoint:
            self._discard_checkpoint(before)
        return now

    def _require_checkpoint(self, work: UnitOfWork, checkpoint: Digest) -> None:
        try:
            self._makers.keeper.require(work, checkpoint)
        except NotFoundError as error:
            raise InvalidInputError(f"the checkpoint cannot be kept: {error.detail}") from error

    def _discard_checkpoint(self, job: Job) -> None:
        """Delete the bytes of a checkpoint that nobody goes on from any more."""
        if job.checkpoint is not None:
            self._makers.keeper.discard_for_all(job.checkpoint)

    def finish(self, job_id: int, *, attempt: int, result: JobResult) -> Job:
        """End a job with what it brought; publishing and ending are one step, so nothing is published twice.

        Raises:
            NotFoundError: no such job.
            LeaseLostError: another attempt holds it, or it has ended; nothing of the result is taken.
            InvalidInputError: the result is not what the job asked for.
        """
        job = self.get(job_id)
        if job.status is not JobStatus.RUNNING:
            self._discard(result)
        if job.status is not JobStatus.RUNNING or job.attempt != attempt:
            raise lost_lease(job, attempt)
        ended = self._finished(job, result)
        self._discard_checkpoint(ended)
        self._tell_queries(ended)
        return ended

    def _discard(self, result: JobResult) -> None:
        """Delete statistics that nobody is about to record: their dataset may be gone, and they are told of its images.

        An attempt that runs may just have brought the same, byte by byte.
        """
        if isinstance(result, ScoreResult):
            self._makers.statistics.discard(result)
        elif isinstance(result, JointResult):
            self._makers.joint.discard(result)

    def _tell_queries(self, job: Job) -> None:
        """Let questions that waited for this job last go on; where that fails, the next who asks tries again."""
        if isinstance(job.work, ScoreWork | JointWork | VerifyWork):
            try:
                self._makers.queries.job_ended(job)
            except ZooError as error:
                log.warning("a query did not go on when its job ended", job=job.id, why=error.detail)

    def _finished(self, job: Job, result: JobResult) -> Job:
        match (job.work, result):
            case (TrainWork(), TrainResult()):
                return self._finish_training(job, result)
            case (ScoreWork() as share, ScoreResult()):
                made = self._makers.statistics
                return self._measured(
                    job, result, partial(made.check, share, result), partial(made.record, share=share)
                )
            case (JointWork() as joint, JointResult()):
                side = self._makers.joint
                return self._measured(
                    job, result, partial(side.check, joint, result), partial(side.record, share=joint)
                )
            case (PredictWork(), PredictResult()):
                with self._begin() as work:
                    return self._end(work, job, result)
            case (VerifyWork() as look, VerifyResult()):
                return self._finish_verifying(job, look, result)
            case _:
                raise InvalidInputError(f"job {job.id} is of kind {job.work.kind}, its result of kind {result.kind}")

    def _finish_training(self, job: Job, result: TrainResult) -> Job:
        """Check every file first; then publish all of them, the pipeline too, and end the job in one transaction."""
        require_names(job, result)
        checked = [(ModuleName.parse(made.name), self._makers.modules.check(made.digest)) for made in result.modules]
        with self._begin() as work:
            work.hold()
            require_dataset(work, job)
            by = f"job {job.id}"
            published = [self._makers.modules.record(work, name, file, by=by).module for name, file in checked]
            self._verify(work, result.modules)
            refs = [module.ref for module in published]
            pipeline_id = None
            if result.pipeline is not None:
                pipeline_id = self._makers.pipelines.record(work, result.pipeline, refs, by=by).pipeline.id
            done = result.model_copy(update={"published": tuple(refs), "pipeline_id": pipeline_id})
            return self._end(work, job, done)

    def _verify(self, work: UnitOfWork, made: Sequence[NewModule]) -> None:
        """Record what the worker verified before it came; ask for the rest."""
        for module in made:
            if module.verified:
                settle(work, ModuleVerdict(module=module.digest), at=self._clock())
            else:
                request(work, module.digest, at=self._clock())

    def _finish_verifying(self, job: Job, look: VerifyWork, result: VerifyResult) -> Job:
        """Record the verdict and end the job in one transaction. Raises InvalidInputError for another module's."""
        if result.verdict.module != look.module:
            raise InvalidInputError(f"job {job.id} is about {look.module}, its verdict about {result.verdict.module}")
        with self._begin() as work:
            work.hold()
            settle(work, result.verdict, at=self._clock())
            return self._end(work, job, result)

    def _measured(self, job: Job, result: ScoreResult | JointResult, check: Check, record: Record) -> Job:
        """Check what was brought, then record it and end the job in one transaction.

        What is not taken because its dataset is gone goes; that of an attempt which has lost its lease may be what the
        attempt that holds it has just brought, byte by byte.
        """
        try:
            kept = check()
            with self._begin() as work:
                work.hold()
                for verdict in result.verdicts:
                    settle(work, verdict, at=self._clock())
                record(work, kept=kept)
                return self._end(work, job, result)
        except LeaseLostError:
            raise
        except ConflictError:
            self._discard(result)
            raise

    def _end(self, work: UnitOfWork, job: Job, result: JobResult) -> Job:
        """End a job as done; leaving the transaction by the error takes everything in it back."""
        ended = work.jobs.end(
            job.id, attempt=job.attempt, status=JobStatus.DONE, result=result, error=None, at=self._clock()
        )
        if not ended:
            raise lost_lease(job_of(work, job.id), job.attempt)
        return job_of(work, job.id)

    def fail(self, job_id: int, *, attempt: int, error: str) -> Job:
        """End a job that cannot be done. Raises NotFoundError, LeaseLostError."""
        with self._begin() as work:
            ended = work.jobs.end(
                job_id,
                attempt=attempt,
                status=JobStatus.FAILED,
                result=None,
                error=without_nul(error[:LONGEST_REASON]),
                at=self._clock(),
            )
            if not ended:
                raise lost_lease(job_of(work, job_id), attempt)
            failed = job_of(work, job_id)
        self._discard_checkpoint(failed)
        self._tell_queries(failed)
        return failed

    def release(self, job_id: int, *, attempt: int) -> Job:
        """Take a job back unharmed from a worker that is told to end. Raises NotFoundError, LeaseLostError."""
        with self._begin() as work:
            if not work.jobs.release(job_id, attempt=attempt):
                raise lost_lease(job_of(work, job_id), attempt)
            return job_of(work, job_id)

    def cancel(self, job_id: int, *, by: str | None = None, for_all: bool = False) -> Job:
        """Stop a job; one that has ended stays as it is. Its worker learns of it by its next heartbeat.

        Args:
            job_id: which.
            by: who asked for it, which is written down; None where the zoo does, as nobody waits for it any more.
            for_all: stop it although others wait for what it brings.

        Raises:
            NotFoundError: no such job.
            ConflictError: a question of somebody else needs it.
        """
        with self._begin() as work:
            if not (job_of(work, job_id).status.ended or by is None or for_all):
                work.hold()
                require_unneeded(work, job_id, by=by)
            if cancel_job(work, job_id, clock=self._clock) and by is not None:
                note(work, "cancel", f"job {job_id}", at=self._clock(), by=by)
            cancelled = job_of(work, job_id)
        self._discard_checkpoint(cancelled)
        self._tell_queries(cancelled)
        return cancelled


LONGEST_BASE_NAME = 48
