"""Blobs in a bucket of a real S3-compatible store."""

import hashlib
import io
import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import obstore
import psutil
import pytest

from registry.errors import BusyError, NotFoundError, SettingsError, StorageError, StorageFullError
from registry.settings import Settings
from storage import s3_store
from storage.blob_choice import open_blobs
from storage.s3_blobs import PART_BYTES, S3Blobs, S3Stores, blob_key
from storage.s3_store import open_bucket
from tests.builders import blob_digest
from tests.object_store import unfinished_uploads
from tests.storage.contracts.blobs import BlobStoreContract, read

pytestmark = pytest.mark.s3
MEBIBYTE = 1024 * 1024


@pytest.fixture
def settings(object_store, tmp_path):
    return Settings.model_validate({"home": tmp_path, **object_store.settings()})


@pytest.fixture
def blobs(settings):
    return open_blobs(settings)


def bucket_of(blobs):
    return blobs._stores.own


def keys(blobs):
    return {each["path"] for page in obstore.list(bucket_of(blobs)) for each in page}


class TestS3Blobs(BlobStoreContract):
    def damage(self, blobs, digest):
        key = blob_key(digest)
        data = bytes(obstore.get(bucket_of(blobs), key).bytes())
        obstore.put(bucket_of(blobs), key, data[:-1] + b"?")


