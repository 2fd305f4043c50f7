"""Blobs in a folder."""

import multiprocessing
import os
import resource
import shutil
import signal
import sys
import threading
import time

import pytest

from registry.errors import NotFoundError, StorageError, StorageFullError
from storage.folder_blobs import FolderBlobs, blob_path
from tests.builders import blob_digest
from tests.storage.contracts.blobs import BlobStoreContract, read


class TestFolderBlobs(BlobStoreContract):
    def damage(self, blobs, digest):
        path = blob_path(blobs._folder, digest)
        path.write_bytes(path.read_bytes()[:-1] + b"?")


def test_a_blob_is_a_file_under_its_own_digest(blobs, tmp_path):
    digest = blobs.put(b"weights")
    name = digest.removeprefix("sha256:")
    assert (tmp_path / "blobs" / name[:2] / name[2:4] / name).read_bytes() == b"weights"


def test_an_open_blob_is_a_real_file(blobs):
    digest = blobs.put(b"weights")
    with blobs.open(digest) as file:
        assert os.fstat(file.fileno()).st_size == 7
        assert str(file.name).endswith(digest.removeprefix("sha256:"))


def test_nothing_half_written_is_left_by_writers_that_end(blobs, tmp_path):
    blobs.put(b"weights")
    with blobs.writer() as writer:
        writer.write(b"weights")
    assert list((tmp_path / "blobs" / "tmp").iterdir()) == []


def test_half_written_files_older_than_a_day_are_removed_at_start(tmp_path):
    FolderBlobs(tmp_path)
    old, young = tmp_path / "tmp" / "old.part", tmp_path / "tmp" / "young.part"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (time.time() - 90_000, time.time() - 90_000))
    FolderBlobs(tmp_path)
    assert not old.exists()
    assert young.exists()


def test_a_process_killed_while_writing_leaves_nothing_visible(tmp_path):
    writing = multiprocessing.get_context("spawn").Event()
    process = multiprocessing.get_context("spawn").Process(target=write_for_ever, args=(tmp_path, writing))
    process.start()
    assert writing.wait(timeout=60)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent.name != "tmp"] == []
    assert len(list((tmp_path / "tmp").iterdir())) == 1
    with pytest.raises(NotFoundError):
        FolderBlobs(tmp_path, stale_after_seconds=-1).info(blob_digest(b"x" * 1000))
    assert list((tmp_path / "tmp").iterdir()) == []


@pytest.mark.skipif(sys.platform != "linux", reason="limits the size of a process's files")
def test_a_full_disk_is_told_and_leaves_nothing(tmp_path):
    answers = multiprocessing.get_context("spawn").Queue()
    process = multiprocessing.get_context("spawn").Process(target=write_too_much, args=(tmp_path, answers))
    process.start()
    error, detail, left, small = answers.get(timeout=60)
    process.join()
    assert error is StorageFullError
    assert "free some space" in detail
    assert left == []
    assert small == blob_digest(b"small")


@pytest.mark.parametrize("way", ["get", "open", "info", "delete"])
def test_a_blob_that_cannot_be_reached_is_a_failure_of_the_storage_not_a_blob_that_is_missing(blobs, way):
    folder = blob_path(blobs._folder, blobs.put(b"weights")).parent
    shutil.rmtree(folder)
    folder.write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="may read and write it"):
        read(blobs, way, blob_digest(b"weights"))


def test_a_blob_that_cannot_get_its_name_is_a_failure_of_the_storage_and_leaves_nothing(blobs):
    digest = blob_digest(b"weights")
    (blobs._folder / digest.removeprefix("sha256:")[:2]).write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="may read and write it"):
        blobs.put(b"weights")
    assert list((blobs._folder / "tmp").iterdir()) == []


def test_a_folder_that_went_away_is_a_failure_of_the_storage(blobs):
    shutil.rmtree(blobs._folder)
    with pytest.raises(StorageError, match="may read and write it"):
        blobs.put(b"weights")


def test_a_folder_that_cannot_be_made_is_told_by_its_path(tmp_path):
    (tmp_path / "blobs").write_text("a file where the folder should be")
    with pytest.raises(StorageError, match="blobs cannot be used"):
        FolderBlobs(tmp_path / "blobs")


def test_an_error_of_whoever_reads_or_writes_stays_as_it_is(blobs):
    with pytest.raises(ConnectionResetError), blobs.open(blobs.put(b"weights")):
        raise ConnectionResetError("the reader went away")
    with pytest.raises(ConnectionResetError), blobs.writer():
        raise ConnectionResetError("the sender went away")


def test_many_threads_may_put_the_same_bytes(blobs):
    data = b"weights" * 10_000
    threads = [threading.Thread(target=blobs.put, args=(data,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert blobs.get(blob_digest(data)) == data


def write_for_ever(folder, writing):
    """Write a blob that never ends."""
    with FolderBlobs(folder).writer() as writer:
        writer.write(b"x" * 1000)
        writing.set()
        time.sleep(600)


def write_too_much(folder, answers):
    """Write more than this process may, then a little."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    blobs = FolderBlobs(folder)
    try:
        blobs.put(b"x" * 200_000)
    except StorageFullError as error:
        left = [str(path) for path in folder.rglob("*") if path.is_file()]
        answers.put((type(error), error.detail, left, blobs.put(b"small")))
