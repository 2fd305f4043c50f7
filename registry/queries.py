"""Queries: a question that waits for workers, then is answered once, for good."""

from collections.abc import Sequence

from registry.answers import Answerer, Lost, StatisticsLostError, gather, parse_answer
from registry.errors import JobFailedError, NotFoundError, NotScorableError
from registry.names import Digest
from registry.plans import Plan, statistics_key
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.query_jobs import jobs_for
from registry.rankings import QueryState, Ranking
from registry.records import STAFF, Job, JobStatus, Progress, Query, QueryStatus
from registry.work import ScoreResult, ScoreWork, VerifyWork


class QueryService:
    """The rules about queries: no image is run twice, and one module that fails does not fail the others."""

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock = begin, clock
        self._answers = Answerer(blobs)

    def open(self, work: UnitOfWork, plan: Plan, *, owner: str) -> str:
        """The id of a question: one asked before that still holds, or a new one with jobs for what is missing.

        The caller holds, so that the same question asked at the same moment is opened once.
        """
        known = work.queries.get(plan.query_id)
        if known is not None and known.status in (QueryStatus.DONE, QueryStatus.RUNNING):
            return known.id
        kept = work.statistics.get([cell.key for cell in plan.cells])
        cells = tuple(cell.model_copy(update={"cached": cell.key in kept}) for cell in plan.cells)
        plan = plan.model_copy(update={"cells": cells})
        query = Query(
            id=plan.query_id,
            kind=plan.kind,
            status=QueryStatus.RUNNING,
            plan=plan.model_dump_json(),
            jobs=jobs_for(work, plan, kept, owner=owner, at=self._clock()),
            created_at=self._clock(),
        )
        if known is None:
            work.queries.add(query, data=sorted({task.dataset for task in plan.tasks}))
        else:
            work.queries.replace(query)
        return query.id

    def waiting(self, query_id: str, *, owner: str | None) -> bool:
        """Whether a query still waits for workers; cheap enough to ask often. Raises NotFoundError."""
        with self._begin() as work:
            query = _query(work, query_id, owner)
            return query.status is QueryStatus.RUNNING and _waits(_jobs(work, query))

    def state(self, query_id: str, *, owner: str | None) -> QueryState:
        """How far a query is, with its answer once there is one. Raises NotFoundError."""
        with self._begin() as work:
            query = _query(work, query_id, owner)
            jobs = _jobs(work, query) if query.status is QueryStatus.RUNNING else []
        if query.status is not QueryStatus.RUNNING:
            return _told(query, jobs)
        if _waits(jobs):
            return _told(query, jobs, partial=self._partial(query))
        settled = self._settled(query, jobs)
        return _told(settled, [])

    def _settled(self, query: Query, jobs: Sequence[Job]) -> Query:
        """The query with its answer, or the reason why there is none, written down."""
        plan = Plan.model_validate_json(query.plan)
        try:
            with self._begin() as work:
                findings = gather(work, plan, lost=_lost(jobs))
            answer = self._answers.answer(plan, findings)
        except StatisticsLostError as error:
            return self._begun_again(query, plan, error)
        except NotScorableError as error:
            lost = next((job for job in jobs if job.status is not JobStatus.DONE), None)
            code = error.code if lost is None else JobFailedError.code
            reason = error.detail if lost is None else lost.error or f"job {lost.id} was cancelled"
            return self._written(query, {"status": QueryStatus.FAILED, "error_code": code, "error": reason})
        return self._written(query, {"status": QueryStatus.DONE, "answer": answer.model_dump_json()})

    def _begun_again(self, query: Query, plan: Plan, error: StatisticsLostError) -> Query:
        """The query with jobs that make lost statistics again."""
        with self._begin() as work:
            work.hold()
            work.statistics.remove(error.key)
            kept = work.statistics.get([cell.key for cell in plan.cells])
            jobs = jobs_for(work, plan, kept, owner=STAFF, at=self._clock())
            query = query.model_copy(update={"jobs": jobs})
            work.queries.replace(query)
        return query

    def _written(self, query: Query, update: dict[str, str]) -> Query:
        """Store how a running query ended; whoever was first with it wins, and both would say the same."""
        with self._begin() as work:
            work.hold()
            present = work.queries.get(query.id)
            if present is None or present.status is not QueryStatus.RUNNING:
                return present or query.model_copy(update=update)
            ended = query.model_copy(update=update)
            work.queries.replace(ended)
        return ended

    def _partial(self, query: Query) -> Ranking | None:
        """The ranking of what is known so far; None for a map, or before anything is known."""
        plan = Plan.model_validate_json(query.plan)
        if plan.kind != "ranking":
            return None
        try:
            with self._begin() as work:
                findings = gather(work, plan)
            return self._answers.ranking(plan, findings)
        except NotScorableError:
            return None  # nothing yet, or the end of the query will say why

    def cancel(self, query_id: str, *, owner: str | None) -> QueryState:
        """Stop a query, and its jobs unless others wait for them; one that has ended stays. Raises NotFoundError.

        Looks at modules go on: whoever published them waits for those.
        """
        with self._begin() as work:
            work.hold()
            query = _query(work, query_id, owner)
            if query.status is QueryStatus.RUNNING:
                query = query.model_copy(update={"status": QueryStatus.CANCELLED})
                work.queries.replace(query)
                shared = {job for other in work.queries.running() for job in other.jobs}
                for job in _jobs(work, query):
                    if job.id not in shared and not isinstance(job.work, VerifyWork):
                        cancel_job(work, job.id, clock=self._clock)
        return _told(query, [])


