"""Questions and their answers in SQL."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update

from registry.access import Sight
from registry.errors import NotFoundError
from registry.names import Digest
from registry.records import Query, QueryStatus
from storage.records.sight import query_in_sight
from storage.tables import QueryAskerRow, QueryDataRow, QueryJobRow, QueryNamespaceRow, QueryRow
from storage.transaction import Transaction, chunks

WAITING, ASKED, STOPPED = "waiting", "asked", "stopped"
"""How somebody is to a query: waiting for its answer, there when it ended, or not interested any more."""

ASKER = (QueryAskerRow.query_id, QueryAskerRow.owner)
_WAITS = QueryAskerRow.state == WAITING


class SqlQueryRecords:
    """Questions and their answers, kept so that the same question gets the same bytes."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: the one all records of a unit of work share; sight: what `asked_by` may find."""
        self._transaction, self._seen = transaction, query_in_sight(sight)

    def add(self, query: Query, *, data: Sequence[Digest]) -> bool:
        """Record a query about these datasets; False, and no change, when this id is there already."""
        new = self._transaction.insert(QueryRow).values(id=query.id, **_columns(query))
        if not self._transaction.changed(new.on_conflict_do_nothing().returning(QueryRow.id)):
            return False
        about = [{"query_id": query.id, "data": digest} for digest in sorted(set(data))]
        if about:
            self._transaction.change(self._transaction.insert(QueryDataRow).values(about))
        names = [{"query_id": query.id, "namespace": name} for name in sorted(set(query.namespaces))]
        if names:
            self._transaction.change(self._transaction.insert(QueryNamespaceRow).values(names))
        self._put_jobs(query)
        return True

    def get(self, query_id: str) -> Query | None:
        """One query."""
        row = self._transaction.first(select(QueryRow.record).where(QueryRow.id == query_id))
        return None if row is None else Query.model_validate_json(row[0])

    def ask(self, query: Query, *, owner: str) -> None:
        """Record who asks a query that is there, also after stopping it; until it ends they wait for it."""
        state = WAITING if query.status is QueryStatus.RUNNING else ASKED
        new = self._transaction.insert(QueryAskerRow).values(query_id=query.id, owner=owner, state=state)
        self._transaction.change(new.on_conflict_do_update(index_elements=ASKER, set_={"state": state}))

    def asked_by(self, owner: str | None, query_id: str) -> Query | None:
        """One query that this owner asked (None: whoever did), if all its candidates are in sight.

        It is cancelled for whoever stopped it, although it goes on where others ask it too.
        """
        asked = select(QueryAskerRow.state).where(QueryAskerRow.query_id == query_id, QueryAskerRow.owner == owner)
        mine = (ASKED,) if owner is None else self._transaction.first(asked)
        row = self._transaction.first(select(QueryRow.record).where(QueryRow.id == query_id, self._seen))
        if mine is None or row is None:
            return None
        query = Query.model_validate_json(row[0])
        gone = {"status": QueryStatus.CANCELLED, "answer": None, "error": None, "error_code": None}
        return query.model_copy(update=gone) if mine[0] == STOPPED else query

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

    def askers(self, query_id: str) -> tuple[str, ...]:
        """Who waits for a query, in order."""
        waiting = select(QueryAskerRow.owner).where(QueryAskerRow.query_id == query_id, _WAITS)
        return tuple(owner for (owner,) in self._transaction.rows(waiting.order_by(QueryAskerRow.owner)))

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
            waited = update(QueryAskerRow).where(QueryAskerRow.query_id == query.id, _WAITS)
            self._transaction.change(waited.values(state=ASKED))

    def _put_jobs(self, query: Query) -> None:
        """Keep which jobs a running query waits for; nobody looks for one that has ended by its jobs."""
        for some in chunks(query.jobs if query.status is QueryStatus.RUNNING else ()):
            jobs = [{"query_id": query.id, "job": job} for job in some]
            self._transaction.change(self._transaction.insert(QueryJobRow).values(jobs))

    def stop(self, query_id: str, *, owner: str | None) -> bool:
        """Record that this owner (None: everybody) waits for a query no more; True when nobody does."""
        askers = update(QueryAskerRow).where(QueryAskerRow.query_id == query_id)
        mine = askers if owner is None else askers.where(QueryAskerRow.owner == owner)
        self._transaction.change(mine.values(state=STOPPED))
        return not self.askers(query_id)

    def withdraw(self, data: Digest, *, owner: str) -> tuple[Query, ...]:
        """Forget that this owner asked about a dataset; gives the running queries about it that nobody waits for."""
        about = select(QueryDataRow.query_id).where(QueryDataRow.data == data)
        mine = delete(QueryAskerRow).where(QueryAskerRow.owner == owner, QueryAskerRow.query_id.in_(about))
        self._transaction.change(mine)
        wanted = select(QueryRow.record).where(QueryRow.status == QueryStatus.RUNNING, QueryRow.id.in_(about))
        waited_for = select(QueryAskerRow.query_id).where(_WAITS)
        rows = self._transaction.rows(wanted.where(QueryRow.id.not_in(waited_for)))
        return tuple(Query.model_validate_json(record) for (record,) in rows)

    def remove_data(self, data: Digest) -> None:
        """Forget every query about this dataset."""
        about = select(QueryDataRow.query_id).where(QueryDataRow.data == data)
        self._transaction.change(delete(QueryRow).where(QueryRow.id.in_(about)))


def _columns(query: Query) -> dict[str, str | datetime]:
    """What is kept of a query: its record, and the columns it is found by."""
    return {"status": query.status, "created_at": query.created_at, "record": query.model_dump_json()}
