"""A backup of one zoo is the same zoo elsewhere, and nothing half is taken for one."""

import shutil
from contextlib import ExitStack
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import text

from registry.errors import ConflictError, StorageError, StorageFullError, WrongDigestError, ZooError
from registry.names import ModuleName
from registry.rankings import RankingQuestion
from registry.settings import Settings
from storage.care import backup
from storage.care.backup import Backup
from storage.care.doctor import Doctor
from storage.care.restore import Restore
from storage.clock import utc_now
from storage.folder_blobs import FolderBlobWriter, blob_path
from storage.tables import Table
from storage.wiring import open_blobs, open_zoo
from tests.numpy_worker import OWNER, linear_module, publish
from tests.storage.care.full_zoo import DIGITS, engine_of, fill, settings_on


def back_up(settings, target):
    with engine_of(settings) as engine:
        return Backup(engine, open_blobs(settings), target, utc_now).run()


def restore(settings, source):
    with engine_of(settings) as engine:
        return Restore(engine, open_blobs(settings), source).run()


def rows(settings):
    """Every row of every table, but the collector's own notes."""
    with engine_of(settings) as engine, engine.connect() as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(table.select().order_by(*table.primary_key.columns))]
            for table in Table.metadata.sorted_tables
        }


def problems(settings):
    with engine_of(settings) as engine:
        return Doctor(engine, open_blobs(settings), settings.home / "quarantine").examine().problems


@pytest.fixture(scope="module")
def filled(tmp_path_factory) -> Settings:
    """A zoo on SQLite that has everything; nobody changes it."""
    home = tmp_path_factory.mktemp("filled")
    with settings_on("sqlite", home, None) as settings:
        fill(settings)
        return settings


@pytest.fixture
def saved(filled, tmp_path) -> Path:
    back_up(filled, tmp_path / "saved")
    return tmp_path / "saved"


@pytest.fixture
def empty(tmp_path) -> Settings:
    return Settings(home=tmp_path / "empty", examples=60)


@pytest.mark.parametrize("way", [["sqlite", "sqlite"], ["sqlite", "postgresql", "sqlite"]], ids="-".join)
def test_the_same_zoo_comes_out_of_any_way_round(way, tmp_path, request):
    with ExitStack() as stack:
        zoos = [
            stack.enter_context(settings_on(kind, tmp_path / f"zoo{number}", request))
            for number, kind in enumerate(way)
        ]
        fill(zoos[0])
        for number, (here, there) in enumerate(pairwise(zoos)):
            back_up(here, tmp_path / f"saved{number}")
            restore(there, tmp_path / f"saved{number}")
            assert rows(there) == rows(here)
            assert problems(there) == ()
        last = open_zoo(zoos[-1])
        stack.callback(last.close)
        first = open_zoo(zoos[0])
        stack.callback(first.close)
        assert asked(last) == asked(first)
        assert publish(last, "ada/digits", linear_module(9)).version == 4
        assert publish(last, "eve/new", linear_module(9)).version == 1


def asked(zoo):
    """The answer to the question that was asked before, as bytes; nobody works for it."""
    data = zoo.datasets.list(owner=OWNER, limit=1, cursor=None).items[0].digest
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert answer is not None
    return answer.model_dump_json()


def test_a_second_backup_copies_only_what_is_new(tmp_path, empty):
    fill(empty)
    first = back_up(empty, tmp_path / "saved")
    assert first.copied == first.blobs == 7
    zoo = open_zoo(empty)
    publish(zoo, "ada/digits", linear_module(9))
    zoo.close()
    second = back_up(empty, tmp_path / "saved")
    assert (second.copied, second.blobs) == (1, 8)
    assert len(list((tmp_path / "saved").glob("records-*"))) == 1


def test_a_backup_goes_only_where_no_zoo_is(saved, filled):
    with pytest.raises(ConflictError, match="there is a zoo already"):
        restore(filled, saved)


def test_an_empty_zoo_that_a_service_has_opened_takes_a_backup(saved, filled, empty):
    open_zoo(empty).close()
    restore(empty, saved)
    assert rows(empty) == rows(filled)


def test_what_is_no_whole_backup_is_refused(saved, empty):
    (saved / "backup.json").unlink()
    with pytest.raises(StorageError, match="no whole backup"):
        restore(empty, saved)


@pytest.mark.parametrize("file", ["versions.jsonl", "blobs.txt"])
def test_a_damaged_backup_is_refused_before_anything_is_there(saved, empty, file):
    damaged = next(saved.glob(f"records-*/{file}"))
    damaged.write_text(damaged.read_text().replace("1", "2", 1))
    with pytest.raises(StorageError, match="damaged"):
        restore(empty, saved)
    assert not (empty.home / "zoo.sqlite3").exists() or rows_there(empty) == 0


