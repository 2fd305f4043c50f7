"""The migrated tables are the tables the records expect."""

import multiprocessing
from importlib import import_module

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from registry.access import Sight
from registry.errors import BusyError, InvalidInputError, SettingsError
from registry.names import ModuleName
from registry.namespace_records import Namespace, Visibility
from registry.outcome_records import Outcome
from registry.records import ModuleSearch, Query, QueryStatus, Verification, VerificationState
from registry.work import VerifyWork
from storage.engine import open_engine
from storage.migrations import (
    BASE,
    alembic_config,
    check_served,
    downgrade,
    newest_revision,
    prepare,
    revision_of,
    revisions,
    upgrade,
)
from storage.tables import Table
from storage.unit_of_work import units_of_work
from tests.builders import NOW, digest_of, later, pipeline, published_module, query, task
from tests.outcome_samples import outcome
from tests.storage.kinds import SQLITE

pytestmark = pytest.mark.filterwarnings("ignore:autogenerate skipping metadata-specified expression-based index")
"""SQLite has no index of letters, and Alembic says that it cannot look for it there."""


def test_the_migrated_tables_are_those_of_the_records(engine):
    assert differences(engine) == []


def test_the_migrated_constraints_are_those_of_the_records(engine, other_database):
    direct = open_engine(other_database)
    Table.metadata.create_all(direct)
    for table in Table.metadata.sorted_tables:
        assert constraints(engine, table.name) == constraints(direct, table.name)
    direct.dispose()


def test_upgrading_twice_changes_nothing(engine):
    upgrade(engine)
    assert revision_of(engine) == newest_revision() != "0001"


def test_an_empty_database_has_no_revision(database):
    engine = open_engine(database)
    assert revision_of(engine) is None
    engine.dispose()


@pytest.mark.parametrize("revision", [BASE, *revisions()[:-1]])
def test_every_revision_can_be_gone_back_to_and_forward_from(database, other_database, revision):
    engine, straight = open_engine(database), open_engine(other_database)
    upgrade(engine)
    downgrade(engine, revision)
    move(straight, command.upgrade, revision)
    assert schema(engine) == schema(straight)
    assert revision_of(engine) == (None if revision == BASE else revision)
    upgrade(engine)
    upgrade(straight)
    assert schema(engine) == schema(straight)
    assert differences(engine) == []
    engine.dispose()
    straight.dispose()


