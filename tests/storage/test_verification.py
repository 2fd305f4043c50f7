"""Verdicts on modules in SQLite."""

from tests.storage.contracts.verification import VerificationRecordsContract


class TestSqliteVerification(VerificationRecordsContract):
    pass
