"""Changes in SQL."""

from tests.storage.contracts.nouns import ChangeRecordsContract


class TestSqlChanges(ChangeRecordsContract):
    pass
