"""What is asked often is found by an index, however much there is beside it."""

from collections.abc import Callable

import pytest
from sqlalchemy import Engine, event

from registry.ports import Begin, UnitOfWork
from registry.records import ModuleSearch
from tests.storage.kinds import ONLY_SQLITE

LOOK_UPS: dict[str, tuple[Callable[[UnitOfWork], object], str]] = {
    "changes of a namespace": (
        lambda work: work.changes.since(0, limit=9, namespace="ada"),
        "ix_audit_namespace_serial",
    ),
    "jobs of an owner": (
        lambda work: work.jobs.list(kind=None, status=None, owner="ada", limit=9, cursor=None),
        "ix_jobs_owner_id",
    ),
    "modules that may be candidates": (
        lambda work: work.modules.shortlist(["input"], limit=9, newcomers=1),
        "ix_versions_shown",
    ),
    "modules with a tag": (
        lambda work: work.modules.search(ModuleSearch(tag="digits"), limit=9, cursor=None),
        "ix_versions_shown_words",
    ),
}


@ONLY_SQLITE
@pytest.mark.parametrize("what", LOOK_UPS)
def test_an_index_finds(engine: Engine, begin: Begin, what: str) -> None:
    look, index = LOOK_UPS[what]
    asked = []

    def note(connection, cursor, statement, parameters, context, executemany) -> None:
        asked.append((statement, parameters))

    event.listen(engine, "before_cursor_execute", note)
    with begin() as work:
        look(work)
    event.remove(engine, "before_cursor_execute", note)
    statement, parameters = next(each for each in asked if each[0].startswith("SELECT"))
    with engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
    assert index in str(plan)
