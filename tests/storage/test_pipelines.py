"""Pipelines in SQL."""

from tests.storage.contracts.nouns import PipelineRecordsContract


class TestSqlPipelines(PipelineRecordsContract):
    pass
