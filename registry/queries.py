"""Queries: a question that waits for workers, then is answered once, for good."""

import time
from collections.abc import Iterable, Sequence
from copy import copy
from typing import Self

import structlog

from registry.answers import Answerer, StatisticsLostError
from registry.background import Background
from registry.errors import JobFailedError, NotFoundError, NotScorableError, ZooError
from registry.findings import Lost, gather
from registry.names import Digest, namespaces_of
from registry.plans import Plan, keys_brought
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.query_jobs import give_up_at_home, jobs_for
from registry.query_progress import NOTHING_LEFT, progress, sets_progress, told, waits
from registry.rankings import QueryState, Ranking
from registry.records import STAFF, Job, JobStatus, Query, QueryStatus
from registry.rounds import asked_again, goes_on, is_last, part_of, round_of, with_cached
from registry.set_answers import SetAnswerer
from registry.set_plans import KIND as SETS
from registry.set_plans import SetPlan, rests_on_jobs
from registry.set_queries import asked_again as sets_asked_again
from registry.work import ScoreResult, ScoreWork, VerifyWork

log = structlog.get_logger()

JUDGING_SECONDS = 1.0
"""Whoever asks about sets, or for what is known so far, waits so long while it is judged, then hears that it is."""

ANSWER_SECONDS = 5.0
"""The same for other answers: mostly a moment, minutes where there are many modules with thousands of features."""

JUDGED_AT_ONCE = 4
"""So many queries are judged at a time, so that a small one need not wait for a large one."""

LOOK_SECONDS = 0.05
"""The same for whoever looks again in a moment: few threads look for many, so none of them waits long."""

MOST_STEPS = 20
"""A query makes at most so many steps while somebody waits; there are fewer rounds than that."""


