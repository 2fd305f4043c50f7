"""The shortlist in SQL."""

from tests.storage.contracts.shortlist import ShortlistContract


class TestSqlShortlist(ShortlistContract):
    pass
