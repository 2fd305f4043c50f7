"""Who waits for a query: the same question of several people is one query, which none of them ends for the others."""

from registry.errors import ConflictError
from registry.ports import UnitOfWork


def require_unneeded(work: UnitOfWork, job_id: int, *, by: str) -> None:
    """Raises ConflictError where somebody else waits for a query that needs this job."""
    for query in work.queries.waiting_for([job_id]):
        if set(work.queries.askers(query.id)) - {by}:
            raise ConflictError(
                f"job {job_id} goes on, as a question of somebody else needs what it brings; cancel your own question "
                "with DELETE /queries/{query}, if you do not wait for it any more"
            )
