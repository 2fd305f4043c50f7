"""Resumable uploads over HTTP, by hand, by curl and by the client of the protocol's own authors."""

import base64
import hashlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from tusclient.client import TusClient

from registry.uploads import UploadService
from tests.api.serving import Service, serving
from tests.numpy_worker import quadrant_module

DATA = os.urandom(300_000)
DIGEST = "sha256:" + hashlib.sha256(DATA).hexdigest()
TUS = {"Tus-Resumable": "1.0.0"}
BYTES = {**TUS, "Content-Type": "application/offset+octet-stream"}
PIECE_BYTES = 65_536
LIMIT_BYTES = 10_000_000


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    settings = {"upload_piece_bytes": PIECE_BYTES}
    limits = {"module_limit_bytes": LIMIT_BYTES, "dataset_limit_bytes": LIMIT_BYTES}
    with serving(tmp_path_factory.mktemp("zoo"), **settings, **limits) as running:
        yield running


def begin(http: httpx.Client, **headers: str) -> str:
    answer = http.post("/uploads", headers={**TUS, "Upload-Length": str(len(DATA)), **headers})
    assert answer.status_code == 201, answer.text
    return answer.headers["location"]


def patch(http: httpx.Client, path: str, data: bytes, offset: int, **headers: str) -> httpx.Response:
    return http.patch(path, content=data, headers={**BYTES, "Upload-Offset": str(offset), **headers})


def offset_of(http: httpx.Client, path: str) -> int:
    return int(http.head(path, headers=TUS).headers["upload-offset"])


def checksum(data: bytes, algorithm: str = "sha1") -> str:
    return f"{algorithm} {base64.b64encode(hashlib.new(algorithm, data).digest()).decode()}"


def test_what_the_service_knows_of_tus_is_told(http: httpx.Client) -> None:
    for path in ("/uploads", "/uploads/any"):
        answer = http.request("OPTIONS", path)
        assert answer.status_code == 204
        assert answer.headers["tus-resumable"] == answer.headers["tus-version"] == "1.0.0"
        assert answer.headers["tus-max-size"] == str(LIMIT_BYTES)
        assert set(answer.headers["tus-extension"].split(",")) == {
            *("creation", "creation-with-upload", "creation-defer-length", "termination", "expiration", "checksum")
        }
        assert answer.headers["tus-checksum-algorithm"] == "sha1,sha256"


def test_bytes_come_in_parts_and_the_last_answer_tells_the_digest(http: httpx.Client) -> None:
    path = begin(http)
    first = patch(http, path, DATA[:100_000], 0)
    assert (first.status_code, first.headers["upload-offset"]) == (204, "100000")
    assert "upload-digest" not in first.headers
    last = patch(http, path, DATA[100_000:], 100_000)
    encoded = base64.b64encode(hashlib.sha256(DATA).digest()).decode()
    for answer in (last, http.head(path, headers=TUS), patch(http, path, b"", len(DATA))):
        assert answer.headers["upload-offset"] == str(len(DATA))
        assert answer.headers["upload-digest"] == DIGEST
        assert answer.headers["repr-digest"] == f"sha-256=:{encoded}:"
        assert answer.headers["tus-resumable"] == "1.0.0"
    assert http.get(f"/blobs/{DIGEST}").content == DATA


def test_head_tells_all_and_is_not_to_be_kept(http: httpx.Client) -> None:
    metadata = "name Zm9v,private"
    answer = http.head(begin(http, **{"Upload-Metadata": metadata}), headers=TUS)
    assert answer.status_code == 200
    told = {"upload-offset": "0", "upload-length": str(len(DATA)), "upload-metadata": metadata}
    assert {name: answer.headers[name] for name in told} == told
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["upload-expires"].endswith("GMT")


def test_whoever_looks_without_tus_gets_it_as_json(http: httpx.Client) -> None:
    path = begin(http)
    told = http.get(path).json()
    assert (told["offset"], told["length"], told["digest"]) == (0, len(DATA), None)
    assert "owner" not in told


@pytest.mark.parametrize("version", [None, "0.2.2", "2.0.0"])
def test_another_version_of_tus_is_refused_and_ours_is_named(http: httpx.Client, version: str | None) -> None:
    path, headers = begin(http), {} if version is None else {"Tus-Resumable": version}
    answers = [
        http.post("/uploads", headers={**headers, "Upload-Length": "1"}),
        http.head(path, headers=headers),
        http.patch(path, headers={**BYTES, "Upload-Offset": "0", "Tus-Resumable": version or ""}, content=b"x"),
        http.delete(path, headers=headers),
    ]
    for answer in answers:
        assert answer.status_code == 412
        assert (answer.headers["tus-version"], answer.headers["tus-resumable"]) == ("1.0.0", "1.0.0")
    assert answers[0].json()["code"] == "tus_version"
    assert offset_of(http, path) == 0


