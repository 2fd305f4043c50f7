"""Bytes over HTTP: under their digest, whole or one range, conditional."""

import base64
import hashlib
import socket
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.api.serving import Service

DATA = bytes(range(256)) * 5000
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
PATH = f"/blobs/{DIGEST}"


@pytest.fixture(scope="module", autouse=True)
def stored(service: Service) -> None:
    assert service.http.put(PATH, content=DATA).status_code == 201


def digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def test_putting_again_changes_nothing(http: httpx.Client) -> None:
    answer = http.put(PATH, content=DATA)
    assert (answer.status_code, answer.json()) == (200, {"digest": DIGEST, "size_bytes": len(DATA)})


def test_wrong_bytes_leave_nothing(service: Service) -> None:
    before = service.blobs()
    answer = service.http.put(f"/blobs/{digest(b'right')}", content=b"wrong")
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_digest")
    assert service.blobs() == before


def test_an_empty_blob_can_be_kept_and_read(http: httpx.Client) -> None:
    path = f"/blobs/{digest(b'')}"
    assert http.put(path, content=b"").status_code == 201
    assert http.get(path).content == b""
    assert http.get(path, headers={"Range": "bytes=0-0"}).status_code == 416


def test_all_bytes_come_with_what_proves_them(http: httpx.Client) -> None:
    answer = http.get(PATH)
    assert answer.content == DATA
    assert answer.headers["etag"] == f'"{DIGEST}"'
    assert answer.headers["accept-ranges"] == "bytes"
    assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
    encoded = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    assert answer.headers["repr-digest"] == f"sha-256=:{encoded}:"


def test_head_says_the_same_without_the_bytes(http: httpx.Client) -> None:
    told, got = http.head(PATH), http.get(PATH)
    unlike = ("date", "x-request-id")
    assert {k: v for k, v in told.headers.items() if k not in unlike} == {
        k: v for k, v in got.headers.items() if k not in unlike
    }
    assert told.content == b""
    part = http.head(PATH, headers={"Range": "bytes=0-4"})
    assert (part.status_code, part.headers["content-length"]) == (200, str(len(DATA)))


@pytest.mark.parametrize(
    ("asked", "first", "past"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=1279990-", 1_279_990, 1_280_000),
        ("bytes=-5", 1_279_995, 1_280_000),
        ("bytes=-99999999", 0, 1_280_000),
        ("bytes=5-99999999", 5, 1_280_000),
        ("BYTES=300000-900000", 300_000, 900_001),
    ],
)
def test_one_range_is_served(http: httpx.Client, asked: str, first: int, past: int) -> None:
    answer = http.get(PATH, headers={"Range": asked})
    assert answer.status_code == 206
    assert answer.headers["content-range"] == f"bytes {first}-{past - 1}/{len(DATA)}"
    assert answer.headers["content-length"] == str(past - first)
    assert answer.content == DATA[first:past]


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "bytes=9-3", "bytes=a-b", "lines=1-2", "bytes=", "bytes=-", "0-5"])
def test_what_is_not_one_range_gives_the_whole(http: httpx.Client, asked: str) -> None:
    answer = http.get(PATH, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, DATA)


@pytest.mark.parametrize("asked", ["bytes=1280000-", "bytes=999999999999999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_not_satisfiable(http: httpx.Client, asked: str) -> None:
    answer = http.get(PATH, headers={"Range": asked})
    assert (answer.status_code, answer.json()["code"]) == (416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(DATA)}"


def test_a_range_of_something_else_gives_the_whole(http: httpx.Client) -> None:
    asked = {"Range": "bytes=0-3"}
    assert http.get(PATH, headers={**asked, "If-Range": f'"{DIGEST}"'}).status_code == 206
    for other in ('"sha256:other"', f'W/"{DIGEST}"', "Fri, 20 Nov 2026 22:31:11 GMT"):
        assert http.get(PATH, headers={**asked, "If-Range": other}).status_code == 200


@pytest.mark.parametrize("held", [f'"{DIGEST}"', f'W/"{DIGEST}"', f'"other", "{DIGEST}"', "*"])
def test_who_has_it_is_not_sent_it_again(http: httpx.Client, held: str) -> None:
    answer = http.get(PATH, headers={"If-None-Match": held})
    assert (answer.status_code, answer.content) == (304, b"")
    assert http.get(PATH, headers={"If-None-Match": '"other"'}).status_code == 200


def test_a_body_that_breaks_off_leaves_nothing(service: Service) -> None:
    before = service.blobs()

    def chunks() -> Iterator[bytes]:
        yield b"x" * 100_000
        raise ConnectionError("the sender died")

    with pytest.raises(ConnectionError):
        service.http.put(f"/blobs/{digest(b'never')}", content=chunks())
    deadline = time.monotonic() + 10
    while 'route="/blobs/{digest}",status="499"' not in service.http.get("/metrics").text:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert service.blobs() == before


@pytest.mark.parametrize("path", [f"PUT {PATH}", "POST /modules/a/b/versions", "POST /datasets", "POST /tasks"])
def test_a_body_over_the_limit_is_refused_before_it_is_read(service: Service, path: str) -> None:
    before, settings = service.blobs(), service.zoo.settings
    limit = max(settings.module_limit_bytes, settings.dataset_limit_bytes)
    host, port = service.http.base_url.host, service.http.base_url.port
    with socket.create_connection((host, port)) as raw:
        raw.sendall(f"{path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {limit + 1}\r\n\r\n".encode())
        answer = raw.recv(4096).decode()
    assert answer.startswith("HTTP/1.1 413")
    assert service.blobs() == before


def test_bytes_that_vanish_while_they_are_asked_for_are_not_found(service: Service) -> None:
    data = b"soon gone"
    path = f"/blobs/{digest(data)}"
    service.http.put(path, content=data)
    service.zoo.blobs.delete(digest(data))
    assert service.http.get(path).status_code == 404
