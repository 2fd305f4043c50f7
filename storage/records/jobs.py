"""The queue of work in SQL: the one durable truth about it."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime
from typing import TypedDict

from pydantic import TypeAdapter
from sqlalchemy import ColumnElement, case, func, insert, select, update
from sqlalchemy.orm import defer

from registry.names import Digest
from registry.origins import NOWHERE, Origin, current_origin
from registry.records import Job, JobStatus, Page, Progress
from registry.work import JobResult, Work, WorkKind
from storage.cursors import beyond, read_cursor, write_cursor
from storage.tables import JobRow
from storage.transaction import Transaction, chunks

NO_PROGRESS = Progress().model_dump_json()
VERIFY: WorkKind = "verify"
OPEN = (JobStatus.QUEUED, JobStatus.RUNNING)
WORK: TypeAdapter[Work] = TypeAdapter(Work)
KIND: TypeAdapter[WorkKind] = TypeAdapter(WorkKind)
RESULT: TypeAdapter[JobResult] = TypeAdapter(JobResult)


class SqlJobRecords:
    """The queue of work."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def submit(self, work: Work, *, owner: str, at: datetime) -> Job:
        """Queue work."""
        new = self._transaction.insert(JobRow).values(**_new(work, owner=owner, at=at))
        job_id = self._transaction.changed(new.returning(JobRow.id))[0][0]
        return Job(id=job_id, status=JobStatus.QUEUED, work=work, created_at=at, origin=current_origin())

    def submit_all(self, every: Sequence[Work], *, owner: str, at: datetime) -> tuple[Job, ...]:
        """Queue much work at once, in its order."""
        rows = [_new(work, owner=owner, at=at) for work in every]
        given: dict[str, list[int]] = defaultdict(list)
        if rows:
            new = insert(JobRow).returning(JobRow.id, JobRow.work)
            for job_id, text in sorted(self._transaction.added(new, rows)):
                given[text].append(job_id)
        return tuple(
            Job(
                id=given[row["work"]].pop(0),
                status=JobStatus.QUEUED,
                work=work,
                created_at=at,
                origin=current_origin(),
            )
            for work, row in zip(every, rows, strict=True)
        )

    def get(self, job_id: int) -> Job | None:
        """One job."""
        row = self._transaction.first(select(JobRow).where(JobRow.id == job_id))
        return None if row is None else _job(row[0])

    def owner(self, job_id: int) -> str | None:
        """Who asked for a job."""
        row = self._transaction.first(select(JobRow.owner).where(JobRow.id == job_id))
        return None if row is None else row[0]

    def those(self, job_ids: Sequence[int]) -> tuple[Job, ...]:
        """Those of the jobs that are there, oldest first."""
        found = [
            row
            for some in chunks(sorted(set(job_ids)))
            for (row,) in self._transaction.rows(select(JobRow).where(JobRow.id.in_(some)).order_by(JobRow.id))
        ]
        return tuple(_job(row) for row in found)

    def any_open(self, job_ids: Sequence[int]) -> bool:
        """Whether one of the jobs is queued or running."""
        wanted = select(JobRow.id).where(JobRow.status.in_(OPEN)).limit(1)
        return any(self._transaction.first(wanted.where(JobRow.id.in_(some))) for some in chunks(job_ids))

    def list(
        self,
        *,
        kind: WorkKind | None,
        status: JobStatus | None,
        owner: str | None = None,
        limit: int,
        cursor: str | None,
    ) -> Page[Job]:
        """Newest first, without their results, which may be long and are not read; of an owner, or of all."""
        wanted = select(JobRow).options(defer(JobRow.result)).order_by(JobRow.id.desc()).limit(limit + 1)
        if kind is not None:
            wanted = wanted.where(JobRow.kind == kind)
        if status is not None:
            wanted = wanted.where(JobRow.status == status)
        if owner is not None:
            wanted = wanted.where(JobRow.owner == owner)
        if cursor is not None:
            wanted = wanted.where(beyond([JobRow.id], read_cursor(cursor, "jobs", [int]), descending=True))
        jobs = [_job(row, whole=False) for (row,) in self._transaction.rows(wanted)]
        more = write_cursor("jobs", [jobs[limit - 1].id]) if len(jobs) > limit else None
        return Page(items=tuple(jobs[:limit]), next_cursor=more)

    def claim(
        self,
        kinds: Sequence[WorkKind],
        *,
        worker: str,
        at: datetime,
        lease_expires_at: datetime,
        among: Collection[int] | None = None,
    ) -> Job | None:
        """Give the oldest free job (queued, or with a lease that ran out) to a worker, in one statement.

        A job of the kind verify is given only where no other is free: whoever asks does not wait for it. `among` are
        the only jobs that may be given; None allows all.
        Workers ask often and mostly in vain: whether there is anything at all is read first, without the lock.
        A lost attempt takes its progress with it.
        """
        free = select(JobRow.id).where(_free(at), JobRow.kind.in_(kinds))
        first = free.order_by(case((JobRow.kind == VERIFY, 1), else_=0), JobRow.id).limit(1)
        parts = [first] if among is None else [first.where(JobRow.id.in_(some)) for some in chunks(sorted(among))]
        oldest = next((part for part in parts if self._transaction.first(part) is not None), None)
        if oldest is None:
            return None
        claim = update(JobRow).where(JobRow.id == oldest.with_for_update(skip_locked=True).scalar_subquery())
        held = claim.values(
            status=JobStatus.RUNNING,
            worker=worker,
            attempt=JobRow.attempt + 1,
            lease_expires_at=lease_expires_at,
            progress=NO_PROGRESS,
        )
        rows = self._transaction.changed(held.returning(JobRow.id))
        return self.get(rows[0][0]) if rows else None

    def renew(
        self,
        job_id: int,
        *,
        attempt: int,
        progress: Progress,
        lease_expires_at: datetime,
        checkpoint: Digest | None = None,
    ) -> bool:
        """Keep the lease and say how far it is; False when another attempt holds the job, or it has ended.

        A checkpoint takes the place of the last one; None leaves that. Claims, releases and the end leave it too.
        """
        held = update(JobRow).where(JobRow.id == job_id, *_held(attempt))
        renewed = held.values(lease_expires_at=lease_expires_at, progress=progress.model_dump_json())
        if checkpoint is not None:
            renewed = renewed.values(checkpoint=checkpoint)
        return bool(self._transaction.changed(renewed.returning(JobRow.id)))

    def open(self) -> tuple[Job, ...]:
        """Every job that is queued or running, oldest first."""
        wanted = select(JobRow).where(JobRow.status.in_(OPEN)).order_by(JobRow.id)
        return tuple(_job(row) for (row,) in self._transaction.rows(wanted))

    def counts(self) -> tuple[tuple[WorkKind, JobStatus, int], ...]:
        """How many jobs are queued and running, by kind; flat in the number of those that have ended."""
        wanted = select(JobRow.kind, JobRow.status, func.count()).where(JobRow.status.in_(OPEN))
        rows = self._transaction.rows(wanted.group_by(JobRow.kind, JobRow.status).order_by(JobRow.kind, JobRow.status))
        return tuple((KIND.validate_python(kind), JobStatus(status), count) for kind, status, count in rows)

    def oldest_queued(self) -> datetime | None:
        """When the oldest queued job was submitted."""
        wanted = select(JobRow.created_at).where(JobRow.status == JobStatus.QUEUED).order_by(JobRow.id).limit(1)
        row = self._transaction.first(wanted)
        return None if row is None else row[0]

    def find_open(self, work: Work) -> Job | None:
        """The oldest job with this very work that is queued or running."""
        same = select(JobRow).where(JobRow.status.in_(OPEN), JobRow.work == work.model_dump_json())
        row = self._transaction.first(same.order_by(JobRow.id).limit(1))
        return None if row is None else _job(row[0])

    def release(self, job_id: int, *, attempt: int) -> bool:
        """Give a job back unharmed, for the next to claim; False when this attempt does not hold it.

        The attempt stays counted, so that the next claim has another number and this worker is fenced off.
        """
        released = update(JobRow).where(JobRow.id == job_id, *_held(attempt))
        values = released.values(
            status=JobStatus.QUEUED,
            releases=JobRow.releases + 1,
            worker=None,
            lease_expires_at=None,
            progress=NO_PROGRESS,
        )
        return bool(self._transaction.changed(values.returning(JobRow.id)))

    def end(
        self,
        job_id: int,
        *,
        attempt: int | None,
        status: JobStatus,
        result: JobResult | None,
        error: str | None,
        at: datetime,
    ) -> bool:
        """End a job that is held by this attempt (None: whoever holds it, or nobody); False when it is not."""
        ended = update(JobRow).where(JobRow.id == job_id, *_held(attempt))
        values = ended.values(
            status=status,
            result=None if result is None else result.model_dump_json(),
            error=error,
            lease_expires_at=None,
            finished_at=at,
        )
        return bool(self._transaction.changed(values.returning(JobRow.id)))


