"""The audit on both databases: nobody alters or removes an entry, and where somebody did, it shows."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from alembic import command
from sqlalchemy import Engine, text
from sqlalchemy.exc import DBAPIError

from registry.audit import AuditService, note
from registry.audit_records import PUBLIC, AuditSearch, Kind
from registry.changes import ChangeService
from registry.names import ModuleName
from registry.origins import Origin, originating
from registry.ports import Begin
from registry.records import STAFF
from storage.migrations import alembic_config, downgrade, upgrade
from storage.unit_of_work import units_of_work
from tests.builders import NOW, deed, digest_of, later


def move(engine: Engine, revision: str) -> None:
    """Bring a database up or down to a revision."""
    config = alembic_config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        how = command.downgrade if revision == "base" or revision < "0010" else command.upgrade
        how(config, revision)


@pytest.fixture
def audit(begin: Begin) -> AuditService:
    """An audit of three entries, of which the second is private."""
    with begin() as work:
        note(work, "publish", "ada/digits@1", at=NOW, by="ada", detail=digest_of(1))
        note(work, "add_dataset", digest_of("data"), at=later(1), by="bob")
    with begin() as work, originating(Origin(request_id="request-7")):
        note(work, "yank", "ada/digits@1", at=later(2), by="ada", detail="wrong labels")
    return AuditService(begin)


def altered(engine: Engine, statement: str) -> None:
    """Alter the audit as somebody could who owns the database: without its triggers."""
    if engine.dialect.name == "postgresql":
        statements = ["ALTER TABLE audit DISABLE TRIGGER USER", statement, "ALTER TABLE audit ENABLE TRIGGER USER"]
    else:
        triggers = ("audit_refuses_update", "audit_refuses_delete", "audit_refuses_replacement")
        statements = [*(f"DROP TRIGGER {name}" for name in triggers), statement]
    with engine.begin() as connection:
        for each in statements:
            connection.execute(text(each))


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'eve' WHERE serial = 1",
        "UPDATE audit SET actor = 'eve' WHERE serial = 99",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE serial = 3",
    ],
)
def test_the_database_refuses_to_alter_or_remove_an_entry(engine: Engine, audit: AuditService, statement: str) -> None:
    if statement.endswith("99") and engine.dialect.name == "sqlite":
        pytest.skip("a trigger of SQLite is asked for each row, and there is none")
    with pytest.raises(DBAPIError, match="only added to"), engine.begin() as connection:
        connection.execute(text(statement))
    assert audit.verify().whole


def test_an_entry_is_not_replaced_either(engine: Engine, audit: AuditService) -> None:
    sqlite = engine.dialect.name == "sqlite"
    columns = "serial, kind, ref, namespace, actor, request, detail, at, public, hash"
    replacing = f"INSERT OR REPLACE INTO audit SELECT {columns} FROM audit WHERE serial = 1"
    with pytest.raises(DBAPIError, match="only added to"), engine.begin() as connection:
        connection.execute(text(replacing if sqlite else "TRUNCATE audit"))
    assert audit.verify().entries == 3


def test_an_entry_says_who_did_what_when_and_in_which_request(audit: AuditService) -> None:
    newest, middle, oldest = audit.entries(AuditSearch(), limit=9, cursor=None).items
    assert (newest.kind, newest.ref, newest.by, newest.request) == ("yank", "ada/digits@1", "ada", "request-7")
    assert (newest.detail, newest.at, newest.serial) == ("wrong labels", later(2), 3)
    assert (middle.kind, middle.by, middle.request) == ("add_dataset", "bob", None)
    assert oldest.serial == 1


def test_entries_are_found_by_what_and_who_and_when(audit: AuditService) -> None:
    def serials(**wanted: object) -> list[int]:
        found = audit.entries(AuditSearch.model_validate(wanted), limit=9, cursor=None).items
        return [entry.serial for entry in found]

    assert serials(ref="ada/digits@1") == [3, 1]
    assert serials(actor="bob") == [2]
    assert serials(kind="publish") == [1]
    assert serials(since=later(1)) == [3, 2]
    first = audit.entries(AuditSearch(), limit=2, cursor=None)
    rest = audit.entries(AuditSearch(), limit=2, cursor=first.next_cursor)
    assert [entry.serial for entry in (*first.items, *rest.items)] == [3, 2, 1]
    assert rest.next_cursor is None


def test_the_public_part_has_no_private_entry(begin: Begin, audit: AuditService) -> None:
    feed = ChangeService(begin).since(0)
    assert [(change.serial, change.kind) for change in feed.items] == [(1, "publish"), (3, "yank")]
    with begin() as work:
        note(work, "submit", "job 1", at=later(3), by="bob")
    with begin() as work:
        assert work.changes.serial() == 3, "what is private changes no answer"
        assert work.changes.last_given() == 4
    assert ChangeService(begin).wait(3).look() is None
    assert ChangeService(begin).since(0, namespace="bob").items == ()


def test_an_untouched_audit_is_whole(audit: AuditService) -> None:
    check = audit.verify()
    assert (check.whole, check.entries) == (True, 3)
    assert check.head == audit.entries(AuditSearch(), limit=1, cursor=None).items[0].hash


def test_an_empty_audit_is_whole(begin: Begin) -> None:
    assert AuditService(begin).verify().model_dump() == {"entries": 0, "head": "", "broken_at": None, "reason": None}


@pytest.mark.parametrize(
    ("statement", "broken_at", "reason"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE serial = 2", 2, "not what was written"),
        ("UPDATE audit SET request = 'other' WHERE serial = 3", 3, "not what was written"),
        ("UPDATE audit SET at = '2026-01-02 03:04:05.000000' WHERE serial = 1", 1, "not what was written"),
        ("DELETE FROM audit WHERE serial = 2", 2, "missing"),
        ("DELETE FROM audit WHERE serial = 3", 3, "missing"),
        ("DELETE FROM audit WHERE serial = 1", 1, "missing"),
    ],
)
def test_tampering_shows(engine: Engine, audit: AuditService, statement: str, broken_at: int, reason: str) -> None:
    altered(engine, statement)
    check = audit.verify()
    assert (check.whole, check.broken_at) == (False, broken_at)
    assert reason in (check.reason or "")


def test_many_who_write_at_once_make_one_chain(begin: Begin) -> None:
    def write(thread: int) -> None:
        for n in range(20):
            with begin() as work:
                work.changes.add(deed("publish", f"ada/m{thread}@{n + 1}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(write, range(8)))
    check = AuditService(begin).verify()
    assert (check.whole, check.entries) == (True, 160)


def test_whoever_waits_for_a_serial_holds_up_nobody_who_has_one(begin: Begin) -> None:
    """One notes and then wants a module, the other has the module and then notes: each would wait for the other."""
    start, name = threading.Barrier(2), ModuleName("ada", "digits")

    def write(number: int) -> None:
        start.wait()
        for _ in range(10):
            with begin() as work:
                steps = [partial(note, work, "yank", str(name), at=NOW), partial(work.modules.next_version, name)]
                for step in steps if number else reversed(steps):
                    step()
                    break_between_statements()

    with begin() as work:
        work.modules.next_version(name)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, range(2)))
    assert AuditService(begin).verify().entries == 20


def break_between_statements() -> None:
    time.sleep(0.002)


def test_what_happened_before_there_was_an_audit_is_carried_over(engine: Engine) -> None:
    move(engine, "0006")
    with engine.begin() as connection:
        for serial in range(1, 601):
            values = {"serial": serial, "ref": f"ada/digits@{serial}", "at": f"2026-01-02 03:04:05.{serial:06}"}
            values["at"] += "+00:00" if engine.dialect.name == "postgresql" else ""
            connection.execute(text("INSERT INTO changes VALUES (:serial, 'publish', :ref, :at)"), values)
        connection.execute(text("INSERT INTO counters VALUES ('changes', 600)"))
    upgrade(engine)
    begin = units_of_work(engine)
    with begin() as work:
        work.changes.add(deed())
    assert AuditService(begin).verify().entries == 601
    assert ChangeService(begin).since(599).items[0].ref == "ada/digits@600"
    assert AuditService(begin).entries(AuditSearch(actor=STAFF), limit=1, cursor=None).items[0].serial == 600
    move(engine, "0006")
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM changes")).scalar_one() == 601
    upgrade(engine)


def test_the_chain_is_whole_after_the_tables_were_taken_back_and_brought_further(engine: Engine, begin: Begin) -> None:
    kinds: list[Kind] = ["submit", "publish", "unalias", "alias", "cancel", "cancel"]
    for kind in kinds:
        with begin() as work:
            work.changes.add(deed(kind, f"ada/{kind}"))
    before = ChangeService(begin).since(0).items
    downgrade(engine, "0009")
    upgrade(engine)
    with begin() as work:
        work.changes.add(deed())
    check = AuditService(begin).verify()
    assert (check.whole, check.entries) == (True, 7), check.reason
    kept = AuditService(begin).entries(AuditSearch(), limit=9, cursor=None).items[::-1]
    assert [entry.kind for entry in kept] == ["lost", "publish", "lost", "alias", "lost", "lost", "publish"]
    feed = ChangeService(begin).since(0).items
    assert [change.ref for change in feed] == ["ada/publish", "ada/alias", kept[-1].ref]
    assert {change.serial for change in feed[:2]} <= {change.serial for change in before}


def test_kinds_are_public_only_where_they_tell_of_modules() -> None:
    assert {"publish", "yank", "unyank", "delete", "alias", "unalias", "refuse", "verify", "namespace"} == PUBLIC
