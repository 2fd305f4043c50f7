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
    return round_progress(plan, jobs, stage=_stage(jobs)) if plan.slices else sets_progress(jobs)


def sets_progress(jobs: Sequence[Job]) -> Progress:
    """The progress of all jobs as one, without rounds; once the statistics are there, they are judged."""
    done = sum(max(job.progress.total, 1) if job.status.ended else job.progress.done for job in jobs)
    return Progress(stage=_stage(jobs), done=done, total=sum(max(job.progress.total, 1) for job in jobs))


def _stage(jobs: Sequence[Job]) -> str:
    """What is being done, or who is to do what no one does yet."""
    if not waits(jobs):
        return "judging"
    running = any(job.status is JobStatus.RUNNING for job in jobs)
    return "scoring" if running else _waited_for(jobs)
