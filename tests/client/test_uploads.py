"""Large files: they go on after breaks, in this process or another, and what is refused does not stay."""

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from client.cache import digest_of_bytes
from client.connection import Connection, Timeouts
from client.errors import ServiceUnreachableError, TransferBrokenError
from client.uploads import RESUMABLE_BYTES, SessionFiles, _Patience
from client.zoo import Zoo
from registry.errors import InvalidModuleFileError, TooLargeError
from registry.names import Digest
from tests.api.serving import Service, serving

DATA = os.urandom(RESUMABLE_BYTES + 12_345)
DIGEST = digest_of_bytes(DATA)
PATIENT = Timeouts(stall_seconds=5.0, quiet_seconds=20.0, retry_seconds=0.01)
HASTY = Timeouts(stall_seconds=0.5, quiet_seconds=1.0, restart_seconds=1.0, retry_seconds=0.01)


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), upload_piece_bytes=4_000_000) as running:
        yield running


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(DATA)
    return path


@pytest.fixture(autouse=True)
def without_the_bytes(service: Service) -> Iterator[None]:
    """Each test begins without them."""
    yield
    with service.zoo.begin() as work:
        for upload in work.uploads.expired(at=service.zoo.uploads._around.expires_at(), limit=99):
            service.zoo.uploads._remove(upload)
    service.zoo.keeper.discard_for_all(Digest(DIGEST))
    assert service.blobs() == set()


class Way(httpx.BaseTransport):
    """The way to a service, which breaks where a test wants it."""

    def __init__(self, *breaks: Callable[[httpx.Request], None]) -> None:
        self._real = httpx.HTTPTransport()
        self.breaks = list(breaks)
        self.sent: list[tuple[str, int]] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if request.method == "PATCH":
            self.sent.append((request.method, int(request.headers["Upload-Offset"])))
            if self.breaks:
                self.breaks.pop(0)(request)
        return self._real.handle_request(request)

    def close(self) -> None:
        self._real.close()


def broken_after(count: int, *, chunk_seconds: float = 0.0) -> Callable[[httpx.Request], None]:
    """Break a request's body after so many bytes, that come slowly."""

    def shorten(request: httpx.Request) -> None:
        request.stream = BreakingStream(request.stream, count, chunk_seconds)

    return shorten


class BreakingStream(httpx.SyncByteStream):
    def __init__(self, stream: object, count: int, chunk_seconds: float) -> None:
        self.stream, self.count, self.chunk_seconds = stream, count, chunk_seconds

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self.stream:  # type: ignore[attr-defined]
            time.sleep(self.chunk_seconds)
            yield chunk[: self.count]
            self.count -= len(chunk)
            if self.count <= 0:
                raise httpx.WriteError("connection reset")


def zoo_at(service: Service, home: Path, way: Way | None = None, timeouts: Timeouts = PATIENT) -> Zoo:
    url = str(service.http.base_url).rstrip("/")
    return Zoo(url, cache=home / "cache", timeouts=timeouts, transport=way)


def test_a_large_file_goes_on_where_it_broke_off(service: Service, file: Path, tmp_path: Path) -> None:
    way, told = Way(broken_after(10_000_000), broken_after(15_000_000)), list[tuple[int, int | None]]()
    with zoo_at(service, tmp_path, way) as zoo:
        assert zoo.blobs.put(file, on_bytes=lambda *numbers: told.append(numbers)) == DIGEST
    offsets = [offset for _, offset in way.sent]
    assert offsets == sorted(offsets)
    assert (offsets[0], len(offsets) > 2) == (0, True)
    assert offsets[-1] >= 8_000_000
    assert told[-1] == (len(DATA), len(DATA))
    assert service.zoo.blobs.get(DIGEST) == DATA


def test_an_upload_that_took_longer_than_one_waits_for_nothing_still_goes_on(
    service: Service, file: Path, tmp_path: Path
) -> None:
    hasty = Timeouts(stall_seconds=5.0, quiet_seconds=6.0, retry_seconds=0.01)
    way = Way(broken_after(14_000_000, chunk_seconds=0.6))
    with zoo_at(service, tmp_path, way, hasty) as zoo:
        assert zoo.blobs.put(file) == DIGEST


