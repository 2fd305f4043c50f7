"""The collector: what nothing refers to goes after its grace, and nothing else ever does."""

import threading
from contextlib import ExitStack
from datetime import datetime, timedelta

import pytest
from sqlalchemy import Engine

from registry import collection
from registry.blobs import BlobKeeper
from registry.collection import Collector
from registry.errors import NotFoundError
from registry.modules import ModuleService
from registry.names import Digest, ModuleName
from registry.ports import Begin
from registry.settings import Settings
from storage.engine import open_engine
from storage.folder_blobs import FolderBlobs
from storage.migrations import upgrade
from storage.unit_of_work import units_of_work
from tests.builders import NOW, blob_digest
from tests.numpy_worker import linear_module

GRACE_SECONDS = 100.0
ROUNDS, FILES, THREADS = 5, 16, 3
NAME = ModuleName("ada", "digits")


class Zoo:
    """A database, a folder of blobs and a clock that the test moves."""

    def __init__(self, folder, database=None):
        self.engine: Engine = open_engine(database or f"sqlite:///{folder / 'zoo.sqlite3'}")
        upgrade(self.engine)
        self.now: datetime = NOW
        self.begin: Begin = units_of_work(self.engine)
        self.blobs = FolderBlobs(folder / "blobs")
        settings = Settings(home=folder, gc_grace_seconds=GRACE_SECONDS, gc_seconds=10.0)
        self.keeper = BlobKeeper(self.begin, self.blobs)
        self.collector = Collector(self.begin, self.blobs, lambda: self.now, settings)
        self.modules = ModuleService(self.begin, self.blobs, lambda: self.now, settings, self.keeper)

    def wait(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    def store(self, data: bytes) -> Digest:
        """Store bytes as a service does: spare them, then make them visible."""
        with self.blobs.writer() as writer:
            writer.write(data)
            self.keeper.spare(blob_digest(data))
            return writer.commit().digest

    def has(self, digest: Digest) -> bool:
        try:
            self.blobs.info(digest)
        except NotFoundError:
            return False
        return True


@pytest.fixture(params=["sqlite", "postgresql"])
def zoo(tmp_path, request):
    with ExitStack() as stack:
        database = None
        if request.param == "postgresql":
            database = stack.enter_context(request.getfixturevalue("postgres").database())
        zoo = Zoo(tmp_path, database)
        stack.callback(zoo.engine.dispose)
        yield zoo


def test_bytes_that_nothing_refers_to_go_after_the_grace_and_not_before(zoo):
    orphan = zoo.store(b"orphan")
    first = zoo.collector.collect()
    assert (first.looked_at, first.unreferred, first.newly_marked, first.deleted) == (1, 1, 1, 0)
    zoo.wait(GRACE_SECONDS)
    assert zoo.collector.collect().deleted == 0
    assert zoo.has(orphan)
    zoo.wait(1)
    assert zoo.collector.collect().deleted == 1
    assert not zoo.has(orphan)
    assert zoo.collector.collect().looked_at == 0


def test_who_brought_bytes_is_forgotten_with_them(zoo):
    orphan = zoo.store(b"orphan")
    with zoo.begin() as work:
        work.blob_owners.add(orphan, owner="ada")
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    zoo.collector.collect()
    with zoo.begin() as work:
        assert not work.blob_owners.has(orphan, owner="ada")


def test_bytes_of_a_module_stay(zoo):
    digest = zoo.store(linear_module(1))
    zoo.modules.publish(NAME, digest)
    for _ in range(3):
        zoo.collector.collect()
        zoo.wait(GRACE_SECONDS + 1)
    assert zoo.has(digest)


def test_bytes_that_a_module_took_within_the_grace_stay(zoo):
    digest = zoo.store(linear_module(1))
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    zoo.modules.publish(NAME, digest)
    assert zoo.collector.collect().deleted == 0
    assert zoo.has(digest)


def test_bytes_of_a_deleted_module_have_their_grace_from_then_on(zoo):
    digest = zoo.store(linear_module(1))
    zoo.collector.collect()
    zoo.modules.publish(NAME, digest)
    zoo.wait(GRACE_SECONDS + 1)
    zoo.collector.collect()
    zoo.modules.delete(NAME, 1)
    assert zoo.collector.collect().deleted == 0
    zoo.wait(GRACE_SECONDS + 1)
    assert zoo.collector.collect().deleted == 1


def test_bytes_that_are_stored_again_have_their_grace_from_then_on(zoo):
    digest = zoo.store(b"orphan")
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    zoo.store(b"orphan")
    assert zoo.collector.collect().deleted == 0
    assert zoo.has(digest)
    zoo.wait(GRACE_SECONDS + 1)
    assert zoo.collector.collect().deleted == 1


def test_a_rehearsal_tells_what_would_go_and_changes_nothing(zoo):
    zoo.store(b"orphan")
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    zoo.store(b"younger")
    told = zoo.collector.collect(rehearsal=True)
    assert (told.unreferred, told.newly_marked, told.deleted, told.rehearsal) == (2, 0, 1, True)
    assert zoo.collector.collect(rehearsal=True) == told
    assert len(list(zoo.blobs.listing())) == 2


def test_many_go_a_few_at_a_time(zoo):
    for number in range(50):
        zoo.store(b"%d" % number)
    zoo.modules.publish(NAME, zoo.store(linear_module(1)))
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    assert zoo.collector.collect().deleted == 50
    assert [blob.digest for blob in zoo.blobs.listing()] == [zoo.modules.overview(NAME).versions[0].digest]


def test_a_turn_is_taken_once(zoo):
    zoo.store(b"orphan")
    assert zoo.collector.collect_in_turn().newly_marked == 1
    assert zoo.collector.collect_in_turn() is None
    zoo.wait(11)
    assert zoo.collector.collect_in_turn().newly_marked == 0


@pytest.mark.parametrize("act", ["store", "publish"])
def test_what_happens_between_the_two_looks_of_the_collector_saves_the_bytes(zoo, monkeypatch, act):
    data = linear_module(1)
    digest = zoo.store(data)
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    delete = zoo.collector._delete

    def act_then_delete(ripe):
        if act == "store":
            zoo.store(data)
        else:
            zoo.modules.publish(NAME, digest)
        return delete(ripe)

    monkeypatch.setattr(zoo.collector, "_delete", act_then_delete)
    assert zoo.collector.collect().deleted == 0
    assert zoo.has(digest)


def test_bytes_that_go_while_somebody_stores_them_again_are_stored_anew(zoo, monkeypatch):
    digest = zoo.store(b"orphan")
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    with zoo.blobs.writer() as writer:
        writer.write(b"orphan")
        assert zoo.collector.collect().deleted == 1
        zoo.keeper.spare(digest)
        assert zoo.collector.collect().deleted == 0
        writer.commit()
    assert zoo.has(digest)


def test_whoever_stores_and_publishes_beside_the_collector_loses_nothing(zoo, monkeypatch):
    monkeypatch.setattr(collection, "SWEEP_AT_ONCE", 1)
    lost = [digest for number in range(ROUNDS) for digest in race(zoo, number)]
    assert lost == []


def race(zoo, number):
    """Ripe bytes that are stored again, half of them published, while they are collected; gives what was lost."""
    files = [linear_module(100 * number + seed) for seed in range(FILES)]
    for data in files:
        zoo.store(data)
    zoo.collector.collect()
    zoo.wait(GRACE_SECONDS + 1)
    start = threading.Barrier(THREADS + 1)

    def store_again(part):
        start.wait()
        for index in range(part, FILES, THREADS):
            digest = zoo.store(files[index])
            if index % 2:
                zoo.modules.publish(NAME, digest)

    def collect():
        start.wait()
        zoo.collector.collect()

    parts = [threading.Thread(target=store_again, args=(part,)) for part in range(THREADS)]
    threads = [*parts, threading.Thread(target=collect)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [digest for digest in map(blob_digest, files) if not zoo.has(digest)]
