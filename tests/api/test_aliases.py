"""Aliases over HTTP: compare-and-swap, so that nobody moves one unseen."""

import httpx
import pytest

from tests.api.test_modules import publish
from tests.numpy_worker import linear_module

NEW = {"If-None-Match": "*"}


@pytest.fixture(scope="module", autouse=True)
def versions(service: object) -> None:
    for seed in (1, 2):
        publish(service.http, "ada/digits", linear_module(seed))


def move(http: httpx.Client, alias: str, version: int, **headers: str) -> httpx.Response:
    """Point an alias at a version."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.put(f"/modules/ada/digits/aliases/{alias}", json={"version": version}, headers=named)


def test_an_alias_is_made_once_and_moved_by_who_saw_it(http: httpx.Client) -> None:
    made = move(http, "stable", 1, If_None_Match="*")
    assert (made.status_code, made.headers["etag"], made.json()["revision"]) == (201, '"1"', 1)
    assert move(http, "stable", 2, If_None_Match="*").status_code == 412
    moved = move(http, "stable", 2, If_Match='"1"')
    assert (moved.status_code, moved.headers["etag"], moved.json()["version"]) == (200, '"2"', 2)
    late = move(http, "stable", 1, If_Match='"1"')
    assert (late.status_code, late.json()["code"]) == (412, "precondition_failed")
    assert http.get("/modules/ada/digits/versions/stable").json()["version"] == 2
    history = http.get("/modules/ada/digits/aliases/stable/history").json()["items"]
    assert [(each["revision"], each["version"]) for each in history] == [(1, 1), (2, 2)]


def test_an_alias_is_not_moved_without_a_condition(http: httpx.Client) -> None:
    answer = move(http, "blind", 1)
    assert (answer.status_code, answer.json()["code"]) == (428, "precondition_required")
    assert move(http, "blind", 1, If_None_Match='"1"').status_code == 428


@pytest.mark.parametrize("condition", ['"7"', 'W/"1"', "nonsense", "*", '"x"', '""'])
def test_an_alias_that_is_not_there_matches_nothing(http: httpx.Client, condition: str) -> None:
    assert move(http, "absent", 1, If_Match=condition).status_code == 412
    assert http.get("/modules/ada/digits/aliases/absent").status_code == 404
    assert http.get("/modules/ada/digits/aliases/absent/history").status_code == 404


def test_any_of_several_revisions_may_match(http: httpx.Client) -> None:
    move(http, "several", 1, If_None_Match="*")
    assert move(http, "several", 2, If_Match='"9", "1"').status_code == 200
    assert move(http, "several", 1, If_Match="*").json()["revision"] == 3


def test_an_alias_has_its_revision_as_its_tag(http: httpx.Client) -> None:
    move(http, "seen", 1, If_None_Match="*")
    path = "/modules/ada/digits/aliases/seen"
    assert http.get(path).headers["etag"] == '"1"'
    assert http.get(path, headers={"If-None-Match": 'W/"1"'}).status_code == 304


def test_a_file_behind_an_alias_is_revalidated(http: httpx.Client) -> None:
    move(http, "file", 1, If_None_Match="*")
    answer = http.get("/modules/ada/digits/versions/file/file")
    assert answer.headers["cache-control"] == "no-cache"
    held = {"If-None-Match": answer.headers["etag"]}
    assert http.get("/modules/ada/digits/versions/file/file", headers=held).status_code == 304


@pytest.mark.parametrize(("alias", "status"), [("latest", 422), ("3", 422), ("Upper", 422), ("a:b", 422)])
def test_what_reads_as_something_else_cannot_be_an_alias(http: httpx.Client, alias: str, status: int) -> None:
    assert move(http, alias, 1, If_None_Match="*").status_code == status


def test_an_alias_points_at_versions_that_are_there(http: httpx.Client) -> None:
    assert move(http, "beyond", 99, If_None_Match="*").status_code == 404
    assert move(http, "beyond", 0, If_None_Match="*").status_code == 422


def remove(http: httpx.Client, alias: str, **headers: str) -> httpx.Response:
    """Take an alias away."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return http.delete(f"/modules/ada/digits/aliases/{alias}", headers=named)


def test_an_alias_is_removed_by_who_saw_it(http: httpx.Client) -> None:
    assert remove(http, "gone", If_Match='"1"').status_code == 404
    move(http, "gone", 1, If_None_Match="*")
    assert remove(http, "gone").status_code == 428
    assert remove(http, "gone", If_Match='"2"').status_code == 412
    assert remove(http, "gone", If_Match='"1"').status_code == 204
    assert http.get("/modules/ada/digits/aliases/gone").status_code == 404
    assert http.get("/modules/ada/digits/versions/gone").status_code == 404
    again = move(http, "gone", 2, If_None_Match="*")
    assert (again.status_code, again.json()["revision"]) == (201, 3)
    assert move(http, "gone", 1, If_Match='"1"').status_code == 412
    history = http.get("/modules/ada/digits/aliases/gone/history").json()["items"]
    assert [each["version"] for each in history] == [1, None, 2]


def test_what_an_alias_was_at_a_moment_is_told(http: httpx.Client) -> None:
    move(http, "dated", 1, If_None_Match="*")
    made = move(http, "dated", 2, If_Match='"1"')
    path = "/modules/ada/digits/aliases/dated/history"
    first, second = http.get(path).json()["items"]
    for moment, expected in (
        (first["moved_at"], first),
        (second["moved_at"], second),
        ("2999-01-01T00:00:00Z", second),
    ):
        assert http.get(path, params={"at": moment}).json() == {"items": [expected], "next_cursor": None}
    assert second["digest"] == made.json()["digest"]
    early = http.get(path, params={"at": "2020-01-01T00:00:00Z"})
    assert (early.status_code, "it was set first at" in early.json()["detail"]) == (404, True)
    for wrong in ("yesterday", "2026-11-01T00:00:00", "2026-11-01"):
        assert http.get(path, params={"at": wrong}).status_code == 422
