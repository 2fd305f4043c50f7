"""Who waits for a query: the same question of several people is one query, which none of them ends for the others."""

from registry.errors import ConflictError
from registry.ports import UnitOfWork
from registry.records import Query, QueryStatus


def note_asker(work: UnitOfWork, query: Query, owner: str) -> None:
    """Remember that somebody waits for a query, if there is anything to wait for."""
    if query.status is QueryStatus.RUNNING:
        work.queries.add_asker(query.id, owner)


def leave(work: UnitOfWork, query: Query, owner: str | None) -> bool:
    """Forget that somebody waits for a query (None: that anybody does); gives whether nobody does any more."""
    if owner is None:
        return True
    work.queries.remove_asker(query.id, owner)
    return not work.queries.askers(query.id)


def require_unneeded(work: UnitOfWork, job_id: int, *, by: str) -> None:
    """Raises ConflictError where somebody else waits for a query that needs this job."""
    for query in work.queries.waiting_for([job_id]):
        if set(work.queries.askers(query.id)) - {by}:
            raise ConflictError(
                f"job {job_id} goes on, as a question of somebody else needs what it brings; cancel your own question "
                "with DELETE /queries/{query}, if you do not wait for it any more"
            )
