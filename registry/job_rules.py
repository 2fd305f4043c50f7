"""Rules about single jobs: who may ask for which kinds, what a result may name, why an attempt may not report."""

from collections.abc import Sequence

from registry.datasets import dataset_of
from registry.errors import (
    ConflictError,
    InvalidInputError,
    LeaseLostError,
    NotFoundError,
)
from registry.names import ModuleName
from registry.ports import UnitOfWork
from registry.records import Job, JobStatus
from registry.work import (
    SCORE_HERE,
    TrainResult,
    TrainWork,
    WorkKind,
)


def check_kinds(kinds: Sequence[WorkKind], query: str | None) -> None:
    """Raises InvalidInputError unless a query is named for jobs that are done at home, and for those only."""
    if set(kinds) != {SCORE_HERE} if query is not None else SCORE_HERE in kinds:
        raise InvalidInputError(
            f"jobs of the kinds {', '.join(kinds)} were asked for {'with' if query else 'without'} a query; workers of "
            f"the zoo ask for any kind but {SCORE_HERE}, whoever asked a query names it and asks for {SCORE_HERE} only"
        )


def require_dataset(work: UnitOfWork, job: Job) -> None:
    """Raises ConflictError when the dataset of a training job was deleted meanwhile."""
    dataset = dataset_of(job.work)
    if dataset is not None and work.datasets.get(dataset, owner=None) is None:
        raise ConflictError(f"the dataset {dataset} was deleted meanwhile, so nothing made from it is published")


def require_names(job: Job, result: TrainResult) -> None:
    """Raises InvalidInputError for a module outside of the namespace that the training run was asked for."""
    asked = job.work.name if isinstance(job.work, TrainWork) else ""
    for made in result.modules:
        if ModuleName.parse(made.name).namespace != ModuleName.parse(asked).namespace:
            raise InvalidInputError(f"job {job.id} trains {asked}, so it cannot publish {made.name}")


def lost_lease(job: Job, attempt: int) -> LeaseLostError:
    """Why this attempt may not report."""
    if job.status is JobStatus.RUNNING:
        return LeaseLostError(f"attempt {job.attempt} holds job {job.id}, not attempt {attempt}; stop working on it")
    return LeaseLostError(f"job {job.id} is {job.status.value}; stop working on it")


def job_of(work: UnitOfWork, job_id: int) -> Job:
    """A job within a transaction. Raises NotFoundError."""
    job = work.jobs.get(job_id)
    if job is None:
        raise NotFoundError(f"there is no job {job_id}")
    return job
