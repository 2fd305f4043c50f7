"""Verdicts on modules in SQL."""

from tests.storage.contracts.verification import VerificationRecordsContract


class TestSqlVerification(VerificationRecordsContract):
    pass
