"""What a unit of work promises: all or nothing, no number twice, no reader that waits."""

import gc
import multiprocessing
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import event, text

from registry.audit import note
from registry.errors import BusyError, ConflictError, StorageFullError
from registry.names import ModuleName, Selector
from registry.upload_records import UploadLease
from registry.webhook_records import Delivery, SecretWebhook
from storage.engine import open_engine
from storage.unit_of_work import units_of_work
from tests.builders import NOW, deed, digest_of, later, published_module
from tests.storage.contracts.units import UnitOfWorkContract
from tests.storage.contracts.uploads import PIECES, upload
from tests.storage.kinds import ONLY_POSTGRES, ONLY_SQLITE

NAME = ModuleName("ada", "digits")


def versions_in(work):
    """The versions of the module, newest first."""
    return work.modules.summaries(NAME, limit=200, cursor=None).items


class TestSqlUnitOfWork(UnitOfWorkContract):
    pass


@ONLY_POSTGRES
def test_those_who_share_do_not_wait_for_one_another(begin):
    with begin() as one, begin() as other:
        one.hold_shared()
        other.hold_shared()
        publish_within(one, 1)


@ONLY_SQLITE
def test_while_one_holds_nobody_else_writes(database, begin):
    impatient = open_engine(database)
    event.listen(impatient, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=10"))
    with begin() as holder:
        holder.hold()
        with pytest.raises(BusyError, match="try again"):
            publish(units_of_work(impatient), "impatient", 1)
    impatient.dispose()


@pytest.mark.parametrize(
    ("pragma", "value"),
    [("journal_mode", "wal"), ("synchronous", 2), ("foreign_keys", 1), ("busy_timeout", 30_000)],
)
@ONLY_SQLITE
def test_sqlite_is_told_to_keep_its_promises(engine, pragma, value):
    with engine.connect() as connection:
        assert connection.execute(text(f"PRAGMA {pragma}")).scalar() == value


def test_threads_that_publish_at_once_leave_no_gap_and_no_duplicate(begin):
    with ThreadPoolExecutor(8) as pool:
        given = [n for some in pool.map(lambda thread: publish(begin, thread, 10), range(8)) for n in some]
    assert sorted(given) == list(range(1, 81))
    with begin() as work:
        assert [module.version for module in versions_in(work)] == list(range(80, 0, -1))
        assert [change.serial for change in work.changes.since(0, limit=100)] == list(range(1, 81))


def test_processes_that_publish_at_once_leave_no_gap_and_no_duplicate(database, begin):
    spawn = multiprocessing.get_context("spawn")
    processes = [spawn.Process(target=publish_alone, args=(database, number)) for number in range(4)]
    for process in processes:
        process.start()
    given = publish(begin, "here", 15)
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0] * 4
    with begin() as work:
        versions = [module.version for module in versions_in(work)]
    assert versions == list(range(75, 0, -1))
    assert set(given) <= set(versions)


def test_the_same_bytes_published_at_once_become_one_version(begin):
    start = threading.Barrier(8)

    def publish_same(_):
        start.wait()
        with begin() as work:
            version = work.modules.next_version(NAME)
            known = work.modules.find(NAME, Selector(digest=digest_of("same")))
            if known is None:
                work.modules.add(published_module(version=version, digest=digest_of("same")))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(publish_same, range(8)))
    with begin() as work:
        assert [module.version for module in versions_in(work)] == [1]


def test_a_reader_waits_for_no_writer_and_sees_nothing_half_done(begin):
    with begin() as writer:
        writer.modules.add(published_module())
        started = time.monotonic()
        with begin() as reader:
            assert versions_in(reader) == ()
        assert time.monotonic() - started < 1
    with begin() as reader:
        assert len(versions_in(reader)) == 1


def test_a_unit_that_read_first_may_write_though_others_wrote_meanwhile(begin):
    with begin() as slow:
        assert versions_in(slow) == ()
        publish(begin, "quick", 1)
        version = slow.modules.next_version(NAME)
        slow.modules.add(published_module(version=version))
    assert version == 2


