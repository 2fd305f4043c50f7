"""The cache: a final name only for checked bytes."""

import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from client.cache import ABANDONED_SECONDS, Cache, Draft, digest_of_bytes, digest_of_file, place_copy
from registry.errors import WrongDigestError

DATA = b"weights"
DIGEST = digest_of_bytes(DATA)


def keep(cache: Cache, data: bytes = DATA) -> Path:
    with cache.draft(DIGEST) as draft:
        draft.write(data)
        return cache.keep(draft)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


def test_a_file_lies_under_its_digest_and_cannot_be_written_to(tmp_path: Path) -> None:
    path = keep(Cache(tmp_path))
    name = DIGEST.removeprefix("sha256:")
    assert path == tmp_path / name[:2] / name
    assert path.stat().st_mode & 0o222 == 0
    assert digest_of_file(path) == DIGEST


def test_an_empty_blob_can_be_kept(tmp_path: Path) -> None:
    cache, digest = Cache(tmp_path), digest_of_bytes(b"")
    with cache.draft(digest) as draft:
        cache.keep(draft)
    assert cache.find(digest) == cache.place(digest)


def test_wrong_bytes_leave_nothing_behind(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with pytest.raises(WrongDigestError):
        keep(cache, b"other")
    assert files(tmp_path) == []


def test_a_draft_that_was_not_kept_is_the_start_of_the_next_one(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.draft(DIGEST) as draft:
        draft.write(DATA[:3])
    with cache.draft(DIGEST) as draft:
        assert draft.size == 3
        draft.write(DATA[3:])
        assert cache.keep(draft).read_bytes() == DATA


def test_whoever_still_writes_to_an_older_draft_does_no_harm(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.draft(DIGEST) as older:
        older.write(DATA[:3])
        with cache.draft(DIGEST) as newer:
            newer.write(DATA[newer.size :])
            kept = cache.keep(newer)
        older.write(b"rubbish")
    assert kept.read_bytes() == DATA


def test_drafts_of_long_ago_go_when_the_blob_comes(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    abandoned, recent = (left_by_another(cache, name) for name in ("abandoned", "recent"))
    long_ago = time.time() - 2 * ABANDONED_SECONDS
    os.utime(abandoned, (long_ago, long_ago))
    keep_rest = cache.place(DIGEST)
    with cache.draft(DIGEST) as draft:
        draft.write(DATA[draft.size :])
        cache.keep(draft)
    assert files(tmp_path) == sorted([keep_rest.name, recent.name])


def left_by_another(cache: Cache, name: str, data: bytes = DATA[:3]) -> Path:
    """A draft of a process that was killed, or that writes to it still."""
    place = cache.place(DIGEST)
    place.parent.mkdir(parents=True, exist_ok=True)
    path = place.with_name(f"{place.name}.{name}.part")
    path.write_bytes(data)
    return path


def test_tries_that_come_no_further_leave_no_second_draft(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    left = left_by_another(cache, "dead")
    for _ in range(3):
        with cache.draft(DIGEST) as draft:
            assert draft.size == 3
    assert files(tmp_path) == [left.name]


def test_tries_that_come_further_each_time_leave_one_draft_of_this_process(tmp_path: Path) -> None:
    left = left_by_another(Cache(tmp_path), "dead")
    for size in range(3, 7):
        with Cache(tmp_path).draft(DIGEST) as draft:
            assert draft.size == size
            draft.write(DATA[size : size + 1])
    assert len(files(tmp_path)) == 2
    assert left.read_bytes() == DATA[:3]
    with Cache(tmp_path).draft(DIGEST) as draft:
        assert Cache(tmp_path).keep(draft).read_bytes() == DATA


def test_a_draft_of_this_process_goes_on_in_its_own_file(tmp_path: Path) -> None:
    cache = Cache(tmp_path)
    with cache.draft(DIGEST) as draft:
        draft.write(DATA[:3])
    with cache.draft(DIGEST) as again:
        assert again.path == draft.path
        with cache.draft(DIGEST) as beside:
            assert beside.path != again.path
    assert files(tmp_path) == [draft.path.name]


def test_a_child_process_does_not_take_over_what_its_parent_left(tmp_path: Path, monkeypatch) -> None:
    cache = Cache(tmp_path)
    with cache.draft(DIGEST) as draft:
        draft.write(DATA[:3])
    monkeypatch.setattr(os, "getpid", lambda: -1)
    with cache.draft(DIGEST) as again:
        assert (again.path == draft.path, again.size) == (False, 3)


def test_drafts_of_long_ago_go_when_another_begins_and_when_the_file_is_found(tmp_path: Path) -> None:
    cache, long_ago = Cache(tmp_path), time.time() - 2 * ABANDONED_SECONDS
    os.utime(left_by_another(cache, "abandoned"), (long_ago, long_ago))
    with cache.draft(DIGEST) as draft:
        assert draft.size == 3
        assert files(tmp_path) == [draft.path.name]
    assert files(tmp_path) == [draft.path.name], "it is the only one now"
    with cache.draft(DIGEST) as draft:
        draft.write(DATA[draft.size :])
        kept = cache.keep(draft)
    os.utime(left_by_another(cache, "later"), (long_ago, long_ago))
    assert cache.find(DIGEST) == kept
    assert files(tmp_path) == [kept.name]


def test_a_draft_for_which_there_is_no_room_goes(tmp_path: Path, monkeypatch) -> None:
    cache = Cache(tmp_path)
    left = left_by_another(cache, "dead")

    def full(self: Draft, other: Path) -> None:
        self.write(b"w")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Draft, "copy_from", full)
    with pytest.raises(OSError, match="No space"), cache.draft(DIGEST):
        pass
    assert files(tmp_path) == [left.name]


def test_a_copy_is_whole_or_not_there(tmp_path: Path) -> None:
    source, target = keep(Cache(tmp_path / "cache")), tmp_path / "out" / "module.safetensors"
    with pytest.raises(FileNotFoundError):
        place_copy(source, target)
    target.parent.mkdir()
    place_copy(source, target)
    assert target.read_bytes() == DATA
    assert files(target.parent) == [target.name]
    target.write_bytes(b"a copy is the user's own")


def test_a_copy_is_written_through_a_pipe_which_stays_one(tmp_path: Path) -> None:
    source, pipe = tmp_path / "source", tmp_path / "pipe"
    source.write_bytes(DATA)
    os.mkfifo(pipe)
    with ThreadPoolExecutor() as pool:
        read = pool.submit(pipe.read_bytes)
        place_copy(source, pipe)
        assert read.result(timeout=10) == DATA
    assert pipe.is_fifo()


def test_a_copy_goes_to_where_a_link_points(tmp_path: Path) -> None:
    source, link, target = (tmp_path / name for name in ("source", "link", "target"))
    source.write_bytes(DATA)
    link.symlink_to(target)
    place_copy(source, link)
    assert (link.is_symlink(), target.read_bytes()) == (True, DATA)
