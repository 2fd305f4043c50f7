"""Transfers: resumed after breaks, never wrong, never half there."""

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from client.cache import Cache, digest_of_bytes
from client.errors import ServiceUnreachableError, TransferBrokenError
from client.zoo import Zoo
from registry.errors import NotFoundError, TooLargeError, WrongDigestError
from registry.names import Digest
from tests.client.conftest import FAST, ZooOf

DATA = bytes(range(256)) * 40
DIGEST = digest_of_bytes(DATA)


class BreakingService:
    """Serves DATA with ranges, and breaks off after so many bytes of each answer."""

    def __init__(self, *breaks: int, data: bytes = DATA, ranges: bool = True) -> None:
        self.breaks, self.data, self.ranges = list(breaks), data, ranges
        self.asked: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        wanted = request.headers.get("Range") if self.ranges else None
        self.asked.append(request.headers.get("Range"))
        start = int(re.fullmatch(r"bytes=(\d+)-", wanted)[1]) if wanted else 0  # type: ignore[index]
        if wanted and start >= len(self.data):
            return httpx.Response(416, headers={"Content-Range": f"bytes */{len(self.data)}"})
        headers = {"Content-Length": str(len(self.data) - start)}
        if wanted:
            headers["Content-Range"] = f"bytes {start}-{len(self.data) - 1}/{len(self.data)}"
        return httpx.Response(206 if wanted else 200, headers=headers, content=self.body(start))

    def body(self, start: int) -> Iterator[bytes]:
        end = start + self.breaks.pop(0) if self.breaks else len(self.data)
        yield self.data[start:end]
        if end < len(self.data):
            raise httpx.ReadError("connection reset")


def parts(cache: Path) -> list[Path]:
    return [path for path in cache.rglob("*") if path.is_file() and path.suffix == ".part"]


def test_a_download_goes_on_where_it_broke_off(zoo_of: ZooOf, cache: Path) -> None:
    service = BreakingService(100, 50)
    path = zoo_of(service).blobs.fetch(DIGEST)
    assert path.read_bytes() == DATA
    assert service.asked == [None, "bytes=100-", "bytes=150-"]
    assert parts(cache) == []


def test_a_download_begins_anew_when_the_service_knows_no_ranges(zoo_of: ZooOf) -> None:
    service = BreakingService(100, ranges=False)
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA
    assert len(service.asked) == 2


def test_a_later_download_goes_on_where_one_was_given_up(zoo_of: ZooOf, cache: Path) -> None:
    with pytest.raises(TransferBrokenError, match="after 100 bytes"):
        zoo_of(BreakingService(100, 0, 0, 0)).blobs.fetch(DIGEST)
    assert [path.stat().st_size for path in parts(cache)] == [100]
    service = BreakingService()
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA
    assert service.asked == ["bytes=100-"]


def test_a_part_that_is_whole_already_is_kept_without_another_byte(zoo_of: ZooOf, cache: Path) -> None:
    place = Cache(cache).place(DIGEST)
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.x.part").write_bytes(DATA)
    service = BreakingService()
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA
    assert service.asked == [f"bytes={len(DATA)}-"]


@pytest.mark.parametrize("left_behind", [b"wrong" * 100, DATA + b"too long"], ids=["wrong", "too-long"])
def test_a_bad_part_costs_a_second_download_and_no_more(zoo_of: ZooOf, cache: Path, left_behind: bytes) -> None:
    place = Cache(cache).place(DIGEST)
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.x.part").write_bytes(left_behind)
    assert zoo_of(BreakingService()).blobs.fetch(DIGEST).read_bytes() == DATA


def test_bytes_with_another_digest_are_refused_and_not_kept(zoo_of: ZooOf, cache: Path) -> None:
    with pytest.raises(WrongDigestError, match=DIGEST):
        zoo_of(BreakingService(data=b"other bytes")).blobs.fetch(DIGEST)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_download_elsewhere_leaves_nothing_in_the_cache(zoo_of: ZooOf, cache: Path, tmp_path: Path) -> None:
    service = BreakingService(100)
    path = zoo_of(service).blobs.download(DIGEST, to=tmp_path / "borrowed")
    assert path.is_relative_to(tmp_path / "borrowed")
    assert path.read_bytes() == DATA
    assert service.asked == [None, "bytes=100-"]
    assert not cache.exists()


def test_a_download_elsewhere_does_not_take_the_file_of_the_cache(zoo_of: ZooOf, tmp_path: Path) -> None:
    zoo = zoo_of(BreakingService())
    assert zoo.blobs.fetch(DIGEST) != zoo.blobs.download(DIGEST, to=tmp_path / "borrowed")


def test_wrong_bytes_are_refused_elsewhere_too(zoo_of: ZooOf, tmp_path: Path) -> None:
    with pytest.raises(WrongDigestError, match=DIGEST):
        zoo_of(BreakingService(data=b"other bytes")).blobs.download(DIGEST, to=tmp_path)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_what_is_in_the_cache_is_not_asked_for_again(zoo_of: ZooOf) -> None:
    service = BreakingService()
    zoo = zoo_of(service)
    assert zoo.blobs.fetch(DIGEST) == zoo.blobs.fetch(DIGEST)
    assert len(service.asked) == 1


