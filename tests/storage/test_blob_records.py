"""What refers to bytes, and what the collector remembers, on both databases."""

import pytest

from storage.engine import open_engine
from storage.migrations import upgrade
from storage.unit_of_work import units_of_work
from tests.storage.contracts.blob_records import BlobRecordsContract


class TestSqliteBlobRecords(BlobRecordsContract):
    pass


class TestPostgresBlobRecords(BlobRecordsContract):
    @pytest.fixture
    def begin(self, postgres):
        with postgres.database() as url:
            engine = open_engine(url)
            upgrade(engine)
            yield units_of_work(engine)
            engine.dispose()
