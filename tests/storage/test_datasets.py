"""Datasets in SQLite."""

from tests.storage.contracts.nouns import DatasetRecordsContract


class TestSqliteDatasets(DatasetRecordsContract):
    pass