def test_damaged_bytes_in_a_backup_are_refused_and_no_record_is_there(saved, empty):
    blob = next(path for path in (saved / "blobs").glob("??/??/*"))
    blob.write_bytes(blob.read_bytes() + b"?")
    with pytest.raises(WrongDigestError):
        restore(empty, saved)
    assert rows_there(empty) == 0


def rows_there(settings):
    """How many tables there are in a database."""
    with engine_of(settings) as engine, engine.connect() as connection:
        return connection.execute(text("SELECT count(*) FROM sqlite_master")).scalar()


def test_a_restore_that_failed_may_run_again(saved, filled, empty):
    rescued = saved.with_name("rescued")
    shutil.copytree(saved, rescued)
    blob = max((saved / "blobs").glob("??/??/*"))
    blob.write_bytes(b"damaged")
    with pytest.raises(ZooError):
        restore(empty, saved)
    restore(empty, rescued)
    assert rows(empty) == rows(filled)


def test_what_is_damaged_in_the_zoo_is_told_and_the_rest_is_saved(tmp_path, empty):
    fill(empty)
    zoo = open_zoo(empty)
    digest = zoo.modules.overview(DIGITS).versions[0].digest
    zoo.close()
    path = blob_path(empty.home / "blobs", digest)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    done = back_up(empty, tmp_path / "saved")
    assert (done.damaged, done.blobs) == ((digest,), 6)


def test_what_cannot_be_read_in_the_zoo_is_told_and_the_rest_is_saved(tmp_path, empty):
    fill(empty)
    zoo = open_zoo(empty)
    digest = zoo.modules.overview(DIGITS).versions[0].digest
    zoo.close()
    path = blob_path(empty.home / "blobs", digest)
    path.unlink()
    path.mkdir()
    done = back_up(empty, tmp_path / "saved")
    assert (done.damaged, done.blobs) == ((digest,), 6)


def test_a_folder_that_takes_no_more_ends_the_backup(filled, tmp_path, monkeypatch):
    def full(self, chunk):
        raise StorageFullError("there is no room left")

    monkeypatch.setattr(FolderBlobWriter, "write", full)
    with pytest.raises(StorageFullError):
        back_up(filled, tmp_path / "saved")
    assert not (tmp_path / "saved" / "backup.json").exists()


def test_bytes_that_are_deleted_meanwhile_have_the_records_read_again(tmp_path, empty, monkeypatch):
    fill(empty)
    zoo = open_zoo(empty)
    extra = publish(zoo, "eve/extra", linear_module(7))
    copying = Backup._bytes
    rounds = []

    def delete_then_copy(self, wanted):
        if not rounds:
            zoo.modules.delete(ModuleName("eve", "extra"), 1)
            zoo.keeper.discard(extra.digest)
        rounds.append(len(wanted))
        return copying(self, wanted)

    monkeypatch.setattr(backup.Backup, "_bytes", delete_then_copy)
    done = back_up(empty, tmp_path / "saved")
    zoo.close()
    assert rounds == [1, 8, 1, 7], "what jobs and uploads need comes first"
    assert (done.blobs, done.damaged) == (7, ())


@pytest.mark.parametrize("where", ["write_table", "Backup._bytes"])
def test_a_job_that_goes_on_does_not_keep_a_backup_from_its_end(tmp_path, empty, monkeypatch, where):
    fill(empty)
    zoo = open_zoo(empty)
    job = zoo.jobs.list(kind="train", status=None, limit=1, cursor=None).items[0]
    place, name = (backup, where) if where == "write_table" else (Backup, "_bytes")
    meanwhile, tables = getattr(place, name), []

    def go_on(*arguments):
        tables.append(arguments[1])
        checkpoint = zoo.blobs.put(f"checkpoint {len(tables)}".encode())
        zoo.jobs.heartbeat(job.id, attempt=1, progress=job.progress, checkpoint=checkpoint)
        return meanwhile(*arguments)

    monkeypatch.setattr(place, name, go_on)
    done = back_up(empty, tmp_path / "saved")
    zoo.close()
    assert (done.damaged, done.blobs) == ((), 7 if where == "write_table" else 6)
    assert len(tables) <= len(Table.metadata.sorted_tables), "every table is written once"
    other = Settings(home=tmp_path / "other", examples=60)
    restore(other, tmp_path / "saved")
    assert problems(other) == ()


def test_a_folder_with_something_else_in_it_is_left_alone(filled, tmp_path):
    (tmp_path / "letter.txt").write_text("dear Ada")
    with pytest.raises(StorageError, match="something else"):
        back_up(filled, tmp_path)
