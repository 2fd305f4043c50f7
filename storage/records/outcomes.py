"""What modules reached on the tasks of queries, in SQL."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, select, true

from registry.access import Sight
from registry.outcome_records import How, Outcome
from registry.records import Page
from storage.cursors import beyond, read_cursor, write_cursor
from storage.records.sight import query_in_sight
from storage.tables import OutcomeRow, QueryAskerRow, QueryRow
from storage.transaction import Transaction, chunks

ORDER = (OutcomeRow.owner, OutcomeRow.module, OutcomeRow.metric, OutcomeRow.how)
KEY = (OutcomeRow.query_id, *ORDER)


class SqlOutcomeRecords:
    """What modules reached on the tasks of queries, as each owner tells; they go with what the owner asked."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: the one all records of a unit of work share; sight: what `of_owner` may find."""
        self._transaction, self._seen = transaction, query_in_sight(sight)

    def put(self, outcomes: Sequence[Outcome], *, owner: str) -> None:
        """Record outcomes of queries that this owner asked, each in place of its own last one.

        There is one by query, module, metric and way.
        """
        for some in chunks(outcomes):
            new = self._transaction.insert(OutcomeRow).values([_columns(outcome, owner) for outcome in some])
            stands = new.on_conflict_do_update(index_elements=KEY, set_={"record": new.excluded.record})
            self._transaction.change(stands)

    def of_query(self, query_id: str, *, owner: str | None) -> tuple[Outcome, ...]:
        """Every outcome that this owner (None: anybody) told of a query, by module, metric and way."""
        wanted = select(OutcomeRow.record).where(OutcomeRow.query_id == query_id, _told_by(owner)).order_by(*ORDER)
        return _read(record for (record,) in self._transaction.rows(wanted))

    def list(self, query_id: str, *, owner: str | None, limit: int, cursor: str | None) -> Page[Outcome]:
        """The same, a page at a time."""
        wanted = select(OutcomeRow.record, *ORDER).where(OutcomeRow.query_id == query_id, _told_by(owner))
        if cursor is not None:
            keys = read_cursor(cursor, "outcomes", (str, str, str, str))
            wanted = wanted.where(beyond(ORDER, keys, descending=False))
        rows = self._transaction.rows(wanted.order_by(*ORDER).limit(limit + 1))
        more = write_cursor("outcomes", rows[limit - 1][1:]) if len(rows) > limit else None
        return Page(items=_read(row[0] for row in rows[:limit]), next_cursor=more)

    def of_owner(self, owner: str | None, *, metric: str | None, how: How | None) -> tuple[Outcome, ...]:
        """What this owner (None: anybody) told, by one metric or way if named, of queries that are in sight."""
        seen = select(QueryRow.id).where(self._seen)
        if owner is not None:
            seen = seen.where(QueryRow.id.in_(select(QueryAskerRow.query_id).where(QueryAskerRow.owner == owner)))
        wanted = select(OutcomeRow.record).where(_told_by(owner), OutcomeRow.query_id.in_(seen))
        if metric is not None:
            wanted = wanted.where(OutcomeRow.metric == metric)
        if how is not None:
            wanted = wanted.where(OutcomeRow.how == how)
        return _read(record for (record,) in self._transaction.rows(wanted.order_by(*KEY)))


def _told_by(owner: str | None) -> ColumnElement[bool]:
    return true() if owner is None else OutcomeRow.owner == owner


def _read(records: Iterable[str]) -> tuple[Outcome, ...]:
    return tuple(Outcome.model_validate_json(record) for record in records)


def _columns(outcome: Outcome, owner: str) -> dict[str, str]:
    """What is kept of an outcome: its record, and what there is one of."""
    return {
        "query_id": outcome.query,
        "owner": owner,
        "module": outcome.module.digest,
        "metric": outcome.metric,
        "how": outcome.how,
        "record": outcome.model_dump_json(),
    }
