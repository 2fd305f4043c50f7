"""Datasets in SQL."""

from tests.storage.contracts.nouns import DatasetRecordsContract


class TestSqlDatasets(DatasetRecordsContract):
    pass
