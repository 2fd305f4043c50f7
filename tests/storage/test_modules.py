"""Modules in SQL."""

import pytest
from sqlalchemy import event

from registry.records import ModuleSearch
from tests.builders import published_module
from tests.storage.contracts.modules import NAME, AliasRecordsContract, ModuleRecordsContract, add
from tests.storage.contracts.search import ModuleSearchContract
from tests.storage.kinds import ONLY_SQLITE


class TestSqlModules(ModuleRecordsContract):
    pass


class TestSqlAliases(AliasRecordsContract):
    pass


class TestSqlModuleSearch(ModuleSearchContract):
    pass


@ONLY_SQLITE
def test_publishing_reads_as_little_of_a_module_of_many_versions_as_of_a_new_one(engine, begin):
    add(begin, *(published_module(version=version) for version in range(1, 4)))
    said = []
    event.listen(engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    with begin() as work:
        work.modules.add(published_module(version=work.modules.next_version(NAME)))
    changes = [(statement, values) for statement, values in said if statement.startswith(("UPDATE", "SELECT"))]
    with engine.connect() as connection:
        steps = [
            row.detail
            for statement, values in changes
            for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    of_versions = [step for step in steps if " versions " in f"{step} "]
    assert len(of_versions) >= 3
    assert all(step.startswith("SEARCH") for step in of_versions)
    assert any("ix_versions_shown_module" in step for step in of_versions)


@ONLY_SQLITE
@pytest.mark.parametrize(
    ("query", "index"),
    [
        (ModuleSearch(role="output"), "ix_versions_shown_role"),
        (ModuleSearch(takes="1,8,8"), "ix_versions_shown_takes"),
        (ModuleSearch(gives="1,8,8"), "ix_versions_shown_gives"),
        (ModuleSearch(tag="small"), "ix_versions_shown_words"),
        (ModuleSearch(), "ix_versions_shown_by_age"),
    ],
    ids=["role", "takes", "gives", "tag", "newest"],
)
def test_searches_go_through_the_indexes_of_what_is_shown(engine, begin, query, index):
    said = []
    event.listen(engine, "before_cursor_execute", lambda *told: said.append((told[2], told[3])))
    with begin() as work:
        work.modules.search(query, limit=10, cursor=None)
    statement, values = next((text, values) for text, values in said if "LIMIT" in text)
    with engine.connect() as connection:
        steps = [row.detail for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", values)]
    assert any(index in step for step in steps), steps