def cancel_job(work: UnitOfWork, job: int, *, clock: Clock) -> None:
    """End a job whoever holds it; one that has ended stays as it is."""
    work.jobs.end(job, attempt=None, status=JobStatus.CANCELLED, result=None, error=None, at=clock())


def _query(work: UnitOfWork, query_id: str, owner: str | None) -> Query:
    """A query whose datasets the caller may know of. Raises NotFoundError."""
    query = work.queries.get(query_id)
    if query is not None:
        datasets = work.queries.data(query_id)
        if all(work.datasets.get(dataset, owner=owner) is not None for dataset in datasets):
            return query
    raise NotFoundError(f"there is no query {query_id[:200]!r}; ask with POST /transferability")


def _jobs(work: UnitOfWork, query: Query) -> list[Job]:
    return [job for job in (work.jobs.get(job_id) for job_id in query.jobs) if job is not None]


def _waits(jobs: Sequence[Job]) -> bool:
    """Whether work is still to come."""
    return any(not job.status.ended for job in jobs)


def _lost(jobs: Sequence[Job]) -> Lost:
    """What will not come because the job that was to bring it ended without, and why."""
    statistics: dict[Digest, str] = {}
    looks: dict[Digest, str] = {}
    for job in jobs:
        why = job.error or f"job {job.id} was cancelled"
        if isinstance(job.work, ScoreWork):
            statistics |= _never_brought(job, job.work, why)
        if isinstance(job.work, VerifyWork) and job.status is not JobStatus.DONE:
            looks[job.work.module] = why
    return Lost(statistics, looks)


def _never_brought(job: Job, share: ScoreWork, why: str) -> dict[Digest, str]:
    """Statistics, by key, that a job ended without: all where it failed, else those that its worker could not make."""
    chains = {chain[-1]: chain for chain in share.chains}
    failures = dict.fromkeys(chains, why)
    if isinstance(job.result, ScoreResult):
        failures = {failure.module: failure.reason for failure in job.result.failures}
    return {statistics_key(chain, share): failures[module] for module, chain in chains.items() if module in failures}


def _told(query: Query, jobs: Sequence[Job], *, partial: Ranking | None = None) -> QueryState:
    """What the asker is told."""
    return QueryState(
        id=query.id,
        kind=query.kind,
        status=query.status,
        progress=_progress(jobs, running=query.status is QueryStatus.RUNNING),
        answer=parse_answer(query.kind, query.answer) if query.answer else None,
        partial=partial,
        error=query.error,
        error_code=query.error_code,
        created_at=query.created_at,
    )


def _progress(jobs: Sequence[Job], *, running: bool) -> Progress:
    """All jobs' progress as one: a job that has not begun counts one step."""
    if not running:
        return Progress(stage="", done=1, total=1)
    done = sum(max(job.progress.total, 1) if job.status.ended else job.progress.done for job in jobs)
    stage = "scoring" if any(job.status is JobStatus.RUNNING for job in jobs) else "waiting for a worker"
    return Progress(stage=stage, done=done, total=sum(max(job.progress.total, 1) for job in jobs))
