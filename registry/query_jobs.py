"""Which jobs an answer waits for: those on their way already, and new ones for what is missing still."""

from collections.abc import Collection, Iterable
from datetime import datetime, timedelta

from registry.names import Digest
from registry.plans import Plan, keys_brought, missing_work
from registry.ports import UnitOfWork
from registry.records import Job, JobStatus, Query
from registry.verification import look_at
from registry.work import SCORE_HERE, ScoreHereWork, ScoreWork

AT_HOME_FOR = timedelta(days=1)
"""Jobs at home that nobody has done anything about for so long are given up: whoever asked has gone."""


def jobs_for(work: UnitOfWork, plan: Plan, kept: Collection[Digest], *, owner: str, at: datetime) -> tuple[int, ...]:
    """Jobs that bring the statistics that are not kept, and look at every module that no worker has looked at.

    Whoever scores a module looks at it first, so that nobody who publishes and asks at once waits twice. Nothing is
    done for modules that were refused, nor for those that stand on them.
    """
    found = work.verifications.get(digest for cell in plan.cells for digest in cell.chain)
    refused = {digest for digest, verification in found.items() if verification.refused}
    cells = [cell for cell in plan.cells if refused.isdisjoint(cell.chain)]
    barred = {cell.key for cell in plan.cells} - {cell.key for cell in cells}
    unverified = {digest for cell in cells for digest in cell.chain} - found.keys()
    coming = _coming(work)
    missing = missing_work(plan, {*kept, *coming, *barred})
    jobs = [coming[cell.key] for cell in cells if cell.key in coming and cell.key not in kept]
    jobs += work.jobs.submit_all([_looking(share, unverified) for share in missing], owner=owner, at=at)
    looked_at = {digest for job in jobs if isinstance(job.work, ScoreWork) for digest in job.work.verify}
    jobs += [look_at(work, digest, at=at) for digest in sorted(unverified - looked_at)]
    return tuple(sorted({job.id for job in jobs}))


def _coming(work: UnitOfWork) -> dict[Digest, Job]:
    """The open job that is to bring statistics, by their key."""
    coming: dict[Digest, Job] = {}
    for job in work.jobs.open():
        if isinstance(job.work, ScoreWork):
            for key_of in keys_brought(job.work):
                coming |= {key_of(chain): job for chain in job.work.chains}
    return coming


def _looking(share: ScoreWork, unverified: Collection[Digest]) -> ScoreWork:
    """Work that looks at those of its modules first that no worker has looked at; work at home looks at none."""
    if isinstance(share, ScoreHereWork):
        return share
    parts = {digest for chain in share.chains for digest in chain}
    return share.model_copy(update={"verify": tuple(sorted(part for part in parts if part in unverified))})


def give_up_at_home(work: UnitOfWork, *, at: datetime) -> None:
    """Fail the jobs at home of questions of which nothing has been heard for a day, unless others wait for them too."""
    if all(kind != SCORE_HERE for kind, _, _ in work.jobs.counts()):
        return
    work.hold()  # so that nobody asks, and waits for such a job, meanwhile
    left: set[int] = set()
    wanted: set[int] = set()
    for query in work.queries.running():
        jobs = work.jobs.those(query.jobs)
        at_home = {job.id for job in jobs if isinstance(job.work, ScoreHereWork) and not job.status.ended}
        (left if at - _last_heard_of(query, jobs) > AT_HOME_FOR else wanted).update(at_home)
    for job in sorted(left - wanted):
        why = f"nobody who holds the images has done job {job} for a day; ask again"
        work.jobs.end(job, attempt=None, status=JobStatus.FAILED, result=None, error=why, at=at)


def _last_heard_of(query: Query, jobs: Iterable[Job]) -> datetime:
    """When a question was asked, or one of its jobs was last held or ended."""
    moments = (moment for job in jobs for moment in (job.lease_expires_at, job.finished_at))
    return max([query.created_at, *(moment for moment in moments if moment is not None)])