@pytest.mark.parametrize("offset", [0, 99, 101, 10**12])
def test_a_replayed_or_skipped_chunk_changes_nothing(service: Service, offset: int) -> None:
    path = begin(service.http)
    patch(service.http, path, DATA[:100], 0)
    before = service.blobs()
    answer = patch(service.http, path, DATA[100:200], offset)
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert answer.headers["tus-resumable"] == "1.0.0"
    assert (offset_of(service.http, path), service.blobs()) == (100, before)


def test_an_upload_that_is_not_there_is_not_found(http: httpx.Client) -> None:
    answers = [
        http.head("/uploads/none", headers=TUS),
        patch(http, "/uploads/none", b"x", 0),
        http.delete("/uploads/none", headers=TUS),
    ]
    assert [answer.status_code for answer in answers] == [404] * 3


def test_another_content_type_is_refused(http: httpx.Client) -> None:
    path = begin(http)
    assert patch(http, path, b"x", 0, **{"Content-Type": "application/octet-stream"}).status_code == 415
    first = {**TUS, "Upload-Length": "1", "Content-Type": "text/plain"}
    assert http.post("/uploads", headers=first, content=b"x").status_code == 415
    assert patch(http, path, b"x", 0, **{"Content-Encoding": "gzip"}).status_code == 415
    assert offset_of(http, path) == 0


def test_more_than_the_length_is_refused(http: httpx.Client) -> None:
    path = begin(http, **{"Upload-Length": "10"})
    assert patch(http, path, b"x" * 11, 0).status_code == 413
    assert http.patch(path, content=iter([b"x" * 6] * 2), headers={**BYTES, "Upload-Offset": "0"}).status_code == 413
    assert offset_of(http, path) == 0
    assert patch(http, path, b"x" * 10, 0).status_code == 204
    assert patch(http, path, b"x", 10).status_code == 413
    over = http.post("/uploads", headers={**TUS, "Upload-Length": str(LIMIT_BYTES + 1)})
    assert (over.status_code, over.json()["code"]) == (413, "too_large")


@pytest.mark.parametrize("headers", [{}, {"Upload-Length": "-1"}, {"Upload-Length": "x"}, {"Upload-Defer-Length": "2"}])
def test_a_length_that_is_missing_or_none_is_refused(http: httpx.Client, headers: dict[str, str]) -> None:
    answer = http.post("/uploads", headers={**TUS, **headers})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_length_may_be_told_later(http: httpx.Client) -> None:
    created = http.post("/uploads", headers={**TUS, "Upload-Defer-Length": "1"})
    path = created.headers["location"]
    assert http.head(path, headers=TUS).headers["upload-defer-length"] == "1"
    assert patch(http, path, DATA[:10], 0).status_code == 204
    last = patch(http, path, DATA[10:], 10, **{"Upload-Length": str(len(DATA))})
    assert last.headers["upload-digest"] == DIGEST


def test_the_first_bytes_may_come_with_the_creation(http: httpx.Client) -> None:
    created = http.post("/uploads", headers={**BYTES, "Upload-Length": str(len(DATA))}, content=DATA[:10])
    assert (created.status_code, created.headers["upload-offset"]) == (201, "10")
    whole = http.post("/uploads", headers={**BYTES, "Upload-Length": str(len(DATA))}, content=DATA)
    assert (whole.status_code, whole.headers["upload-digest"]) == (201, DIGEST)
    empty = http.post("/uploads", headers={**TUS, "Upload-Length": "0"})
    assert empty.headers["upload-digest"] == "sha256:" + hashlib.sha256(b"").hexdigest()


@pytest.mark.parametrize("algorithm", ["sha1", "sha256"])
def test_a_chunk_with_another_checksum_is_refused_and_not_kept(service: Service, algorithm: str) -> None:
    http, path = service.http, begin(service.http)
    before = service.blobs()
    wrong = patch(http, path, DATA, 0, **{"Upload-Checksum": checksum(DATA[1:], algorithm)})
    assert (wrong.status_code, wrong.json()["code"]) == (460, "checksum_mismatch")
    assert offset_of(http, path) == 0
    assert service.blobs() == before
    right = patch(http, path, DATA, 0, **{"Upload-Checksum": checksum(DATA, algorithm)})
    assert right.headers["upload-digest"] == DIGEST


