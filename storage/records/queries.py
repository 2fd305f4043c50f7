"""Questions and their answers in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update

from registry.errors import NotFoundError
from registry.names import Digest
from registry.records import Query, QueryStatus
from storage.tables import QueryAskerRow, QueryDataRow, QueryJobRow, QueryRow
from storage.transaction import Transaction, chunks


class SqlQueryRecords:
    """Questions and their answers, kept so that the same question gets the same bytes."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, query: Query, *, data: Sequence[Digest]) -> bool:
        """Record a query about these datasets; False, and no change, when this id is there already."""
        new = self._transaction.insert(QueryRow).values(id=query.id, **_columns(query))
        if not self._transaction.changed(new.on_conflict_do_nothing().returning(QueryRow.id)):
            return False
        about = [{"query_id": query.id, "data": digest} for digest in sorted(set(data))]
        if about:
            self._transaction.change(self._transaction.insert(QueryDataRow).values(about))
        self._put_jobs(query)
        return True

    def get(self, query_id: str) -> Query | None:
        """One query."""
        row = self._transaction.first(select(QueryRow.record).where(QueryRow.id == query_id))
        return None if row is None else Query.model_validate_json(row[0])

    def data(self, query_id: str) -> tuple[Digest, ...]:
        """The datasets that a query is about, in order; none where there is no such query."""
        about = select(QueryDataRow.data).where(QueryDataRow.query_id == query_id).order_by(QueryDataRow.data)
        return tuple(Digest(data) for (data,) in self._transaction.rows(about))

    def running(self) -> tuple[Query, ...]:
        """Every query that is running, oldest first."""
        wanted = select(QueryRow.record).where(QueryRow.status == QueryStatus.RUNNING)
        rows = self._transaction.rows(wanted.order_by(QueryRow.created_at, QueryRow.id))
        return tuple(Query.model_validate_json(record) for (record,) in rows)

    def waiting_for(self, job_ids: Sequence[int]) -> tuple[Query, ...]:
        """The running queries that wait for one of these jobs, or have waited for it, oldest first."""
        found: dict[str, Query] = {}
        for some in chunks(job_ids):
            waiting = select(QueryJobRow.query_id).where(QueryJobRow.job.in_(some))
            wanted = select(QueryRow.record).where(QueryRow.id.in_(waiting), QueryRow.status == QueryStatus.RUNNING)
            queries = (Query.model_validate_json(record) for (record,) in self._transaction.rows(wanted))
            found |= {query.id: query for query in queries}
        return tuple(sorted(found.values(), key=lambda query: (query.created_at, query.id)))

    def add_asker(self, query_id: str, owner: str) -> None:
        """Remember that somebody waits for a query, until it ends; no error when that is known."""
        waits = self._transaction.insert(QueryAskerRow).values(query_id=query_id, owner=owner)
        self._transaction.change(waits.on_conflict_do_nothing())

    def remove_asker(self, query_id: str, owner: str) -> None:
        """Forget that somebody waits for a query; no error when nobody knew."""
        waits = (QueryAskerRow.query_id == query_id) & (QueryAskerRow.owner == owner)
        self._transaction.change(delete(QueryAskerRow).where(waits))

    def askers(self, query_id: str) -> tuple[str, ...]:
        """Who waits for a query, in order."""
        waiting = select(QueryAskerRow.owner).where(QueryAskerRow.query_id == query_id).order_by(QueryAskerRow.owner)
        return tuple(owner for (owner,) in self._transaction.rows(waiting))

    def running_count(self) -> int:
        """How many are running."""
        row = self._transaction.first(select(func.count()).where(QueryRow.status == QueryStatus.RUNNING))
        return 0 if row is None else row[0]

    def replace(self, query: Query) -> None:
        """Store the new state of a query; nobody waits for one that has ended.

        Raises NotFoundError when its id is not there.
        """
        state = update(QueryRow).where(QueryRow.id == query.id).values(**_columns(query))
        if not self._transaction.changed(state.returning(QueryRow.id)):
            raise NotFoundError(f"there is no query {query.id!r} any more; ask the question again")
        self._transaction.change(delete(QueryJobRow).where(QueryJobRow.query_id == query.id))
        self._put_jobs(query)
        if query.status is not QueryStatus.RUNNING:
            self._transaction.change(delete(QueryAskerRow).where(QueryAskerRow.query_id == query.id))

    def _put_jobs(self, query: Query) -> None:
        """Keep which jobs a running query waits for; nobody looks for one that has ended by its jobs."""
        for some in chunks(query.jobs if query.status is QueryStatus.RUNNING else ()):
            jobs = [{"query_id": query.id, "job": job} for job in some]
            self._transaction.change(self._transaction.insert(QueryJobRow).values(jobs))

    def remove_data(self, data: Digest) -> None:
        """Forget every query about this dataset."""
        about = select(QueryDataRow.query_id).where(QueryDataRow.data == data)
        self._transaction.change(delete(QueryRow).where(QueryRow.id.in_(about)))


def _columns(query: Query) -> dict[str, str | datetime]:
    """What is kept of a query: its record, and the columns it is found by."""
    return {"status": query.status, "created_at": query.created_at, "record": query.model_dump_json()}