def test_a_damaged_file_of_the_cache_is_fetched_again(zoo_of: ZooOf) -> None:
    zoo = zoo_of(BreakingService())
    path = zoo.blobs.fetch(DIGEST)
    path.chmod(0o644)
    path.write_bytes(b"damaged")
    assert zoo.blobs.fetch(DIGEST).read_bytes() == DATA


def test_many_threads_fetch_the_same_bytes_without_a_lock(zoo_of: ZooOf, cache: Path) -> None:
    zoo, found = zoo_of(BreakingService()), []
    threads = [threading.Thread(target=lambda: found.append(zoo.blobs.fetch(DIGEST))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [path.read_bytes() == DATA for path in found] == [True] * 8
    assert parts(cache) == []


def test_a_refusal_is_the_error_it_says(zoo_of: ZooOf) -> None:
    zoo = zoo_of(lambda _: httpx.Response(404, json={"code": "not_found", "detail": "no such blob"}))
    with pytest.raises(NotFoundError, match="no such blob"):
        zoo.blobs.fetch(DIGEST)


def test_progress_is_told_in_bytes(zoo_of: ZooOf) -> None:
    told: list[tuple[int, int | None]] = []
    zoo_of(BreakingService(100)).blobs.fetch(DIGEST, on_bytes=lambda done, total: told.append((done, total)))
    assert told == [(100, len(DATA)), (len(DATA), len(DATA))]


class UploadService:
    """Takes blobs; the first answers are breaks."""

    def __init__(self, breaks: int = 0) -> None:
        self.breaks = breaks
        self.kept: dict[str, bytes] = {}
        self.lengths: list[str | None] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(200 if request.url.path in self.kept else 404)
        self.lengths.append(request.headers.get("Content-Length"))
        assert "Transfer-Encoding" not in request.headers
        data = request.read()
        if self.breaks:
            self.breaks -= 1
            raise httpx.WriteError("connection reset", request=request)
        self.kept[request.url.path] = data
        return httpx.Response(201, json={"digest": DIGEST, "size_bytes": len(data)})


def test_an_upload_is_sent_again_after_a_break_and_states_its_length(zoo_of: ZooOf, tmp_path: Path) -> None:
    file, service = tmp_path / "file", UploadService(breaks=2)
    file.write_bytes(DATA)
    assert zoo_of(service).blobs.put(file) == DIGEST
    assert service.kept == {f"/blobs/{DIGEST}": DATA}
    assert service.lengths == [str(len(DATA))] * 3


def test_bytes_that_the_zoo_has_are_not_sent(zoo_of: ZooOf) -> None:
    service = UploadService()
    zoo = zoo_of(service)
    zoo.blobs.put(DATA)
    zoo.blobs.put(DATA)
    assert len(service.lengths) == 1


def test_an_upload_that_always_breaks_says_so(zoo_of: ZooOf) -> None:
    with pytest.raises(TransferBrokenError, match="10240 bytes"):
        zoo_of(UploadService(breaks=99)).blobs.put(DATA)


def test_an_upload_over_a_limit_is_refused_once(zoo_of: ZooOf, tmp_path: Path) -> None:
    asked: list[str] = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        return httpx.Response(413, json={"code": "too_large", "detail": "over 5 bytes"})

    file = tmp_path / "file"
    file.write_bytes(DATA)
    with pytest.raises(TooLargeError, match="over 5 bytes"):
        zoo_of(refuse).modules.publish("ada/digits", file)
    assert asked == ["POST"]


@contextmanager
def stalling_service(first: bytes, then: bytes) -> Iterator[str]:
    """A real socket whose first answer stalls in its middle, and whose second one is the rest."""
    server = socket.create_server(("127.0.0.1", 0))
    done = threading.Event()

    def serve() -> None:
        first_peer, _ = server.accept()
        first_peer.recv(65536)
        first_peer.sendall(first)
        second_peer, _ = server.accept()
        second_peer.recv(65536)
        second_peer.sendall(then)
        done.wait(5)
        first_peer.close()
        second_peer.close()

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
    finally:
        done.set()
        thread.join()
        server.close()


def test_a_download_that_stalls_is_resumed(cache: Path) -> None:
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {len(DATA)}\r\n\r\n".encode()
    rest = f"HTTP/1.1 206 Partial Content\r\nContent-Length: {len(DATA) - 1000}\r\n"
    rest += f"Content-Range: bytes 1000-{len(DATA) - 1}/{len(DATA)}\r\n\r\n"
    with (
        stalling_service(head + DATA[:1000], rest.encode() + DATA[1000:]) as url,
        Zoo(url, cache=cache, timeouts=FAST) as zoo,
    ):
        assert zoo.blobs.fetch(DIGEST).read_bytes() == DATA


def test_an_address_where_nobody_listens_says_what_to_do(cache: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
    with Zoo(url, cache=cache, timeouts=FAST) as zoo:
        for attempt in (lambda: zoo.blobs.fetch(Digest(DIGEST)), lambda: zoo.blobs.put(b""), zoo.jobs.list):
            with pytest.raises(ServiceUnreachableError, match=f"{url}.*zoo serve.*ZOO_URL"):
                attempt()
