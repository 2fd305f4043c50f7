"""Section 2: questions that take longer than the caller waits lead to a query that can be followed and stopped."""

import json

import httpx
import pytest

from tests.conformance.asking import SEEDS, new_input, new_task, problem, reference
from tests.conformance.conftest import Leavings
from tests.conformance.files import digest_of, zip_dataset

NOW = {"Prefer": "wait=0"}
STATES = ("running", "done", "failed", "cancelled")


@pytest.fixture(scope="module")
def module(http: httpx.Client, namespace: str) -> str:
    return reference(new_input(http, f"{namespace}/asked")[0])


def check_under_way(http: httpx.Client, answer: httpx.Response) -> str:
    """The place of a query that has begun."""
    assert answer.status_code == 202, answer.text
    assert answer.headers["retry-after"].isdecimal()
    assert answer.headers["preference-applied"] == "wait=0"
    place = answer.headers["location"]
    state = http.get(place).json()
    assert place == f"/queries/{state['id']}"
    assert state["status"] in STATES
    assert {"stage", "done", "total"} <= set(state["progress"])
    return place


def test_a_ranking_leads_to_a_query_which_can_be_stopped(http: httpx.Client, module: str, leavings: Leavings) -> None:
    body = {"task": new_task(http, leavings)["id"], "candidates": [module], "seed": 3}
    place = check_under_way(http, http.post("/transferability", json=body, headers=NOW))
    assert http.delete(place).json()["status"] in ("cancelled", "done", "failed")
    assert http.delete(place).json()["status"] == http.get(place).json()["status"] != "running"


def test_a_ranking_takes_the_data_itself_in_a_form(http: httpx.Client, module: str, leavings: Leavings) -> None:
    data = zip_dataset(next(SEEDS))
    options = json.dumps({"candidates": [module], "classes": {"a": ["cat"], "b": ["dog"]}})
    answer = http.post("/transferability", files={"data": data}, data={"options": options}, headers=NOW)
    leavings.paths.append(f"/datasets/{digest_of(data)}")
    http.delete(check_under_way(http, answer))
    assert http.get(f"/datasets/{digest_of(data)}").status_code == 200


def test_one_score_leads_to_a_query_too(http: httpx.Client, module: str, leavings: Leavings) -> None:
    body = {"module": module, "task": new_task(http, leavings)["id"]}
    http.delete(check_under_way(http, http.post("/reusability", json=body, headers=NOW)))


def test_a_map_leads_to_a_query_too(http: httpx.Client, module: str, leavings: Leavings) -> None:
    tasks = [new_task(http, leavings)["id"] for _ in range(2)]
    answer = http.get("/transferability/map", params={"task": tasks, "source": [module]}, headers=NOW)
    http.delete(check_under_way(http, answer))


def test_a_query_is_followed_by_events(http: httpx.Client, module: str, leavings: Leavings) -> None:
    body = {"task": new_task(http, leavings)["id"], "candidates": [module], "seed": 4}
    place = check_under_way(http, http.post("/transferability", json=body, headers=NOW))
    with http.stream("GET", f"{place}/events") as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = stream.iter_lines()
        first = next(line for line in lines if line.startswith("event: "))
        content = json.loads(next(line for line in lines if line.startswith("data: ")).removeprefix("data: "))
    assert first.removeprefix("event: ") in ("progress", "done", "failed", "cancelled")
    assert content["id"] == place.removeprefix("/queries/")
    http.delete(place)


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"task": "nothing"}, 404, "not_found"),
        ({"candidates": ["no name"]}, 422, "invalid_input"),
        ({"rank_by": "nonsense"}, 422, "invalid_input"),
        ({"seed": -1}, 422, "invalid_input"),
        ({"nonsense": 1}, 422, "invalid_input"),
    ],
)
def test_a_wrong_question_is_refused(
    http: httpx.Client, leavings: Leavings, change: dict[str, object], status: int, code: str
) -> None:
    body = {"task": new_task(http, leavings)["id"], **change}
    problem(http.post("/transferability", json=body, headers=NOW), status, code)


def test_outcomes_of_a_query_that_is_not_done_are_refused(http: httpx.Client, module: str, leavings: Leavings) -> None:
    body = {"task": new_task(http, leavings)["id"], "candidates": [module], "seed": 5}
    place = check_under_way(http, http.post("/transferability", json=body, headers=NOW))
    http.delete(place)
    told = {"outcomes": [{"module": module, "value": 0.5}]}
    if http.get(place).json()["status"] != "done":
        problem(http.post(f"{place}/outcomes", json=told), 409, "conflict")
    assert http.get(f"{place}/outcomes").json()["items"] == []


def test_calibration_is_told(http: httpx.Client) -> None:
    assert "groups" in http.get("/calibration").json()