class QueryService:
    """The rules about queries: no image is run twice, and one module that fails does not fail the others."""

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock) -> None:
        """Everything it needs from outside."""
        self._begin, self._look, self._clock = begin, begin, clock
        self._answers, self._set_answers = Answerer(blobs), SetAnswerer(begin, blobs)
        self._judging: Background[Query] = Background(at_once=JUDGED_AT_ONCE)
        self._partials: Background[Ranking | None] = Background(at_once=JUDGED_AT_ONCE)

    def seen_by(self, look: Begin) -> Self:
        """The same, for somebody who sees what units of work of this kind see; they share what is being judged."""
        seen = copy(self)
        seen._look = look
        return seen

    def open(self, work: UnitOfWork, plan: Plan, *, owner: str) -> str:
        """The id of a question: one asked before that still holds, or a new one with jobs for what is missing.

        The caller holds, so that the same question asked at the same moment is opened once.
        """
        known = work.queries.get(plan.query_id)
        if known is not None and known.holds:
            work.queries.ask(known, owner=owner)
            return known.id
        if known is not None and plan.shortlist is not None:
            plan = asked_again(Plan.model_validate_json(known.plan))
        first = part_of(plan, 0)
        kept = work.statistics.get([cell.key for cell in first.cells])
        query = Query(
            id=plan.query_id,
            kind=plan.kind,
            status=QueryStatus.RUNNING,
            plan=with_cached(plan, kept).model_dump_json(),
            jobs=jobs_for(work, first, kept, owner=owner, at=self._clock()),
            created_at=self._clock(),
            namespaces=namespaces_of(cell.ref for cell in plan.cells),
        )
        if known is None:
            work.queries.add(query, data=sorted({task.dataset for task in plan.tasks}))
        else:
            work.queries.replace(query)
        work.queries.ask(query, owner=owner)
        return query.id

    def waiting(self, query_id: str, *, owner: str | None) -> bool:
        """Whether a query still waits for workers; cheap enough to ask often. Raises NotFoundError."""
        with self._look() as work:
            query = _query(work, query_id, owner)
            if query.status is not QueryStatus.RUNNING or work.jobs.any_open(query.jobs):
                return query.status is QueryStatus.RUNNING
        return self._moved(query, seconds=LOOK_SECONDS)[0].status is QueryStatus.RUNNING

    def state(self, query_id: str, *, owner: str | None) -> QueryState:
        """How far a query is, with its answer once there is one. Raises NotFoundError."""
        with self._look() as work:
            query = _query(work, query_id, owner)
        query, jobs = self._moved(query)
        if query.status is not QueryStatus.RUNNING:
            return told(query, NOTHING_LEFT)
        if query.kind == SETS:
            return told(query, sets_progress(jobs))
        plan = Plan.model_validate_json(query.plan)
        if not waits(jobs):
            return told(query, progress(plan, jobs))
        key = f"{query.id} {query.created_at.isoformat()} {sum(job.status.ended for job in jobs)} of {len(jobs)}"
        partial = self._partials.make(key, lambda: self._partial(plan), seconds=JUDGING_SECONDS)
        return told(query, progress(plan, jobs), partial=partial)

    def job_ended(self, job: Job) -> None:
        """Let whoever waited for this job last go on or be answered, with nobody asking.

        What it brought to a round that waits for other jobs still is judged already.
        """
        with self._begin() as work:
            waiting = work.queries.waiting_for([job.id])
            ready = [query for query in waiting if not work.jobs.any_open(query.jobs)]
        self._go_on(ready)
        for query in waiting:
            if query not in ready and isinstance(job.work, ScoreWork):
                self._judge_early(Plan.model_validate_json(query.plan), job.work)

    def look_after(self) -> None:
        """End queries that nobody came back for: judge those that wait for no job any more.

        They are there where the process stopped before it had judged, and where the images stay at home and nobody
        does the jobs.
        """
        with self._begin() as work:
            give_up_at_home(work, at=self._clock())
        with self._begin() as work:
            ready = [query for query in work.queries.running() if not work.jobs.any_open(query.jobs)]
        self._go_on(ready)

    def _go_on(self, queries: Iterable[Query]) -> None:
        """Bring queries as far as they come; where one does not, the others do, and whoever asks for it tries again.

        For all of them together it waits no longer than for one; what takes longer goes on by itself.
        """
        until = time.monotonic() + ANSWER_SECONDS
        for query in queries:
            try:
                self._moved(query, seconds=max(0.0, until - time.monotonic()))
            except ZooError as error:
                log.warning("a query did not go on by itself", query=query.id, why=error.detail)
            except Exception:  # whoever ended the job has done nothing wrong; whoever asks is told
                log.exception("a query could not be judged", query=query.id)

    def _judge_early(self, plan: Plan, share: ScoreWork) -> None:
        """Judge the modules of one work, as far as they are in the present round, where another follows."""
        if is_last(plan):
            return
        chains = set(share.chains)
        cells = tuple(cell for cell in plan.cells if goes_on(plan, cell) and cell.chain in chains)
        few = plan.model_copy(update={"cells": cells})
        with self._begin() as work:
            findings = gather(work, few, elsewhere=False)
        self._answers.remember(few, findings)

    def _moved(self, query: Query, *, seconds: float = ANSWER_SECONDS) -> tuple[Query, tuple[Job, ...]]:
        """The query as far as it comes without workers: a round that has ended opens the next, the last is answered.

        Gives the query with the jobs that it waits for, or waited for. Each step is waited for so many seconds at most.
        """
        jobs: tuple[Job, ...] = ()
        for _ in range(MOST_STEPS):
            with self._begin() as work:
                jobs = work.jobs.those(query.jobs)
            if query.status is not QueryStatus.RUNNING or waits(jobs):
                break
            settled = self._settled_soon(query, jobs, seconds=seconds)
            if settled is None:
                break
            query = settled
        return query, jobs

    def _settled_soon(self, query: Query, jobs: Sequence[Job], *, seconds: float) -> Query | None:
        """What judging makes of a query whose jobs have ended; None while it is judged still.

        A round is told from the next by its jobs, and a question from the same one asked again by when it was asked.
        """
        key = f"{query.id} {query.created_at.isoformat()} {query.jobs}"
        if query.kind == SETS:
            work, seconds = self._judged_sets, min(seconds, JUDGING_SECONDS)
        else:
            work, seconds = self._settled, min(seconds, ANSWER_SECONDS)
        return self._judging.make(key, lambda: work(query, jobs), seconds=seconds)

    def _settled(self, query: Query, jobs: Sequence[Job]) -> Query:
        """The query in its next round, or with its answer, or the reason why there is none, written down."""
        plan = Plan.model_validate_json(query.plan)
        try:
            if not is_last(plan):
                with self._begin() as work:
                    so_far = gather(work, plan, lost=_lost(jobs), elsewhere=False)
                further = self._answers.next_round(plan, so_far)
                if further is not None:
                    return self._next_round(query, further)
            with self._begin() as work:
                findings = gather(work, plan, lost=_lost(jobs))
            answer = self._answers.answer(plan, findings).model_dump_json()
        except StatisticsLostError as error:
            return self._begun_again(query, plan, error)
        except NotScorableError as error:
            return self._failed(query, jobs, error)
        return self._answered(query, answer, passing=findings.passing)

    def _judged_sets(self, query: Query, jobs: Sequence[Job]) -> Query:
        """The query with its answer, or the reason why there is none, or with a job that makes lost statistics."""
        with self._begin() as work:
            present = _still_there(work, query)
        if _went_on(query, present):
            return present
        try:
            plan = SetPlan.model_validate_json(query.plan)
            answer = self._set_answers.answer(plan, jobs).model_dump_json()
            with self._begin() as work:
                passing = rests_on_jobs(work, plan, jobs)
        except StatisticsLostError as error:
            with self._begin() as work:
                work.hold()
                present = _still_there(work, query)
                if _went_on(query, present):
                    return present
                return sets_asked_again(work, present, jobs, lost=error.key, owner=STAFF, at=self._clock())
        except NotScorableError as error:
            return self._failed(query, jobs, error)
        return self._answered(query, answer, passing=passing)

    def _answered(self, query: Query, answer: str, *, passing: bool) -> Query:
        """The query with its answer, and a note where the same question is to be asked anew when somebody does."""
        note = {"error_code": JobFailedError.code} if passing else {}
        return self._written(query, {"status": QueryStatus.DONE, "answer": answer, **note})

    def _failed(self, query: Query, jobs: Sequence[Job], error: NotScorableError) -> Query:
        """The query with the reason why there is no answer: that of a job that ended without, else the error."""
        lost = next((job for job in jobs if job.status is not JobStatus.DONE), None)
        code = error.code if lost is None else JobFailedError.code
        reason = error.detail if lost is None else lost.error or f"job {lost.id} was cancelled"
        return self._written(query, {"status": QueryStatus.FAILED, "error_code": code, "error": reason})

    def _begun_again(self, query: Query, plan: Plan, error: StatisticsLostError) -> Query:
        """The query with jobs that make lost statistics again, unless somebody else has gone on with it meanwhile."""
        with self._begin() as work:
            work.hold()
            present = work.queries.get(query.id)
            if present is not None and _went_on(query, present):
                return present
            work.statistics.remove(error.key)
            jobs: set[int] = set()
            for number in range(round_of(plan) + 1):
                part = part_of(plan, number)
                kept = work.statistics.get([cell.key for cell in part.cells])
                jobs |= set(jobs_for(work, part, kept, owner=STAFF, at=self._clock()))
            query = query.model_copy(update={"jobs": tuple(sorted(jobs))})
            work.queries.replace(query)
        return query

    def _next_round(self, query: Query, plan: Plan) -> Query:
        """The query in the round that a plan is in; whoever was first to open it wins, and both would do the same."""
        with self._begin() as work:
            work.hold()
            present = _still_there(work, query)
            if _went_on(query, present):
                return present
            part = part_of(plan, round_of(plan))
            kept = work.statistics.get([cell.key for cell in part.cells])
            jobs = jobs_for(work, part, kept, owner=STAFF, at=self._clock())
            opened = present.model_copy(
                update={
                    "plan": with_cached(plan, kept).model_dump_json(),
                    "jobs": tuple(sorted({*present.jobs, *jobs})),
                }
            )
            work.queries.replace(opened)
        return opened

    def _written(self, query: Query, update: dict[str, str]) -> Query:
        """Store how a running query ended; whoever went on with it meanwhile wins, and nothing of that is undone.

        Raises NotFoundError when it was removed meanwhile, with its dataset.
        """
        with self._begin() as work:
            work.hold()
            present = _still_there(work, query)
            if _went_on(query, present):
                return present
            ended = query.model_copy(update=update)
            work.queries.replace(ended)
        return ended

    def _partial(self, plan: Plan) -> Ranking | None:
        """The ranking of what is known so far; None for a map, or before anything is known."""
        if plan.kind != "ranking":
            return None
        try:
            with self._begin() as work:
                findings = gather(work, plan)
            return self._answers.ranking(plan, findings)
        except NotScorableError:
            return None  # nothing yet, or the end of the query will say why

    def cancel(self, query_id: str, *, owner: str | None, for_all: bool = False) -> QueryState:
        """Stop a query for whoever asked it; one that has ended stays. Raises NotFoundError.

        Where others wait for it too it goes on for them; with the last of them its jobs end.

        Args:
            query_id: which.
            owner: who does not wait for it any more; None stops it for all.
            for_all: stop it although others wait for it.
        """
        with self._look() as work:
            work.hold()
            query = _query(work, query_id, owner)
            if query.status is QueryStatus.RUNNING:
                if work.queries.stop(query.id, owner=None if for_all else owner):
                    end_query(work, query, clock=self._clock)
                query = query.model_copy(update={"status": QueryStatus.CANCELLED})
        return told(query, NOTHING_LEFT)


