"""Statistics in SQLite."""

from tests.storage.contracts.nouns import StatisticsRecordsContract


class TestSqliteStatistics(StatisticsRecordsContract):
    pass