def differences(engine):
    """What Alembic would change to make the tables those of the records."""
    options = {"compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        return compare_metadata(MigrationContext.configure(connection, opts=options), Table.metadata)


def schema(engine):
    """Everything that a migration makes or changes."""
    tables = sorted(set(inspect(engine).get_table_names()) - {"alembic_version"})
    return {table: constraints(engine, table) for table in tables}


def test_a_revision_that_is_not_there_cannot_be_gone_back_to(engine):
    with pytest.raises(InvalidInputError, match="there is no revision '0000'; choose one of base, 0001"):
        downgrade(engine, "0000")
    downgrade(engine, "0002")
    with pytest.raises(InvalidInputError, match="at revision 0002, which is before 0003"):
        downgrade(engine, "0003")


def test_a_revision_of_a_newer_program_is_left_alone(engine):
    mark(engine, "9001")
    for attempt in (upgrade, prepare, lambda engine: downgrade(engine, "0001")):
        with pytest.raises(SettingsError, match="revision 9001, which this program does not know"):
            attempt(engine)
    assert revision_of(engine) == "9001"


def test_a_service_that_runs_already_goes_on_while_the_tables_are_brought_further(engine):
    check_served(engine)
    mark(engine, "9001")
    check_served(engine)
    for strange in ("0001", "older"):
        mark(engine, strange)
        with pytest.raises(BusyError, match=f"at revision {strange}, .* run `python -m storage upgrade`"):
            check_served(engine)


def test_an_empty_database_gets_its_tables_when_a_service_starts(database):
    engine = open_engine(database)
    prepare(engine)
    assert revision_of(engine) == newest_revision()
    engine.dispose()


def test_a_start_brings_a_file_up_to_date_but_not_a_server_that_others_may_use(kind, engine):
    older = revisions()[-2]
    downgrade(engine, older)
    if kind == SQLITE:
        prepare(engine)
        assert revision_of(engine) == newest_revision()
        return
    with pytest.raises(SettingsError, match=f"at revision {older}, .* run `python -m storage upgrade`, then start"):
        prepare(engine)
    assert revision_of(engine) == older


def mark(engine, revision):
    """Say that a database is at a revision."""
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = :revision"), {"revision": revision})


def test_processes_that_start_at_once_upgrade_once(database):
    spawn = multiprocessing.get_context("spawn")
    started = [spawn.Process(target=upgrade_database, args=(database,)) for _ in range(3)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    assert [process.exitcode for process in started] == [0] * 3


def upgrade_database(database):
    """What each process does at its start."""
    engine = open_engine(database)
    upgrade(engine)
    engine.dispose()


def constraints(engine, table):
    """Keys of a table, in no order."""
    inspector = inspect(engine)
    return (
        inspector.get_pk_constraint(table),
        sorted(map(str, inspector.get_foreign_keys(table))),
        sorted(map(str, inspector.get_unique_constraints(table))),
        sorted(map(told, inspector.get_indexes(table))),
        [(column["name"], column["nullable"]) for column in inspector.get_columns(table)],
    )


def told(index):
    """An index as text, its condition too."""
    options = {name: str(value) for name, value in index.get("dialect_options", {}).items()}
    return str({**index, "dialect_options": options})


def test_what_was_published_before_there_were_verdicts_is_looked_at(database):
    engine = open_engine(database)
    move(engine, command.upgrade, "0001")
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO modules (id, namespace, name, last_version) VALUES (1, 'ada', 'digits', 2)")
        )
        for version in (1, 2):
            values = {**OLD_VERSION, "version": version, "digest": digest_of(version)}
            names = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO versions ({', '.join(values)}) VALUES ({names})"), values)
    upgrade(engine)
    with units_of_work(engine)() as work:
        jobs = work.jobs.open()
        assert [job.work for job in jobs] == [VerifyWork(module=digest) for digest in sorted(map(digest_of, (1, 2)))]
        assert work.jobs.find_open(jobs[0].work) == jobs[0]
    move(engine, command.downgrade, "0001")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 0
    engine.dispose()


def test_versions_that_were_there_before_are_marked_where_others_are_found(database):
    engine = open_engine(database)
    upgrade(engine)
    begin = units_of_work(engine)
    for name, version in [("ada/digits", 1), ("ada/digits", 2), ("ada/digits", 3), ("ada/cards", 1)]:
        with begin() as work:
            work.modules.add(published_module(name, version))
    with begin() as work:
        work.modules.set_yanked(ModuleName("ada", "digits"), 3, "wrong")
    downgrade(engine, "0006")
    upgrade(engine)
    with engine.connect() as connection:
        shown = connection.execute(text("SELECT version FROM versions WHERE NOT superseded ORDER BY version")).all()
    assert shown == [(1,), (2,)]
    with begin() as work:
        found = work.modules.search(ModuleSearch(), limit=9, cursor=None).items
    assert sorted(module.ref for module in found) == ["ada/cards@1", "ada/digits@2"]
    engine.dispose()


def test_versions_that_were_verified_before_are_found_as_verified(engine):
    before = import_module("storage.migrations.versions.verified_versions").down_revision
    begin = units_of_work(engine)
    with begin() as work:
        for name in ("ada/good", "ada/bad", "ada/new"):
            work.modules.add(published_module(name))
        for name, state in (("good", VerificationState.VERIFIED), ("bad", VerificationState.REFUSED)):
            work.verifications.put(digest_of(f"ada/{name}@1"), Verification(state=state, at=NOW))
    move(engine, command.downgrade, before)
    upgrade(engine)
    with begin() as work:
        for verified, names in ((True, ["good"]), (False, ["bad", "new"])):
            found = work.modules.search(ModuleSearch(verified=verified), limit=9, cursor=None).items
            assert sorted(module.name for module in found) == names


def test_pipelines_that_were_there_get_the_namespaces_of_their_modules(engine):
    before = import_module("storage.migrations.versions.tokens").down_revision
    move(engine, command.downgrade, before)
    made = pipeline("old", digests=(digest_of(1), digest_of(2)))
    with engine.begin() as connection:
        values = {"id": made.id, "name": made.name, "at": NOW.isoformat(" "), "record": made.model_dump_json()}
        connection.execute(
            text("INSERT INTO pipelines (id, name, created_at, record) VALUES (:id, :name, :at, :record)"), values
        )
    upgrade(engine)
    hidden = Namespace(namespace="ada", visibility=Visibility.PRIVATE)
    with units_of_work(engine)() as work:
        work.namespaces.put(hidden, at=NOW)
        assert work.pipelines.get("old") == made
    with units_of_work(engine)(Sight(owner="eve")) as work:
        assert work.pipelines.get("old") is None


def test_questions_that_were_running_are_found_by_their_jobs(engine):
    move(engine, command.downgrade, import_module("storage.migrations.versions.waiting_queries").down_revision)
    with engine.begin() as connection:
        for name, status in (("one", "running"), ("two", "done")):
            asked = Query(id=name, kind="ranking", status=QueryStatus(status), plan="{}", jobs=(1, 2), created_at=NOW)
            values = {"id": name, "status": status, "at": NOW.isoformat(" "), "record": asked.model_dump_json()}
            connection.execute(
                text("INSERT INTO queries (id, status, created_at, record) VALUES (:id, :status, :at, :record)"), values
            )
    upgrade(engine)
    with units_of_work(engine)() as work:
        assert [found.id for found in work.queries.waiting_for([2])] == ["one"]
        assert work.queries.askers("one") == ()


def test_what_was_made_asked_and_told_is_that_of_all_owners_of_its_datasets(engine):
    before = import_module("storage.migrations.versions.owners").down_revision
    move(engine, command.downgrade, before)
    held = {"data": ("ada", "bob"), "more": ("bob",)}
    told = outcome("one", value=0.5), outcome("both", value=0.7)
    with engine.begin() as connection:
        for name, owners in held.items():
            put(connection, "datasets", digest=digest_of(name), created_at=AT, record="{}")
            for owner in owners:
                put(connection, "dataset_owners", dataset=digest_of(name), owner=owner)
        put(connection, "tasks", id="task", dataset=digest_of("data"), created_at=AT, record=task().model_dump_json())
        for name, about in (("one", ["data"]), ("both", ["data", "more"])):
            asked = query(name).model_copy(update={"namespaces": ("open", name)})
            put(connection, "queries", id=name, status="running", created_at=AT, record=asked.model_dump_json())
            for data in about:
                put(connection, "query_data", query_id=name, data=digest_of(data))
        for one in told:
            put(connection, "outcomes", **columns_of(one), record=one.model_dump_json())
    upgrade(engine)
    with units_of_work(engine)() as work:
        work.namespaces.put(Namespace(namespace="both", visibility=Visibility.PRIVATE), at=NOW)
        for owner, asks in (("ada", ["one"]), ("bob", ["one", "both"]), ("eve", [])):
            assert [name for name in ("one", "both") if work.queries.asked_by(owner, name) is not None] == asks
            assert (work.tasks.get("task", owner=owner) is not None) == bool(asks)
            assert len(work.outcomes.of_owner(owner, metric=None, how=None)) == len(asks)
        work.outcomes.put([told[0].model_copy(update={"value": 0.9, "posted_at": later(1)})], owner="ada")
    with units_of_work(engine)(Sight(owner="bob")) as work:
        assert [one.query for one in work.outcomes.of_owner("bob", metric=None, how=None)] == ["one"]
    move(engine, command.downgrade, before)
    with engine.connect() as connection:
        kept = connection.execute(text("SELECT record FROM outcomes ORDER BY query_id")).all()
    assert [Outcome.model_validate_json(record).value for (record,) in kept] == [0.7, 0.9]


def put(connection, table, **values):
    """Insert one row."""
    names = ", ".join(f":{name}" for name in values)
    connection.execute(text(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({names})"), values)


def columns_of(one):
    """What an outcome was found by when it was everybody's."""
    return {"query_id": one.query, "module": one.module.digest, "metric": one.metric, "how": one.how}


AT = NOW.isoformat(" ")
OLD_VERSION = {
    **dict.fromkeys(("role", "takes", "gives", "search_text", "record"), "x"),
    "module_id": 1,
    "published_at": "2026-01-02 03:04:05.000000",
}


def move(engine, how, revision):
    """Bring a database to a revision."""
    with engine.begin() as connection:
        how(alembic_config(connection), revision)
