"""Modules in SQL."""

from tests.storage.contracts.modules import AliasRecordsContract, ModuleRecordsContract
from tests.storage.contracts.search import ModuleSearchContract


class TestSqlModules(ModuleRecordsContract):
    pass


class TestSqlAliases(AliasRecordsContract):
    pass


class TestSqlModuleSearch(ModuleSearchContract):
    pass