@pytest.mark.parametrize("header", ["md5 AAAA", "sha1", "sha1 !", "sha1 AAAA", ""])
def test_a_checksum_that_cannot_be_read_is_refused(http: httpx.Client, header: str) -> None:
    path = begin(http)
    assert patch(http, path, DATA, 0, **{"Upload-Checksum": header}).status_code == 422
    assert offset_of(http, path) == 0


def test_other_bytes_than_were_meant_are_refused_and_not_kept(service: Service) -> None:
    data = os.urandom(200_000)
    meant = base64.b64encode(DIGEST.encode()).decode()
    path = begin(service.http, **{"Upload-Length": str(len(data)), "Upload-Metadata": f"digest {meant}"})
    before = service.blobs()
    answer = patch(service.http, path, data, 0)
    assert (answer.status_code, answer.json()["code"]) == (400, "wrong_digest")
    assert service.blobs() == before
    assert service.http.head(path, headers=TUS).status_code == 404


def test_an_upload_that_is_ended_is_gone_with_its_bytes(service: Service) -> None:
    data, before = os.urandom(1000), service.blobs()
    path = begin(service.http)
    patch(service.http, path, data, 0)
    assert service.blobs() != before
    assert service.http.delete(path, headers=TUS).status_code == 204
    assert service.blobs() == before
    assert service.http.head(path, headers=TUS).status_code == 404


