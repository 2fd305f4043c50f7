"""The migrated tables are the tables the records expect."""

import multiprocessing

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from registry.work import VerifyWork
from storage.engine import open_engine
from storage.migrations import alembic_config, newest_revision, revision_of, upgrade
from storage.tables import Table
from storage.unit_of_work import units_of_work
from tests.builders import digest_of


def test_the_migrated_tables_are_those_of_the_records(engine):
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "compare_server_default": True})
        assert compare_metadata(context, Table.metadata) == []


def test_the_migrated_constraints_are_those_of_the_records(engine, tmp_path):
    direct = open_engine(f"sqlite:///{tmp_path / 'direct.sqlite3'}")
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


def test_what_was_upgraded_can_be_taken_back(engine):
    move(engine, command.downgrade, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]


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
        sorted(map(str, inspector.get_indexes(table))),
        [(column["name"], column["nullable"]) for column in inspector.get_columns(table)],
    )


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


OLD_VERSION = {
    **dict.fromkeys(("role", "takes", "gives", "search_text", "record"), "x"),
    "module_id": 1,
    "published_at": "2026-01-02 03:04:05.000000",
}


def move(engine, how, revision):
    """Bring a database to a revision."""
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        how(config, revision)