def pieces(count, *, seed=b"piece"):
    """So many different MiB."""
    for index in range(count):
        yield hashlib.sha256(seed + index.to_bytes(4, "big")).digest() * (MEBIBYTE // 32)


def write_all(blobs, chunks, expected=None):
    with blobs.writer() as writer:
        for chunk in chunks:
            writer.write(chunk)
        return writer.commit(expected)


def test_an_object_lies_where_the_folder_has_its_file(blobs):
    name = blobs.put(b"weights").removeprefix("sha256:")
    assert f"{name[:2]}/{name[2:4]}/{name}" in keys(blobs)


def test_many_bytes_go_in_parts_and_come_back(blobs):
    info = write_all(blobs, pieces(20))
    tag = obstore.head(bucket_of(blobs), blob_key(info.digest))["e_tag"]
    assert tag is not None
    assert tag.strip('"').endswith("-3")
    assert info.size_bytes == 20 * MEBIBYTE
    assert blobs.get(info.digest) == b"".join(pieces(20))


def test_few_bytes_go_at_once_and_only_where_nothing_is(blobs):
    digest = blobs.put(b"weights")
    before = obstore.head(bucket_of(blobs), blob_key(digest))["last_modified"]
    time.sleep(1.1)
    blobs.put(b"weights")
    assert obstore.head(bucket_of(blobs), blob_key(digest))["last_modified"] == before
    assert not blobs._create(b"others", digest)
    assert blobs.get(digest) == b"weights"


def test_many_good_bytes_that_are_there_are_not_sent_again(blobs):
    digest = write_all(blobs, pieces(10)).digest
    before = obstore.head(bucket_of(blobs), blob_key(digest))["last_modified"]
    time.sleep(1.1)
    write_all(blobs, pieces(10))
    assert obstore.head(bucket_of(blobs), blob_key(digest))["last_modified"] == before


def test_many_damaged_bytes_are_healed_by_the_same_bytes(blobs):
    digest = write_all(blobs, pieces(10)).digest
    obstore.put(bucket_of(blobs), blob_key(digest), b"".join(pieces(10, seed=b"other")))
    write_all(blobs, pieces(10))
    assert blobs.get(digest) == b"".join(pieces(10))


def test_a_store_without_conditional_puts_is_written_to_all_the_same(blobs, monkeypatch):
    refused = obstore.exceptions.GenericError("Server returned non-2xx status code: 501 Not Implemented: <Error/>")
    put = obstore.put

    def without_conditions(*arguments, mode=None, **others):
        if mode == "create":
            raise refused
        return put(*arguments, **others)

    monkeypatch.setattr(obstore, "put", without_conditions)
    assert blobs.get(blobs.put(b"weights")) == b"weights"


def test_a_file_is_read_in_any_order_as_if_it_were_one(blobs):
    data = b"".join(pieces(12))
    digest = write_all(blobs, pieces(12)).digest
    with blobs.open(digest) as file:
        assert file.seek(-10, io.SEEK_END) == len(data) - 10
        assert file.read() == data[-10:]
        for place, count in [(0, 5), (9 * MEBIBYTE, 3 * MEBIBYTE), (5, 100), (len(data) - 3, 10), (len(data) + 5, 1)]:
            file.seek(place)
            assert file.read(count) == data[place : place + count]
        file.seek(0)
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.removeprefix("sha256:")
        with pytest.raises(ValueError, match="no byte -1"):
            file.seek(-1)


def test_a_header_costs_a_small_range_and_a_whole_file_few_of_them(blobs, monkeypatch):
    digest = write_all(blobs, pieces(40)).digest
    ranges = []
    fetch = obstore.get_range

    def noted(store, path, *, start, end):
        ranges.append(end - start)
        return fetch(store, path, start=start, end=end)

    monkeypatch.setattr(obstore, "get_range", noted)
    with blobs.open(digest) as file:
        file.read(8)
    assert ranges == [256 * 1024]
    ranges.clear()
    with blobs.open(digest) as file:
        while file.read(100_000):
            pass
    assert sum(ranges) == 40 * MEBIBYTE
    assert max(ranges) == 8 * MEBIBYTE
    assert len(ranges) < 12


def test_bytes_that_go_while_they_are_read_are_not_found(blobs):
    digest = write_all(blobs, pieces(12)).digest
    with blobs.open(digest) as file:
        file.read(10)
        blobs.delete(digest)
        with pytest.raises(NotFoundError, match="upload them first"):
            file.read()


def test_bytes_that_change_while_they_wait_are_not_published_and_leave_no_parts(blobs, object_store):
    digest = blob_digest(b"".join(pieces(24)))
    with blobs.writer() as writer:
        for piece in pieces(24):
            writer.write(piece)
        writer._spool.seek(20 * MEBIBYTE)
        writer._spool.write(b"flipped")
        with pytest.raises(StorageError, match="check this machine's disk"):
            writer.commit()
    with pytest.raises(NotFoundError):
        blobs.info(digest)
    assert unfinished_uploads(object_store, blob_key(digest)) == 0


def test_a_full_disk_here_is_told_and_leaves_nothing(blobs, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    with blobs.writer() as writer:
        monkeypatch.setattr(writer._spool, "write", full)
        with pytest.raises(StorageFullError, match="free some space"):
            writer.write(b"x")


def test_listing_leaves_out_what_is_no_blob(blobs):
    digest = blobs.put(b"weights")
    obstore.put(bucket_of(blobs), "notes/readme.txt", b"not a blob")
    assert [each.digest for each in blobs.listing()] == [digest]


def test_two_prefixes_of_a_bucket_are_two_stores(object_store, blobs, tmp_path):
    other = open_blobs(Settings.model_validate({"home": tmp_path, **object_store.settings()}))
    digest = blobs.put(b"weights")
    with pytest.raises(NotFoundError):
        other.get(digest)
    assert list(other.listing()) == []


def test_many_writers_of_the_same_bytes_agree(settings, blobs):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    writers = [context.Process(target=write_same, args=(settings.model_dump(), answers)) for _ in range(3)]
    for writer in writers:
        writer.start()
    found = {answers.get(timeout=120) for _ in writers}
    for writer in writers:
        writer.join()
    (digest,) = found
    assert blobs.get(digest) == b"".join(pieces(9))
    assert {each.digest for each in blobs.listing()} == {digest, blob_digest(b"small")}
    assert blobs.get(blob_digest(b"small")) == b"small"


def write_same(settings, answers):
    """In each process two threads write small bytes, and one writes many."""
    blobs = open_blobs(Settings.model_validate(settings))
    threads = [threading.Thread(target=blobs.put, args=(b"small",)) for _ in range(2)]
    for thread in threads:
        thread.start()
    digest = write_all(blobs, pieces(9)).digest
    for thread in threads:
        thread.join()
    answers.put(digest)


def test_a_process_killed_while_it_waits_or_sends_leaves_nothing_visible(object_store, settings, blobs):
    key = blob_key(blob_digest(b"".join(pieces(24))))
    context = multiprocessing.get_context("spawn")
    for where in ("waiting", "sending"):
        reached = context.Event()
        process = context.Process(target=write_for_ever, args=(settings.model_dump(), where, reached))
        process.start()
        assert reached.wait(timeout=60)
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert list(blobs.listing()) == []
        assert list((settings.home / "spool").iterdir()) == []
        assert unfinished_uploads(object_store, key) == (where == "sending")
    write_all(blobs, pieces(24))
    assert len(list(blobs.listing())) == 1


def write_for_ever(settings, where, reached):
    """Stop for ever before all is written, or in the middle of sending."""
    blobs = open_blobs(Settings.model_validate(settings))
    put = obstore.put

    def stuck(store, path, chunks, **others):
        def slow():
            for index, chunk in enumerate(chunks):
                if index == 18:
                    reached.set()
                    time.sleep(600)
                yield chunk

        return put(store, path, slow(), **others)

    obstore.put = stuck
    with blobs.writer() as writer:
        for piece in pieces(24):
            writer.write(piece)
        if where == "waiting":
            reached.set()
            time.sleep(600)
        writer.commit()


@pytest.mark.parametrize("mebibytes", [160, pytest.param(1024, marks=pytest.mark.slow)])
def test_many_bytes_take_little_memory_both_ways(settings, mebibytes):
    context = multiprocessing.get_context("spawn")
    answers = context.Queue()
    process = context.Process(target=stream, args=(settings.model_dump(), mebibytes, answers))
    process.start()
    before, most = answers.get(timeout=250)
    process.join()
    assert most - before < 128 * MEBIBYTE
    assert most < 200 * MEBIBYTE


def stream(settings, mebibytes, answers):
    """Write and read many bytes, watching this process's memory."""
    blobs = open_blobs(Settings.model_validate(settings))
    memory = psutil.Process().memory_info
    before, most, done = memory().rss, 0, threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.01):
            most = max(most, memory().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    digest = write_all(blobs, pieces(mebibytes)).digest
    with blobs.open(digest) as file:
        assert hashlib.file_digest(file, "sha256").hexdigest() == digest.removeprefix("sha256:")
    done.set()
    watcher.join()
    answers.put((before, most))


@pytest.mark.parametrize("way", ["get", "open", "info", "delete", "put", "listing"])
def test_a_store_that_does_not_answer_is_busy_not_empty(object_store, tmp_path, way):
    with socket.create_server(("127.0.0.1", 0)) as nobody:
        endpoint = f"http://127.0.0.1:{nobody.getsockname()[1]}"
    settings = Settings.model_validate({"home": tmp_path, **object_store.settings(), "s3_endpoint": endpoint})
    blobs = S3Blobs(S3Stores(open_bucket(settings, endpoint=endpoint)), tmp_path / "spool")
    with pytest.raises(BusyError, match="does not answer; try again"):
        use(blobs, way)


def use(blobs, way):
    if way == "put":
        blobs.put(b"weights")
    elif way == "listing":
        list(blobs.listing())
    else:
        read(blobs, way, blob_digest(b"weights"))


def test_a_store_that_stalls_is_given_up(object_store, tmp_path, monkeypatch):
    monkeypatch.setattr(s3_store, "REQUEST_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        settings = Settings.model_validate({"home": tmp_path, **object_store.settings(), "s3_endpoint": endpoint})
        blobs = S3Blobs(S3Stores(open_bucket(settings, endpoint=endpoint)), tmp_path / "spool")
        began = time.monotonic()
        with pytest.raises(BusyError, match="does not answer"):
            write_all(blobs, pieces(PART_BYTES // MEBIBYTE + 1))
        assert time.monotonic() - began < 15


def test_the_bounds_of_patience_add_up_to_less_than_a_minute():
    assert 2 * (s3_store.REQUEST_SECONDS + s3_store.RETRY_SECONDS) < 60


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"s3_secret_access_key": "wrong"}, "refuses the service's access keys"),
        ({"s3_access_key_id": "nobody"}, "refuses the service's access keys"),
        ({"blobs": "s3://no-such-bucket/x"}, "has no such bucket"),
        ({"s3_endpoint": "http://127.0.0.1:9"}, "does not answer"),
        ({"s3_access_key_id": None}, "ZOO_S3_ACCESS_KEY_ID and ZOO_S3_SECRET_ACCESS_KEY go together"),
    ],
)
def test_a_store_that_cannot_be_used_ends_the_start_with_one_sentence(object_store, tmp_path, wrong, said):
    given = {"home": tmp_path, **object_store.settings(), **wrong}
    with pytest.raises(SettingsError, match=said) as refusal:
        open_blobs(Settings.model_validate(given))
    assert "\n" not in refusal.value.detail
    assert object_store.secret_access_key not in refusal.value.detail


def test_keys_that_the_settings_leave_open_come_from_the_environment(object_store, tmp_path, monkeypatch):
    given = {**object_store.settings(), "s3_access_key_id": None, "s3_secret_access_key": None}
    settings = Settings.model_validate({"home": tmp_path, **given})
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", object_store.access_key_id)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(SettingsError, match="refuses the service's access keys"):
        open_blobs(settings)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", object_store.secret_access_key)
    blobs = open_blobs(settings)
    assert blobs.get(blobs.put(b"weights")) == b"weights"


def test_a_link_lets_whoever_has_it_read_and_nobody_write(object_store, tmp_path):
    given = {"home": tmp_path, **object_store.settings(), "s3_redirect": True}
    blobs = open_blobs(Settings.model_validate(given))
    link = blobs.link(blobs.put(b"weights"))
    assert link is not None
    assert link.seconds == 300
    assert httpx.get(link.url, trust_env=False).content == b"weights"
    assert httpx.get(link.url, headers={"Range": "bytes=4-"}, trust_env=False).content == b"hts"
    assert httpx.put(link.url, content=b"other", trust_env=False).status_code == 403
    assert httpx.get(link.url.partition("?")[0], trust_env=False).status_code == 403


def test_links_name_the_address_that_readers_know(object_store, tmp_path):
    given = {"s3_redirect": True, "s3_public_endpoint": "https://objects.example.org/", **object_store.settings()}
    link = open_blobs(Settings.model_validate({"home": tmp_path, **given})).link(blob_digest(b"weights"))
    assert link is not None
    assert link.url.startswith(f"https://objects.example.org/{object_store.bucket}/")


def test_without_the_setting_there_are_no_links(blobs):
    assert blobs.link(blobs.put(b"weights")) is None


def test_the_spool_lies_in_the_home_of_the_service(settings, blobs):
    assert Path(blobs._spool) == settings.home / "spool"