def _still_there(work: UnitOfWork, query: Query) -> Query:
    """A query as it is now. Raises NotFoundError."""
    present = work.queries.get(query.id)
    if present is None:
        raise NotFoundError(f"there is no query {query.id!r} any more; ask the question again")
    return present


def end_query(work: UnitOfWork, query: Query, *, clock: Clock) -> None:
    """End a running query without an answer, and its jobs unless others wait for them. The caller holds.

    Looks at modules go on: whoever published them waits for those.
    """
    work.queries.replace(query.model_copy(update={"status": QueryStatus.CANCELLED}))
    shared = {job for other in work.queries.waiting_for(query.jobs) for job in other.jobs}
    for job in work.jobs.those(query.jobs):
        if not (job.status.ended or job.id in shared or isinstance(job.work, VerifyWork)):
            cancel_job(work, job.id, clock=clock)


def cancel_job(work: UnitOfWork, job: int, *, clock: Clock) -> bool:
    """End a job whoever holds it; one that has ended stays as it is, and False tells."""
    return work.jobs.end(job, attempt=None, status=JobStatus.CANCELLED, result=None, error=None, at=clock())


def jobs_of_query(work: UnitOfWork, query_id: str, *, owner: str | None) -> tuple[int, ...]:
    """The jobs that a query of this asker waits for; none once it has ended. Raises NotFoundError."""
    query = _query(work, query_id, owner)
    return query.jobs if query.status is QueryStatus.RUNNING else ()


def _query(work: UnitOfWork, query_id: str, owner: str | None) -> Query:
    """A query that the caller asked, and whose candidates it may know of. Raises NotFoundError."""
    query = work.queries.asked_by(owner, query_id)
    if query is None:
        raise NotFoundError(f"there is no query {query_id[:200]!r}; ask with POST /transferability")
    return query


def _went_on(query: Query, present: Query) -> bool:
    """Whether a running query is not as it was read any more: it has ended, or waits for other jobs, or on a round."""
    return present.status is not QueryStatus.RUNNING or (present.plan, present.jobs) != (query.plan, query.jobs)


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
    without = {module: chain for module, chain in chains.items() if module in failures}
    return {key(chain): failures[module] for key in keys_brought(share) for module, chain in without.items()}
