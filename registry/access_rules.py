"""Rules of access that hang on what is kept: whose bytes and whose jobs these are."""

from collections.abc import Iterable, Iterator

from registry.access import Action, Identity
from registry.blobs import pairs_of
from registry.datasets import dataset_of
from registry.errors import ForbiddenError, NotFoundError
from registry.names import Digest, ModuleName
from registry.namespaces import require_in_sight
from registry.ports import Begin, UnitOfWork
from registry.records import Job, JobStatus
from registry.work import (
    JobResult,
    JointResult,
    JointWork,
    PredictWork,
    ScoreHereWork,
    ScoreResult,
    ScoreWork,
    TrainResult,
    TrainWork,
    VerifyWork,
    Work,
)

MOST_RUNNING = 1000
"""So many running jobs are looked through for what workers need."""


class AccessService:
    """Whether somebody may have bytes, see a job or report on it. Knowing a digest or a number gives no right."""

    def __init__(self, begin: Begin) -> None:
        """Everything it needs from outside."""
        self._begin = begin

    def brought(self, identity: Identity, digest: Digest) -> None:
        """Remember who sent bytes."""
        with self._begin() as work:
            work.blob_owners.add(digest, owner=identity.owner)

    def may_have(self, identity: Identity, digest: Digest) -> bool:
        """Whether somebody may have bytes.

        They may if they sent them, if they hold the dataset that the bytes are, if they may know of a version that
        they are; a worker also, if a job that runs needs them.
        """
        if identity.is_admin:
            return True
        with self._begin(identity.sight) as work:
            return _has(work, identity, digest) or (identity.works and digest in _needed(work))

    def require_bytes(self, identity: Identity, digests: Iterable[Digest]) -> None:
        """Raises NotFoundError, worded as for what is not here, for bytes that somebody may not have."""
        for digest in digests:
            if not self.may_have(identity, digest):
                raise no_blob(digest)

    def require_namespace(self, identity: Identity, name: ModuleName) -> None:
        """Raises ForbiddenError where the token is for other namespaces, NotFoundError for one it may not know of."""
        if not identity.covers(name.namespace):
            inside = ", ".join(identity.namespaces or ())[:500]
            raise ForbiddenError(f"the token is for {inside}, not for the namespace {name.namespace!r}")
        with self._begin(identity.sight) as work:
            require_in_sight(work, name.namespace, what=str(name))

    def job(self, identity: Identity, job_id: int) -> Job:
        """A job that somebody asked for, or a look at a module they may know of. Raises NotFoundError."""
        with self._begin(identity.sight) as work:
            job = work.jobs.get(job_id)
            if job is None or not _may_follow(work, identity, job):
                raise no_job(job_id)
        return job

    def job_to_stop(self, identity: Identity, job_id: int) -> Job:
        """A job that somebody may stop. Raises NotFoundError, ForbiddenError where others wait for it."""
        job = self.job(identity, job_id)
        with self._begin() as work:
            mine = work.jobs.owner(job_id) == identity.owner
        if not (mine or identity.is_admin):
            raise ForbiddenError(f"job {job_id} is the zoo's own; others wait for it")
        return job

    def require_worker(self, identity: Identity) -> None:
        """Raises ForbiddenError unless somebody may do the jobs of all."""
        if not identity.works:
            raise ForbiddenError(
                f"a token of the role {identity.role} may only claim jobs of a query of its own on data that stays at "
                "home; name the query, or use a token of the role worker"
            )

    def require_report(self, identity: Identity, job_id: int, *, brought: Iterable[Digest] = ()) -> None:
        """Raises NotFoundError unless somebody may report on a job, and may have the bytes that the report names.

        Whoever is no worker may report on jobs that are done at home, of datasets of their own.
        """
        with self._begin() as work:
            if identity.works:
                if work.jobs.owner(job_id) is None:
                    raise no_job(job_id)
                return
            job = work.jobs.get(job_id)
            at_home = job is not None and isinstance(job.work, ScoreHereWork)
            dataset = None if job is None or not at_home else dataset_of(job.work)
            if dataset is None or work.datasets.get(dataset, owner=identity.owner) is None:
                raise no_job(job_id)
        self.require_bytes(identity, brought)


def no_blob(digest: Digest) -> NotFoundError:
    """That bytes are not here, or not for the caller to know of."""
    return NotFoundError(f"there is no blob {digest}")


def no_job(job_id: int) -> NotFoundError:
    """That a job is not here, or not for the caller to know of."""
    return NotFoundError(f"there is no job {job_id}")


def blobs_of(result: JobResult) -> tuple[Digest, ...]:
    """The bytes that a result names."""
    match result:
        case ScoreResult():
            return tuple(part.blob for part in result.statistics)
        case JointResult():
            return () if result.blob is None else (result.blob,)
        case TrainResult():
            return tuple(made.digest for made in result.modules)
        case _:
            return ()


def _has(work: UnitOfWork, identity: Identity, digest: Digest) -> bool:
    """Whether bytes are somebody's own, or a version's that they may know of."""
    if identity.role is None:
        return False
    dataset = work.datasets.get(digest, owner=identity.owner)
    return (
        (identity.may(Action.READ) and bool(work.modules.by_digest(digest)))
        or (dataset is not None and dataset.held)
        or work.blob_owners.has(digest, owner=identity.owner)
    )


def _may_follow(work: UnitOfWork, identity: Identity, job: Job) -> bool:
    if identity.is_admin or work.jobs.owner(job.id) == identity.owner:
        return True
    return isinstance(job.work, VerifyWork) and bool(work.modules.by_digest(job.work.module))


def _needed(work: UnitOfWork) -> set[Digest]:
    """The bytes that running jobs need."""
    page = work.jobs.list(kind=None, status=JobStatus.RUNNING, owner=None, limit=MOST_RUNNING, cursor=None)
    needed = {digest for job in page.items for digest in _inputs(job.work)}
    return needed | {job.checkpoint for job in page.items if job.checkpoint is not None}


def _inputs(work: Work) -> Iterator[Digest]:
    """The bytes that work is done with."""
    dataset, pairs = dataset_of(work), pairs_of(work)
    yield from (digest for digest in (dataset, pairs) if digest is not None)
    match work:
        case ScoreWork():
            yield from (digest for chain in work.chains for digest in chain)
            yield from work.heads.values()
        case JointWork():
            yield from (digest for chain in work.chains for digest in chain)
        case PredictWork():
            yield from (*work.modules, work.images)
        case VerifyWork():
            yield work.module
        case TrainWork():
            return
