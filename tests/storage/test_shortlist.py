"""The shortlist in SQLite."""

from tests.storage.contracts.shortlist import ShortlistContract


class TestSqliteShortlist(ShortlistContract):
    pass