def test_a_process_killed_within_a_transaction_leaves_nothing(database, begin):
    spawn = multiprocessing.get_context("spawn")
    writing = spawn.Event()
    process = spawn.Process(target=publish_half, args=(database, writing))
    process.start()
    assert writing.wait(timeout=60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with begin() as work:
        assert versions_in(work) == ()
        assert work.changes.serial() == 0
    assert publish(begin, "after", 1) == [1]


@ONLY_SQLITE
def test_a_full_database_is_told_and_keeps_what_it_had(engine, begin):
    publish(begin, "before", 1)
    engine.dispose()

    @event.listens_for(engine, "connect")
    def _limit(connection, record):
        connection.execute("PRAGMA max_page_count = 80")

    with pytest.raises(StorageFullError, match="free some space"):
        publish_big(begin, 100)
    with begin() as work:
        assert len(versions_in(work)) == 1


@ONLY_SQLITE
def test_a_locked_database_is_busy_not_broken(database, begin):
    impatient = open_engine(database)
    event.listen(impatient, "connect", lambda connection, _: connection.execute("PRAGMA busy_timeout=10"))
    with begin() as holder:
        holder.modules.next_version(NAME)
        with pytest.raises(BusyError, match="try again"):
            publish(units_of_work(impatient), "impatient", 1)
    impatient.dispose()


def test_a_conflict_can_be_met_within_a_unit_and_undoes_it_all(begin):
    publish(begin, "first", 1)
    with pytest.raises(ConflictError), begin() as work:
        publish_within(work, 1)
    with begin() as work:
        assert work.changes.serial() == 1


@ONLY_SQLITE
def test_connections_are_closed_when_their_engine_goes(database):
    engine = open_engine(database)
    engine.connect().close()
    del engine
    gc.collect()


def publish(begin, who, count):
    """Publish versions of one module; gives their numbers."""
    given = []
    for number in range(count):
        with begin() as work:
            version = work.modules.next_version(NAME)
            work.modules.add(published_module(version=version, digest=digest_of((who, number))))
            work.changes.add(deed(ref=f"{NAME}@{version}"))
        given.append(version)
    return given


def publish_big(begin, count):
    """Publish versions with long descriptions."""
    for number in range(count):
        with begin() as work:
            work.modules.add(published_module("ada/big", number + 1, description="x" * 10_000))


def publish_within(work, version):
    """Record a change and a version."""
    work.changes.add(deed(ref=f"{NAME}@{version}"))
    work.modules.add(published_module(version=version))


def publish_alone(database, number):
    """What each process does."""
    engine = open_engine(database)
    publish(units_of_work(engine), number, 15)
    engine.dispose()


def publish_half(database, writing):
    """Write, and never commit."""
    with units_of_work(open_engine(database))() as work:
        work.modules.add(published_module())
        work.changes.add(deed())
        writing.set()
        time.sleep(600)


@pytest.mark.parametrize("kept", ["upload", "webhook"])
def test_who_removes_something_and_who_goes_on_with_it_do_not_wait_for_each_other(begin, kept):
    """What belongs to it is locked after it, by both."""
    with begin() as work:
        add, renew, go_on, remove = STEPS[kept]
        add(work)

    def take_away():
        with begin() as work:
            remove(work)

    with ThreadPoolExecutor(1) as pool:
        with begin() as work:
            assert renew(work)
            removed = pool.submit(take_away)
            time.sleep(0.5)
            go_on(work)
        removed.result()


LEASE = UploadLease("first", later(30))
WEBHOOK = SecretWebhook(
    id="w", owner="ada", url="https://ada.org/", secret="s", serial=0, created_at=NOW, next_at=NOW, events=()
)
DELIVERY = Delivery(serial=1, attempt=1, at=NOW, status=200, milliseconds=1.0)


def add_upload(work):
    """An upload with a piece, held by a lease."""
    work.uploads.add(upload(), owner="ada")
    work.uploads.take("one", LEASE, offset=0, length=None, at=NOW)
    work.uploads.advance("one", PIECES[:1], lease=LEASE, expires_at=later(200))


def add_webhook(work):
    """A webhook with a delivery, held by a courier."""
    note(work, "publish", "ada/m@1", at=NOW)
    work.webhooks.add(WEBHOOK)
    work.webhooks.add_delivery("w", DELIVERY, forget_before=NOW)
    work.finish()
    work.webhooks.claim(holder="h", at=later(1), until=later(30))


STEPS = {
    "upload": (
        add_upload,
        lambda work: work.uploads.renew("one", LEASE),
        lambda work: work.uploads.complete("one", digest_of(0), lease=LEASE),
        lambda work: work.uploads.remove("one"),
    ),
    "webhook": (
        add_webhook,
        lambda work: work.webhooks.save(WEBHOOK, holder="h", until=later(60)),
        lambda work: work.webhooks.add_delivery("w", DELIVERY, forget_before=later(1)),
        lambda work: work.webhooks.remove("w"),
    ),
}
