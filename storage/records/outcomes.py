"""What modules reached on the tasks of queries, in SQL."""

from collections.abc import Iterable, Sequence

from sqlalchemy import select

from registry.outcome_records import How, Outcome
from registry.records import Page
from storage.cursors import beyond, read_cursor, write_cursor
from storage.records.datasets import held_by
from storage.tables import OutcomeRow, QueryDataRow
from storage.transaction import Transaction, chunks

ORDER = (OutcomeRow.module, OutcomeRow.metric, OutcomeRow.how)
KEY = (OutcomeRow.query_id, *ORDER)


class SqlOutcomeRecords:
    """What modules reached on the tasks of queries; they go with their query."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def put(self, outcomes: Sequence[Outcome]) -> None:
        """Record outcomes, each in place of the one of its query, module, metric and way."""
        for some in chunks(outcomes):
            new = self._transaction.insert(OutcomeRow).values([_columns(outcome) for outcome in some])
            stands = new.on_conflict_do_update(index_elements=KEY, set_={"record": new.excluded.record})
            self._transaction.change(stands)

    def of_query(self, query_id: str) -> tuple[Outcome, ...]:
        """Every outcome of a query, by module, metric and way."""
        wanted = select(OutcomeRow.record).where(OutcomeRow.query_id == query_id).order_by(*ORDER)
        return _read(record for (record,) in self._transaction.rows(wanted))

    def list(self, query_id: str, *, limit: int, cursor: str | None) -> Page[Outcome]:
        """The same, a page at a time."""
        wanted = select(OutcomeRow.record, *ORDER).where(OutcomeRow.query_id == query_id)
        if cursor is not None:
            keys = read_cursor(cursor, "outcomes", (str, str, str))
            wanted = wanted.where(beyond(ORDER, keys, descending=False))
        rows = self._transaction.rows(wanted.order_by(*ORDER).limit(limit + 1))
        more = write_cursor("outcomes", rows[limit - 1][1:]) if len(rows) > limit else None
        return Page(items=_read(row[0] for row in rows[:limit]), next_cursor=more)

    def of_owner(self, owner: str | None, *, metric: str | None, how: How | None) -> tuple[Outcome, ...]:
        """Outcomes of queries all of whose datasets this owner holds (None: of all), by one metric or way if named."""
        wanted = select(OutcomeRow.record)
        if owner is not None:
            others = select(QueryDataRow.query_id).where(QueryDataRow.data.not_in(held_by(owner)))
            known = select(QueryDataRow.query_id)
            wanted = wanted.where(OutcomeRow.query_id.not_in(others), OutcomeRow.query_id.in_(known))
        if metric is not None:
            wanted = wanted.where(OutcomeRow.metric == metric)
        if how is not None:
            wanted = wanted.where(OutcomeRow.how == how)
        return _read(record for (record,) in self._transaction.rows(wanted.order_by(*KEY)))


def _read(records: Iterable[str]) -> tuple[Outcome, ...]:
    return tuple(Outcome.model_validate_json(record) for record in records)


def _columns(outcome: Outcome) -> dict[str, str]:
    """What is kept of an outcome: its record, and what there is one of."""
    return {
        "query_id": outcome.query,
        "module": outcome.module.digest,
        "metric": outcome.metric,
        "how": outcome.how,
        "record": outcome.model_dump_json(),
    }
