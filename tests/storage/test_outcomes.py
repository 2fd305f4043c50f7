"""Outcomes in SQL."""

from sqlalchemy import text

from tests.storage.contracts.outcomes import OutcomeRecordsContract
from tests.storage.kinds import ONLY_SQLITE


class TestSqlOutcomes(OutcomeRecordsContract):
    pass


@ONLY_SQLITE
def test_the_outcomes_of_a_query_are_found_by_their_key(engine):
    plan = text("EXPLAIN QUERY PLAN SELECT record FROM outcomes WHERE query_id = 'x' ORDER BY module, metric, how")
    with engine.connect() as connection:
        steps = [row.detail for row in connection.execute(plan)]
    assert steps == ["SEARCH outcomes USING INDEX sqlite_autoindex_outcomes_1 (query_id=?)"]