class _New(TypedDict):
    """The columns of a job that nobody has claimed yet."""

    kind: str
    owner: str
    status: str
    work: str
    attempt: int
    releases: int
    progress: str
    created_at: datetime
    origin: str


def _new(work: Work, *, owner: str, at: datetime) -> _New:
    return {
        "kind": work.kind,
        "owner": owner,
        "status": JobStatus.QUEUED,
        "work": work.model_dump_json(),
        "attempt": 0,
        "releases": 0,
        "progress": NO_PROGRESS,
        "created_at": at,
        "origin": current_origin().model_dump_json(),
    }


def _free(at: datetime) -> ColumnElement[bool]:
    """Whether a worker may take a job at this moment."""
    lapsed = (JobRow.status == JobStatus.RUNNING) & (JobRow.lease_expires_at < at)
    return (JobRow.status == JobStatus.QUEUED) | lapsed


def _held(attempt: int | None) -> list[ColumnElement[bool]]:
    """Whether an attempt holds a job; without one, whether the job has not ended."""
    if attempt is None:
        return [JobRow.status.in_(OPEN)]
    return [JobRow.status == JobStatus.RUNNING, JobRow.attempt == attempt]


def _job(row: JobRow, *, whole: bool = True) -> Job:
    """The job of a row; without its result where it is not to be whole."""
    return Job(
        id=row.id,
        status=JobStatus(row.status),
        work=WORK.validate_json(row.work),
        attempt=row.attempt,
        releases=row.releases,
        worker=row.worker,
        lease_expires_at=row.lease_expires_at,
        progress=Progress.model_validate_json(row.progress),
        checkpoint=None if row.checkpoint is None else Digest(row.checkpoint),
        result=None if not whole or row.result is None else RESULT.validate_json(row.result),
        error=row.error,
        created_at=row.created_at,
        finished_at=row.finished_at,
        origin=NOWHERE if row.origin is None else Origin.model_validate_json(row.origin),
    )
