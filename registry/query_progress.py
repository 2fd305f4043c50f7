"""How far a query is, as whoever asks is told."""

from collections.abc import Sequence

from registry.answers import parse_answer
from registry.plans import Plan
from registry.rankings import QueryState, Ranking
from registry.records import Job, JobStatus, Progress, Query, QueryStatus
from registry.rounds import round_progress
from registry.work import SCORE_HERE

NOTHING_LEFT = Progress(stage="", done=1, total=1)
"""Of a query that has ended."""


def waits(jobs: Sequence[Job]) -> bool:
    """Whether work is still to come."""
    return any(not job.status.ended for job in jobs)


def told(query: Query, progress: Progress, *, partial: Ranking | None = None) -> QueryState:
    """What the asker is told."""
    return QueryState(
        id=query.id,
        kind=query.kind,
        status=query.status,
        progress=progress,
        answer=parse_answer(query.kind, query.answer) if query.answer else None,
        partial=partial,
        error=query.error,
        error_code=None if query.status is QueryStatus.DONE else query.error_code,
        created_at=query.created_at,
    )


def _waited_for(jobs: Sequence[Job]) -> str:
    """Who is to do what no one does yet."""
    kinds = {job.work.kind for job in jobs if not job.status.ended}
    return "waiting for whoever holds the images" if kinds == {SCORE_HERE} else "waiting for a worker"


def progress(plan: Plan, jobs: Sequence[Job]) -> Progress:
    """All jobs' progress as one: a job that has not begun counts one step; in rounds, all forward passes count."""
    running = any(job.status is JobStatus.RUNNING for job in jobs)
    stage = "judging" if not waits(jobs) else "scoring" if running else _waited_for(jobs)
    if plan.slices:
        return round_progress(plan, jobs, stage=stage)
    return _summed(jobs, stage=stage)


def sets_progress(jobs: Sequence[Job]) -> Progress:
    """How far a question about sets is; once the statistics are there, they are judged."""
    if not waits(jobs):
        return _summed(jobs, stage="judging")
    running = any(job.status is JobStatus.RUNNING for job in jobs)
    return _summed(jobs, stage="scoring" if running else _waited_for(jobs))


def _summed(jobs: Sequence[Job], *, stage: str) -> Progress:
    """The progress of all jobs as one."""
    done = sum(max(job.progress.total, 1) if job.status.ended else job.progress.done for job in jobs)
    return Progress(stage=stage, done=done, total=sum(max(job.progress.total, 1) for job in jobs))
