"""Queries in SQL."""

from sqlalchemy import text

from tests.storage.contracts.queries import QueryRecordsContract
from tests.storage.kinds import ONLY_SQLITE


class TestSqlQueries(QueryRecordsContract):
    pass


@ONLY_SQLITE
def test_the_running_queries_are_found_without_reading_the_answered_ones(engine):
    plan = text("EXPLAIN QUERY PLAN SELECT record FROM queries WHERE status = 'running' ORDER BY created_at, id")
    with engine.connect() as connection:
        steps = [row.detail for row in connection.execute(plan)]
    assert steps == ["SEARCH queries USING INDEX ix_queries_status_created_at_id (status=?)"]