def test_another_process_goes_on(service: Service, file: Path, tmp_path: Path) -> None:
    way = Way(broken_after(10_000_000), *[broken_after(0)] * 1000)
    with zoo_at(service, tmp_path, way, HASTY) as zoo, pytest.raises(TransferBrokenError, match="it goes on there"):
        zoo.blobs.put(file)
    way = Way()
    with zoo_at(service, tmp_path, way) as zoo:
        zoo.blobs.put(DATA)
    assert len(way.sent) == 1
    assert way.sent[0][1] >= 8_000_000


def test_an_upload_that_is_gone_is_begun_again(service: Service, file: Path, tmp_path: Path) -> None:
    home = tmp_path
    sessions = SessionFiles(home / "uploads", str(service.http.base_url).rstrip("/"))
    sessions.keep(DIGEST, "/uploads/long-gone")
    with zoo_at(service, home) as zoo:
        assert zoo.blobs.put(file) == DIGEST
    assert sessions.find(DIGEST) != "/uploads/long-gone"


def test_two_at_once_send_one_file(service: Service, file: Path, tmp_path: Path) -> None:
    found: list[str] = []

    def put() -> None:
        with zoo_at(service, tmp_path) as zoo:
            found.append(zoo.blobs.put(file))

    threads = [threading.Thread(target=put) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [DIGEST] * 3


def test_a_large_file_that_is_refused_does_not_stay(service: Service, file: Path, tmp_path: Path) -> None:
    with zoo_at(service, tmp_path) as zoo, pytest.raises(InvalidModuleFileError):
        zoo.modules.publish("ada/nonsense", file)
    assert service.blobs() == set()
    assert list((tmp_path / "uploads").iterdir()) == []


def test_a_file_over_the_limit_is_refused_before_a_byte_is_sent(file: Path, tmp_path: Path) -> None:
    limits = {"module_limit_bytes": 1_000_000, "dataset_limit_bytes": 1_000_000}
    with serving(tmp_path / "small", **limits) as small, zoo_at(small, tmp_path) as zoo:
        with pytest.raises(TooLargeError, match="more than the limit of 1000000"):
            zoo.blobs.put(file)
        assert small.blobs() == set()


def test_a_zoo_that_never_answered_is_not_waited_for(service: Service, file: Path, tmp_path: Path) -> None:
    with Zoo("http://127.0.0.1:9", cache=tmp_path / "cache") as zoo, pytest.raises(ServiceUnreachableError):
        zoo.modules.publish("ada/digits", file)


def test_a_zoo_that_is_busy_is_asked_before_an_upload_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of the quiet time has gone, and the zoo says nothing: perhaps it is putting the pieces together."""
    monkeypatch.setattr("client.connection.time.monotonic", lambda: 100.0)
    timeouts, error = Timeouts(), httpx.ReadTimeout("timed out")
    assert not timeouts.are_over(error, moved_at=100.0 - 40.0, next_seconds=timeouts.look_seconds)
    assert timeouts.are_over(error, moved_at=100.0 - 50.0, next_seconds=timeouts.look_seconds)
    assert timeouts.are_over(error, moved_at=100.0 - 40.0, next_seconds=timeouts.stall_seconds)


def test_an_upload_whose_last_byte_is_sent_waits_for_its_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """To put gigabytes together on a slow disk takes longer than a transfer may be quiet."""
    now = [0.0]
    monkeypatch.setattr("client.uploads.time.monotonic", lambda: now[0])
    monkeypatch.setattr("client.connection.time.sleep", lambda _: None)
    connection = Connection("http://127.0.0.1:9")
    for sent, waited in ((90, False), (100, True)):
        patience = _Patience(connection)
        patience.watching(lambda *_: None)(sent, 100)
        now[0] += 120.0
        if waited:
            patience.wait(httpx.ReadTimeout("timed out"))
        else:
            with pytest.raises(TransferBrokenError):
                patience.wait(httpx.ReadTimeout("timed out"))
    connection.close()
