"""Tasks in SQLite."""

from tests.storage.contracts.nouns import TaskRecordsContract


class TestSqliteTasks(TaskRecordsContract):
    pass
