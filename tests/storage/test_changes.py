"""Changes in SQLite."""

from tests.storage.contracts.nouns import ChangeRecordsContract


class TestSqliteChanges(ChangeRecordsContract):
    pass
