"""Pipelines in SQLite."""

from tests.storage.contracts.nouns import PipelineRecordsContract


class TestSqlitePipelines(PipelineRecordsContract):
    pass
