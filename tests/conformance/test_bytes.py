"""Section 2: bytes by range, conditional requests, digests; blobs are idempotent by construction."""

import base64
import hashlib

import httpx
import pytest

from tests.conformance.asking import SEEDS, new_input, problem
from tests.conformance.files import digest_of


@pytest.fixture(scope="module")
def module(http: httpx.Client, namespace: str) -> tuple[str, bytes]:
    """The path of a module's file, and its bytes."""
    made, data = new_input(http, f"{namespace}/bytes")
    return f"/modules/{namespace}/bytes/versions/{made['version']}/file", data


@pytest.fixture(scope="module")
def blob(http: httpx.Client) -> tuple[str, bytes]:
    """The path of a blob, and its bytes."""
    data = f"bytes of the conformance suite, number {next(SEEDS)}".encode()
    path = f"/blobs/{digest_of(data)}"
    assert http.put(path, content=data).status_code in (200, 201)
    return path, data


@pytest.fixture(params=["module", "blob"])
def served(request: pytest.FixtureRequest) -> tuple[str, bytes]:
    return request.getfixturevalue(request.param)


def test_the_whole_comes_with_its_digest_and_may_be_kept_for_ever(
    http: httpx.Client, served: tuple[str, bytes]
) -> None:
    path, data = served
    answer = http.get(path)
    assert (answer.status_code, answer.content) == (200, data)
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(hashlib.sha256(data).digest()).decode()}:"
    assert answer.headers["etag"].startswith('"')
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["accept-ranges"] == "bytes"


def test_head_says_the_same_without_the_bytes(http: httpx.Client, served: tuple[str, bytes]) -> None:
    path, data = served
    answer = http.head(path)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["content-length"] == str(len(data))
    assert answer.headers["etag"] == http.get(path).headers["etag"]


def test_who_has_them_already_gets_no_bytes(http: httpx.Client, served: tuple[str, bytes]) -> None:
    path, _ = served
    tag = http.get(path).headers["etag"]
    for given in (tag, "*", f'"other", {tag}', f"W/{tag}"):
        answer = http.get(path, headers={"If-None-Match": given})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    assert http.get(path, headers={"If-None-Match": '"other"'}).status_code == 200


@pytest.mark.parametrize(
    ("asked", "place"),
    [("bytes=0-0", (0, 1)), ("bytes=3-7", (3, 8)), ("bytes=5-", (5, None)), ("bytes=-4", (-4, None))],
)
def test_one_range_is_served(
    http: httpx.Client, served: tuple[str, bytes], asked: str, place: tuple[int, int | None]
) -> None:
    path, data = served
    answer = http.get(path, headers={"Range": asked})
    wanted = data[slice(*place)]
    assert (answer.status_code, answer.content) == (206, wanted)
    start = data.index(wanted) if place[0] < 0 else place[0]
    assert answer.headers["content-range"] == f"bytes {start}-{start + len(wanted) - 1}/{len(data)}"
    assert answer.headers["content-length"] == str(len(wanted))
    assert "repr-digest" in answer.headers


def test_a_range_that_ends_beyond_the_end_ends_there(http: httpx.Client, served: tuple[str, bytes]) -> None:
    path, data = served
    answer = http.get(path, headers={"Range": "bytes=2-999999999999"})
    assert (answer.status_code, answer.content) == (206, data[2:])


def test_a_range_that_begins_beyond_the_end_is_refused(http: httpx.Client, served: tuple[str, bytes]) -> None:
    path, data = served
    answer = http.get(path, headers={"Range": f"bytes={len(data)}-"})
    problem(answer, 416, "range_not_satisfiable")
    assert answer.headers["content-range"] == f"bytes */{len(data)}"


@pytest.mark.parametrize("asked", ["bytes=0-1,3-4", "bytes=7-3", "bytes=x-y", "lines=1-2"])
def test_several_ranges_and_what_is_none_get_the_whole(
    http: httpx.Client, served: tuple[str, bytes], asked: str
) -> None:
    path, data = served
    answer = http.get(path, headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, data)


def test_a_range_of_another_version_gets_the_whole(http: httpx.Client, served: tuple[str, bytes]) -> None:
    path, data = served
    tag = http.get(path).headers["etag"]
    same = http.get(path, headers={"Range": "bytes=0-2", "If-Range": tag})
    other = http.get(path, headers={"Range": "bytes=0-2", "If-Range": '"other"'})
    assert (same.status_code, same.content) == (206, data[:3])
    assert (other.status_code, other.content) == (200, data)


def test_putting_the_same_bytes_again_changes_nothing(http: httpx.Client) -> None:
    data = f"put twice, number {next(SEEDS)}, in namespace {id(http)}".encode()
    path = f"/blobs/{digest_of(data)}"
    first, second = (http.put(path, content=data) for _ in range(2))
    assert second.status_code == 200
    assert first.json() == second.json() == {"digest": digest_of(data), "size_bytes": len(data)}


def test_wrong_bytes_leave_nothing(http: httpx.Client) -> None:
    digest = digest_of(f"never sent {next(SEEDS)}".encode())
    problem(http.put(f"/blobs/{digest}", content=b"something else"), 400, "wrong_digest")
    problem(http.get(f"/blobs/{digest}"), 404, "not_found")
    assert http.head(f"/blobs/{digest}").status_code == 404


def test_a_body_without_a_length_is_taken_too(http: httpx.Client) -> None:
    pieces = [f"piece {next(SEEDS)}".encode(), b"and another"]
    answer = http.put(f"/blobs/{digest_of(b''.join(pieces))}", content=iter(pieces))
    assert answer.status_code in (200, 201)
