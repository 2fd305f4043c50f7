"""Queries in SQLite."""

from tests.storage.contracts.nouns import QueryRecordsContract


class TestSqliteQueries(QueryRecordsContract):
    pass
