"""Statistics in SQL."""

from tests.storage.contracts.nouns import StatisticsRecordsContract


class TestSqlStatistics(StatisticsRecordsContract):
    pass
