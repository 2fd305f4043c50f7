"""Modules in SQLite."""

from tests.storage.contracts.modules import AliasRecordsContract, ModuleRecordsContract
from tests.storage.contracts.search import ModuleSearchContract


class TestSqliteModules(ModuleRecordsContract):
    pass


class TestSqliteAliases(AliasRecordsContract):
    pass


class TestSqliteModuleSearch(ModuleSearchContract):
    pass
