"""Outcomes in SQL."""

from sqlalchemy import text

from tests.storage.contracts.outcomes import OutcomeRecordsContract
from tests.storage.kinds import ONLY_SQLITE


class TestSqlOutcomes(OutcomeRecordsContract):
    pass


@ONLY_SQLITE
def test_the_outcomes_of_a_query_are_found_by_their_key(engine):
    mine = "query_id = 'x' AND owner = 'ada' ORDER BY owner, module, metric, how"
    plan = text(f"EXPLAIN QUERY PLAN SELECT record FROM outcomes WHERE {mine}")
    with engine.connect() as connection:
        steps = [row.detail for row in connection.execute(plan)]
    assert steps == ["SEARCH outcomes USING INDEX sqlite_autoindex_outcomes_1 (query_id=? AND owner=?)"]
