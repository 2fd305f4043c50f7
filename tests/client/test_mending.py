"""A download that came out wrong: only the bad parts are fetched again, and wrong bytes are never kept."""

import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from client.cache import Cache, digest_of_bytes
from client.zoo import Zoo
from registry.errors import CorruptBlobError, WrongDigestError
from registry.parts import PART_BYTES
from storage.folder_blobs import blob_path
from tests.api.serving import Service, serving
from tests.client.conftest import FAST
from tests.numpy_worker import quadrant_module

DATA = os.urandom(2 * PART_BYTES + 1000)
DIGEST = digest_of_bytes(DATA)
NAME = DIGEST.removeprefix("sha256:")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        running.http.put(f"/blobs/{DIGEST}", content=DATA).raise_for_status()
        yield running


class FlippingWay(httpx.BaseTransport):
    """A way on which one byte of some answers changes: of each answer in turn, the byte at a place, or none."""

    def __init__(self, *places: int | None) -> None:
        self._real, self.places = httpx.HTTPTransport(), list(places)
        self.ranges: list[str | None] = []

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._real.handle_request(request)
        if request.url.path.endswith("/parts") or request.method != "GET":
            return answer
        self.ranges.append(request.headers.get("Range"))
        place = self.places.pop(0) if self.places else None
        if place is None:
            return answer
        data = bytearray(answer.read())
        answer.close()
        data[place] ^= 1
        return httpx.Response(answer.status_code, headers=answer.headers, content=iter([bytes(data)]))

    def close(self) -> None:
        self._real.close()


def zoo_at(service: Service, home: Path, way: FlippingWay) -> Zoo:
    return Zoo(str(service.http.base_url).rstrip("/"), cache=home / "cache", timeouts=FAST, transport=way)


@pytest.mark.parametrize(
    ("place", "again"),
    [
        (5, f"bytes=0-{PART_BYTES - 1}"),
        (2 * PART_BYTES - 1, f"bytes={PART_BYTES}-{2 * PART_BYTES - 1}"),
        (len(DATA) - 1, f"bytes={2 * PART_BYTES}-{len(DATA) - 1}"),
    ],
)
def test_only_the_bad_part_is_fetched_again(service: Service, tmp_path: Path, place: int, again: str) -> None:
    way = FlippingWay(place)
    with zoo_at(service, tmp_path, way) as zoo:
        assert zoo.blobs.fetch(DIGEST).read_bytes() == DATA
    assert way.ranges == [None, again]


def test_a_damaged_draft_of_before_costs_one_part(service: Service, tmp_path: Path) -> None:
    place = Cache(tmp_path / "cache").place(DIGEST)
    place.parent.mkdir(parents=True)
    place.with_name(f"{place.name}.x.part").write_bytes(b"?" + DATA[1 : PART_BYTES + 10])
    way = FlippingWay()
    with zoo_at(service, tmp_path, way) as zoo:
        assert zoo.blobs.fetch(DIGEST).read_bytes() == DATA
    assert way.ranges == [f"bytes={PART_BYTES + 10}-", f"bytes=0-{PART_BYTES - 1}"]


def test_a_part_that_stays_bad_is_never_kept(service: Service, tmp_path: Path) -> None:
    with zoo_at(service, tmp_path, FlippingWay(5, 5)) as zoo, pytest.raises(WrongDigestError, match="nothing was kept"):
        zoo.blobs.fetch(DIGEST)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_a_modules_file_is_mended_too(service: Service, tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.write_bytes(quadrant_module())
    way = FlippingWay(None, 7)
    with zoo_at(service, tmp_path, way) as zoo:
        module = zoo.modules.publish("ada/digits", file)
        assert zoo.modules.fetch(module.ref).read_bytes() == file.read_bytes()
    assert way.ranges == [None, None, f"bytes=0-{file.stat().st_size - 1}"]


def test_bytes_that_are_damaged_where_they_are_stored_are_said_to_be(tmp_path: Path) -> None:
    with serving(tmp_path / "other") as service:
        service.http.put(f"/blobs/{DIGEST}", content=DATA).raise_for_status()
        blob_path(service.zoo.settings.home / "blobs", DIGEST).write_bytes(b"?" + DATA[1:])
        with zoo_at(service, tmp_path, FlippingWay()) as zoo, pytest.raises((CorruptBlobError, WrongDigestError)):
            zoo.blobs.fetch(DIGEST)
