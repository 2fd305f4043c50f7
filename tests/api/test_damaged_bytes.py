"""Stored bytes that are damaged never reach a client as a whole file, whatever store they are in."""

import hashlib
import re
from collections.abc import Callable, Iterator

import httpx
import obstore
import pytest

from api.byte_ranges import SOON_READ_BYTES
from registry.known_chunks import CHUNK_BYTES
from storage.folder_blobs import FolderBlobs, blob_path
from storage.s3_blobs import S3Blobs, blob_key
from tests.api.serving import Service, serving
from tests.api.test_modules import publish
from tests.numpy_worker import linear_module, output_module

DATA = bytes(range(256)) * 8000
SHORT = b"a few bytes"


@pytest.fixture(params=["folder", pytest.param("bucket", marks=pytest.mark.s3)], scope="module")
def stored(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = request.getfixturevalue("object_store").settings() if request.param == "bucket" else {}
    with serving(tmp_path_factory.mktemp("zoo"), **settings) as running:
        yield running


def keep(service: Service, data: bytes) -> str:
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    service.http.put(f"/blobs/{digest}", content=data).raise_for_status()
    return digest


def lay(service: Service, data: bytes) -> str:
    """Store bytes that have not passed through the service since it began."""
    return service.zoo.blobs.put(data)


def change(service: Service, digest: str, how: Callable[[bytes], bytes]) -> None:
    """Change stored bytes behind the store's back."""
    blobs = service.zoo.blobs
    if isinstance(blobs, FolderBlobs):
        path = blob_path(blobs._folder, digest)
        path.write_bytes(how(path.read_bytes()))
        return
    assert isinstance(blobs, S3Blobs)
    bucket, key = blobs._stores.own, blob_key(digest)
    obstore.put(bucket, key, how(bytes(obstore.get(bucket, key).bytes())))


def flipped(data: bytes) -> bytes:
    return data[:1000] + b"?" + data[1001:] if len(data) > 1000 else data[:-1] + b"?"


def damaged_reads(service: Service) -> float:
    found = re.search(r"^zoo_damaged_reads_total (\S+)$", service.http.get("/metrics").text, flags=re.MULTILINE)
    assert found is not None
    return float(found[1])


def arrived(service: Service, path: str, headers: dict[str, str] | None = None) -> tuple[bytes, bool]:
    """What a client gets, and whether the answer ended as it should."""
    got = b""
    try:
        with service.http.stream("GET", path, headers=headers or {}) as answer:
            assert answer.status_code in (200, 206)
            for chunk in answer.iter_raw():
                got += chunk
    except httpx.RemoteProtocolError:
        return got, False
    return got, True


@pytest.mark.parametrize("headers", [{}, {"Range": "bytes=0-"}], ids=["whole", "range-of-all"])
def test_a_damaged_file_breaks_off_before_its_last_byte_and_is_counted(
    stored: Service, headers: dict[str, str]
) -> None:
    data = DATA + repr(headers).encode()
    digest = lay(stored, data)
    change(stored, digest, flipped)
    before = damaged_reads(stored)
    got, ended = arrived(stored, f"/blobs/{digest}", headers)
    assert not ended
    assert len(data) - CHUNK_BYTES <= len(got) < len(data)
    assert damaged_reads(stored) == before + 1
    keep(stored, data)
    assert arrived(stored, f"/blobs/{digest}", headers) == (data, True)


def test_a_damaged_short_file_is_an_error_from_the_start(stored: Service) -> None:
    digest = keep(stored, SHORT)
    change(stored, digest, flipped)
    answer = stored.http.get(f"/blobs/{digest}")
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")
    assert "upload the file again" in answer.json()["detail"]


@pytest.mark.parametrize(("name", "kept"), [("one-short", -1), ("empty", 0)])
def test_a_module_that_lost_its_end_does_not_end_well(stored: Service, name: str, kept: int) -> None:
    published = publish(stored.http, f"team/{name}", linear_module(kept + 5)).json()
    change(stored, published["digest"], lambda data: data[:kept])
    answer = stored.http.get(f"/modules/team/{name}/versions/1/file")
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")
    assert "too early" in answer.json()["detail"]


def test_a_range_of_a_large_damaged_file_that_never_passed_whole_says_what_the_whole_should_be(stored: Service) -> None:
    data = DATA * (1 + SOON_READ_BYTES // len(DATA))
    digest = lay(stored, data)
    change(stored, digest, flipped)
    answer = stored.http.get(f"/blobs/{digest}", headers={"Range": "bytes=990-1009"})
    assert answer.status_code == 206
    assert answer.content == flipped(data)[990:1010]
    assert "repr-digest" in answer.headers


def sent_resumably(service: Service, data: bytes, *, requests: int) -> str:
    """The digest of bytes that came as an upload of so many requests, each of which makes a piece."""
    tus = {"Tus-Resumable": "1.0.0"}
    begun = service.http.post("/uploads", headers={**tus, "Upload-Length": str(len(data))})
    step = -(-len(data) // requests)
    for start in range(0, len(data), step):
        headers = {**tus, "Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
        sent = service.http.patch(begun.headers["Location"], headers=headers, content=data[start : start + step])
        assert sent.status_code == 204
    return "sha256:" + hashlib.sha256(data).hexdigest()


def passed(service: Service, data: bytes, how: str) -> str:
    """The digest of bytes that came through the service whole, that left it whole, or of which a part was read."""
    if how == "came":
        return keep(service, data)
    if how.startswith("resumed"):
        return sent_resumably(service, data, requests=2 if how == "resumed" else 1)
    digest = lay(service, data)
    headers = {} if how == "left" else {"Range": "bytes=5-6"}
    assert arrived(service, f"/blobs/{digest}", headers) == (data if how == "left" else data[5:7], True)
    return digest


def test_a_range_of_a_small_damaged_file_is_an_error(stored: Service) -> None:
    digest = lay(stored, DATA[2:])
    change(stored, digest, flipped)
    answer = stored.http.get(f"/blobs/{digest}", headers={"Range": "bytes=5-6"})
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")


RANGES = [(0, 1), (990, 1010), (0, len(DATA) - 1), (CHUNK_BYTES - 1, CHUNK_BYTES + 1), (CHUNK_BYTES, len(DATA) - 1)]


@pytest.mark.parametrize("how", ["came", "resumed", "resumed once", "left", "read"])
@pytest.mark.parametrize(("first", "past"), RANGES)
def test_any_range_of_a_file_that_is_small_or_passed_whole_is_judged(
    stored: Service, how: str, first: int, past: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = DATA[:-24] + f"{how:12}{first:12}".encode()  # that no other test knows
    if how != "read":
        monkeypatch.setattr("api.byte_ranges.SOON_READ_BYTES", 0)
    digest = passed(stored, data, how)
    headers = {"Range": f"bytes={first}-{past - 1}"}
    assert arrived(stored, f"/blobs/{digest}", headers) == (data[first:past], True)
    before = damaged_reads(stored)
    change(stored, digest, lambda data: data[:first] + bytes([data[first] ^ 1]) + data[first + 1 :])
    answer = stored.http.get(f"/blobs/{digest}", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")
    assert damaged_reads(stored) == before + 1
    stored.zoo.blobs.put(data)
    assert arrived(stored, f"/blobs/{digest}", headers) == (data[first:past], True)


def test_a_file_that_passed_whole_breaks_off_before_the_first_chunk_that_is_damaged(stored: Service) -> None:
    data, damage_at = DATA * 3, 2 * CHUNK_BYTES + 5
    digest = keep(stored, data)
    change(stored, digest, lambda data: data[:damage_at] + bytes([data[damage_at] ^ 1]) + data[damage_at + 1 :])
    got, ended = arrived(stored, f"/blobs/{digest}")
    assert not ended
    assert data.startswith(got)
    assert CHUNK_BYTES <= len(got) <= 2 * CHUNK_BYTES


@pytest.mark.parametrize("kept", [CHUNK_BYTES, len(DATA) - 1, 0])
def test_a_file_that_passed_whole_and_lost_its_end_is_an_error_from_the_start(stored: Service, kept: int) -> None:
    digest = keep(stored, DATA)
    change(stored, digest, lambda data: data[:kept])
    answer = stored.http.get(f"/blobs/{digest}")
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")


def test_head_reads_nothing_and_tells_no_damage(stored: Service) -> None:
    digest = keep(stored, DATA)
    change(stored, digest, flipped)
    assert stored.http.head(f"/blobs/{digest}").status_code == 200


def test_a_pipeline_with_a_damaged_module_is_not_served(stored: Service) -> None:
    below = publish(stored.http, "ada/eyes", linear_module(1)).json()["digest"]
    above = publish(stored.http, "ada/mouth", output_module(below)).json()["digest"]
    made = stored.http.post("/pipelines", json={"name": "digits", "modules": ["ada/eyes@1", "ada/mouth@1"]}).json()
    assert stored.http.get(f"/pipelines/{made['id']}/file").status_code == 200
    change(stored, above, flipped)
    answer = stored.http.get(f"/pipelines/{made['id']}/file")
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")
