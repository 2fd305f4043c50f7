"""Tokens, namespaces and owners of bytes in SQLite."""

from tests.storage.contracts.access import (
    BlobOwnerRecordsContract,
    NamespaceRecordsContract,
    TokenRecordsContract,
)


class TestSqliteTokens(TokenRecordsContract):
    pass


class TestSqliteNamespaces(NamespaceRecordsContract):
    pass


class TestSqliteBlobOwners(BlobOwnerRecordsContract):
    pass
