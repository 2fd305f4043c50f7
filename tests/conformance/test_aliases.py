"""Section 2: aliases move by compare-and-swap, and remember where they were."""

import httpx
import pytest

from tests.conformance.asking import SEEDS, new_input, problem


@pytest.fixture
def aliases(http: httpx.Client, namespace: str) -> str:
    """The path of a new module's aliases; it has two versions."""
    name = f"aliased-{next(SEEDS)}"
    for _ in range(2):
        new_input(http, f"{namespace}/{name}")
    return f"/modules/{namespace}/{name}/aliases"


def put(http: httpx.Client, path: str, version: int, **headers: str) -> httpx.Response:
    return http.put(path, json={"version": version}, headers={k.replace("_", "-"): v for k, v in headers.items()})


def test_an_alias_is_made_moved_and_remembered(http: httpx.Client, aliases: str) -> None:
    path = f"{aliases}/production"
    made = put(http, path, 1, If_None_Match="*")
    assert (made.status_code, made.json()["version"]) == (201, 1)
    moved = put(http, path, 2, If_Match=made.headers["etag"])
    assert (moved.status_code, moved.json()["version"]) == (200, 2)
    assert moved.headers["etag"] != made.headers["etag"]
    shown = http.get(path)
    assert (shown.json()["version"], shown.headers["etag"]) == (2, moved.headers["etag"])
    history = http.get(f"{path}/history").json()["items"]
    assert [each["version"] for each in history] == [1, 2]
    assert all(each["moved_at"] for each in history)


def test_who_is_late_moves_nothing(http: httpx.Client, aliases: str) -> None:
    path = f"{aliases}/production"
    tag = put(http, path, 1, If_None_Match="*").headers["etag"]
    put(http, path, 2, If_Match=tag).raise_for_status()
    problem(put(http, path, 1, If_Match=tag), 412, "precondition_failed")
    problem(put(http, path, 1, If_None_Match="*"), 412, "precondition_failed")
    assert http.get(path).json()["version"] == 2


def test_a_condition_is_needed(http: httpx.Client, aliases: str) -> None:
    problem(put(http, f"{aliases}/production", 1), 428, "precondition_required")
    problem(http.get(f"{aliases}/production"), 404, "not_found")


def test_an_alias_of_no_version_is_refused(http: httpx.Client, aliases: str) -> None:
    problem(put(http, f"{aliases}/production", 99, If_None_Match="*"), 404, "not_found")


@pytest.mark.parametrize("alias", ["7", "latest", "Upper"])
def test_an_alias_cannot_be_taken_for_something_else(http: httpx.Client, aliases: str, alias: str) -> None:
    problem(put(http, f"{aliases}/{alias}", 1, If_None_Match="*"), 422, "invalid_name")
