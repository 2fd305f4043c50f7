"""Tasks in SQL."""

from tests.storage.contracts.nouns import TaskRecordsContract


class TestSqlTasks(TaskRecordsContract):
    pass
