"""Queries about sets: opened with one job for all candidates, judged in the background, answered once."""

from collections.abc import Sequence
from datetime import datetime

from registry.names import Digest, namespaces_of
from registry.ports import UnitOfWork
from registry.records import Job, Query, QueryStatus
from registry.set_plans import KIND, SetPlan, Standing, stand


def open_sets(work: UnitOfWork, plan: SetPlan, *, owner: str, at: datetime) -> str:
    """The id of a question about sets: one asked before that still holds, or a new one with a job where one is needed.

    The caller holds, so that the same question asked at the same moment is opened once.

    Raises:
        NotScorableError: a module or the dataset went meanwhile.
    """
    known = work.queries.get(plan.query_id)
    if known is not None and known.holds:
        work.queries.ask(known, owner=owner)
        return known.id
    standing = stand(work, plan)
    cached = standing.kept is not None
    query = Query(
        id=plan.query_id,
        kind=KIND,
        status=QueryStatus.RUNNING,
        plan=plan.model_copy(update={"cached": cached}).model_dump_json(),
        jobs=jobs_for_sets(work, standing, owner=owner, at=at),
        created_at=at,
        namespaces=namespaces_of(candidate.ref for candidate in plan.candidates),
    )
    if known is None:
        work.queries.add(query, data=[plan.task.dataset])
    else:
        work.queries.replace(query)
    work.queries.ask(query, owner=owner)
    return query.id


def jobs_for_sets(work: UnitOfWork, standing: Standing, *, owner: str, at: datetime) -> tuple[int, ...]:
    """The job that brings what is not kept: one that is open already, or a new one; none where nothing is missing."""
    if standing.share is None or standing.kept is not None:
        return ()
    job = work.jobs.find_open(standing.share) or work.jobs.submit(standing.share, owner=owner, at=at)
    return (job.id,)


def asked_again(
    work: UnitOfWork, query: Query, jobs: Sequence[Job], *, lost: Digest, owner: str, at: datetime
) -> Query:
    """A running query, as it is now, with a job that makes lost statistics again. The caller holds."""
    work.statistics.remove(lost)
    plan = SetPlan.model_validate_json(query.plan)
    more = jobs_for_sets(work, stand(work, plan, jobs), owner=owner, at=at)
    again = plan.model_copy(update={"cached": False}).model_dump_json()
    query = query.model_copy(update={"jobs": tuple(sorted({*query.jobs, *more})), "plan": again})
    work.queries.replace(query)
    return query