def test_methods_may_be_named_in_a_header(http: httpx.Client) -> None:
    path = begin(http)
    override = {**BYTES, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert http.post(path, content=DATA, headers=override).headers["upload-digest"] == DIGEST
    assert http.post(path, headers={**TUS, "X-HTTP-Method-Override": "DELETE"}).status_code == 204
    assert http.post(path, headers=TUS).status_code == 405


def test_whoever_overrides_a_method_says_the_offset_too(http: httpx.Client) -> None:
    path = begin(http)
    answers = [
        http.patch(path, content=DATA, headers=BYTES),
        http.post(path, content=DATA, headers={**BYTES, "X-HTTP-Method-Override": "PATCH"}),
    ]
    assert [(each.status_code, each.json()["errors"]) for each in answers] == [(422, answers[0].json()["errors"])] * 2
    assert answers[0].json()["detail"] == answers[1].json()["detail"]
    assert offset_of(http, path) == 0


@pytest.mark.parametrize("override", [{}, {"X-HTTP-Method-Override": "PUT"}])
def test_a_wrong_method_names_those_that_an_upload_takes(http: httpx.Client, override: dict[str, str]) -> None:
    answer = http.post(begin(http), headers={**TUS, **override})
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, PATCH, DELETE, OPTIONS")
    assert http.put("/uploads", headers=TUS).headers["allow"] == "POST, OPTIONS"


def test_an_upload_whose_first_bytes_are_wrong_goes_beside_all_other_requests(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    removed_in = []
    uploads = type(service.zoo.uploads)
    remove = uploads.remove

    def noting(self: UploadService, upload: str, *, owner: str) -> None:
        removed_in.append(threading.current_thread().name)
        remove(self, upload, owner=owner)

    monkeypatch.setattr(uploads, "remove", noting)
    headers = {**BYTES, "Upload-Length": "3", "Upload-Checksum": "sha1 " + base64.b64encode(b"x" * 20).decode()}
    assert service.http.post("/uploads", content=b"abc", headers=headers).status_code == 460
    assert [name.startswith("AnyIO worker thread") for name in removed_in] == [True]


def test_an_expired_upload_is_gone(tmp_path: Path) -> None:
    with serving(tmp_path, upload_expires_seconds=0.2) as running:
        path = begin(running.http)
        time.sleep(0.3)
        answer = patch(running.http, path, b"x", 0)
        assert (answer.status_code, answer.json()["code"]) == (410, "gone")
        assert running.http.head(path, headers=TUS).status_code == 410
        begin(running.http)
        assert running.http.head(path, headers=TUS).status_code == 404


@contextmanager
def slow_patch(http: httpx.Client, path: str, *, length: int) -> Iterator[socket.socket]:
    """A PATCH by hand, whose body comes as the test wants it."""
    head = {**BYTES, "Host": "127.0.0.1", "Upload-Offset": "0", "Content-Length": str(length)}
    lines = "\r\n".join(f"{name}: {value}" for name, value in head.items())
    with socket.create_connection((http.base_url.host, http.base_url.port)) as peer:
        peer.sendall(f"PATCH {path} HTTP/1.1\r\n{lines}\r\n\r\n".encode())
        yield peer


def wait_for_offset(http: httpx.Client, path: str, offset: int) -> None:
    deadline = time.monotonic() + 20
    while offset_of(http, path) != offset and time.monotonic() < deadline:
        time.sleep(0.02)
    assert offset_of(http, path) == offset


def test_a_connection_that_breaks_keeps_every_byte_that_came(http: httpx.Client) -> None:
    path = begin(http)
    with slow_patch(http, path, length=len(DATA)) as peer:
        peer.sendall(DATA[:123_456])
        wait_for_offset(http, path, PIECE_BYTES)
    wait_for_offset(http, path, 123_456)
    assert patch(http, path, DATA[123_456:], 123_456).headers["upload-digest"] == DIGEST


def test_a_second_request_is_refused_while_one_adds_bytes(http: httpx.Client) -> None:
    path = begin(http)
    with slow_patch(http, path, length=PIECE_BYTES + 10) as peer:
        peer.sendall(DATA[:PIECE_BYTES])
        wait_for_offset(http, path, PIECE_BYTES)
        answer = patch(http, path, DATA[PIECE_BYTES:], PIECE_BYTES)
        assert (answer.status_code, answer.json()["code"]) == (423, "upload_locked")
        peer.sendall(DATA[PIECE_BYTES : PIECE_BYTES + 10])
        assert b" 204 " in peer.recv(65536)
    assert offset_of(http, path) == PIECE_BYTES + 10


def test_a_silent_connection_is_ended_and_keeps_what_came(tmp_path: Path) -> None:
    with serving(tmp_path, upload_lease_seconds=0.5) as running:
        path = begin(running.http)
        with slow_patch(running.http, path, length=len(DATA)) as peer:
            peer.sendall(DATA[:1000])
            answer = peer.recv(65536)
        assert b" 408 " in answer
        assert offset_of(running.http, path) == 1000


def test_of_many_requests_at_one_place_one_wins(http: httpx.Client) -> None:
    path, statuses = begin(http), []
    threads = [
        threading.Thread(target=lambda: statuses.append(patch(http, path, DATA, 0).status_code)) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses.count(204) == 1
    assert set(statuses) <= {204, 409, 423}
    assert http.head(path, headers=TUS).headers["upload-digest"] == DIGEST


def test_what_was_uploaded_is_published_and_stays(service: Service) -> None:
    file = quadrant_module()
    path = begin(service.http, **{"Upload-Length": str(len(file))})
    digest = patch(service.http, path, file, 0).headers["upload-digest"]
    published = service.http.post("/modules/ada/uploaded/versions", json={"digest": digest})
    assert published.status_code == 201, published.text
    assert service.http.delete(path, headers=TUS).status_code == 204
    assert service.http.get("/modules/ada/uploaded/versions/1/file").content == file


def test_the_client_of_the_protocols_authors_resumes(service: Service) -> None:
    client = TusClient(str(service.http.base_url.join("/uploads")))
    with BytesIO(DATA) as file:
        first = client.uploader(file_stream=file, chunk_size=100_000, metadata={"name": "file"}, upload_checksum=True)
        first.upload_chunk()
    with BytesIO(DATA) as file:
        second = client.uploader(file_stream=file, url=first.url, chunk_size=70_000)
        assert second.offset == 100_000
        second.upload()
    assert service.http.get(f"/blobs/{DIGEST}").content == DATA


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_curl_resumes(service: Service, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(DATA)
    url = f"{str(service.http.base_url).rstrip('/')}{begin(service.http)}"
    curl = "curl --silent --show-error --noproxy '*' -H 'Tus-Resumable: 1.0.0'"
    send = f"{curl} -X PATCH -H 'Content-Type: application/offset+octet-stream' --data-binary @-"
    script = f"""
    set -eu
    head -c 70000 file | {send} -H 'Upload-Offset: 0' {url}
    offset=$({curl} --head {url} | tr -d '\\r' | sed -n 's/^upload-offset: //Ip')
    tail -c +$((offset + 1)) file | {send} -H "Upload-Offset: $offset" -i {url}
    """
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"upload-digest: {DIGEST}" in done.stdout.lower()
