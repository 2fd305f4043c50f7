"""Uploads in SQLite."""

from tests.storage.contracts.uploads import UploadRecordsContract


class TestSqliteUploads(UploadRecordsContract):
    pass
