"""Sections 2 and 5: work is queued, claimed under a lease, and ended by the one attempt that holds it."""

import json

import httpx
import pytest

from tests.conformance.asking import SEEDS, claim, new_dataset, new_input, problem
from tests.conformance.conftest import Leavings
from tests.conformance.files import recipe


def submit(http: httpx.Client, namespace: str, leavings: Leavings) -> dict[str, object]:
    """A new training job."""
    body = {"name": f"{namespace}/trained-{next(SEEDS)}", "recipe": recipe(new_dataset(http, leavings))}
    answer = http.post("/jobs", json=body)
    assert answer.status_code == 201, answer.text
    leavings.paths.append(answer.headers["location"])
    return answer.json()


@pytest.fixture
def held(http: httpx.Client, namespace: str, leavings: Leavings) -> dict[str, object]:
    """A job that this test holds as a worker."""
    job = claim(http, "train", submit(http, namespace, leavings)["id"])
    if job is None:
        pytest.skip("a worker of this deployment was faster")
    return job


def call(http: httpx.Client, job: dict[str, object], word: str, attempt: object, **more: object) -> httpx.Response:
    method = "PUT" if word == "heartbeat" else "POST"
    return http.request(method, f"/jobs/{job['id']}/{word}", json={"attempt": attempt, **more})


def test_a_job_is_queued_listed_and_cancelled(http: httpx.Client, namespace: str, leavings: Leavings) -> None:
    job = submit(http, namespace, leavings)
    shown = http.get(f"/jobs/{job['id']}").json()
    assert shown["status"] in ("queued", "running")
    assert shown["work"]["kind"] == "train"
    listed = http.get("/jobs", params={"kind": "train", "limit": 200}).json()["items"]
    assert job["id"] in {each["id"] for each in listed}
    assert http.delete(f"/jobs/{job['id']}").json()["status"] == "cancelled"
    assert http.delete(f"/jobs/{job['id']}").json()["status"] == "cancelled"


def test_a_job_is_followed_by_events(http: httpx.Client, namespace: str, leavings: Leavings) -> None:
    job = submit(http, namespace, leavings)
    http.delete(f"/jobs/{job['id']}")
    answer = http.get(f"/jobs/{job['id']}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert "event: cancelled" in answer.text
    last = [line for line in answer.text.splitlines() if line.startswith("data: ")][-1]
    assert json.loads(last.removeprefix("data: "))["id"] == job["id"]


def test_a_claim_gives_a_lease_and_a_heartbeat_renews_it(http: httpx.Client, held: dict[str, object]) -> None:
    assert (held["status"], held["attempt"], held["worker"]) == ("running", 1, "conformance")
    answer = call(http, held, "heartbeat", 1, progress={"epoch": 2, "objective": 0.5})
    assert answer.status_code == 200
    assert answer.json()["lease_expires_at"] >= held["lease_expires_at"]
    assert http.get(f"/jobs/{held['id']}").json()["progress"]["epoch"] == 2


def test_there_may_be_no_work(http: httpx.Client, held: dict[str, object]) -> None:
    body = {"worker": "conformance", "kinds": ["train"], "wait_seconds": 0}
    answer = http.post("/jobs/claim", json=body)
    if answer.status_code == 200:
        http.post(f"/jobs/{answer.json()['id']}/release", json={"attempt": answer.json()["attempt"]})
        assert answer.json()["id"] != held["id"]
    else:
        assert (answer.status_code, answer.content) == (204, b"")


WORDS: dict[str, dict[str, object]] = {
    "heartbeat": {},
    "finish": {"result": {"kind": "predict", "predictions": [], "milliseconds": 1}},
    "fail": {"error": "why not"},
    "release": {},
}


@pytest.mark.parametrize("word", WORDS)
def test_another_attempt_can_do_nothing(http: httpx.Client, held: dict[str, object], word: str) -> None:
    problem(call(http, held, word, 2, **WORDS[word]), 409, "lease_lost")
    assert http.get(f"/jobs/{held['id']}").json()["status"] == "running"


def test_a_job_given_back_is_claimed_under_another_attempt(http: httpx.Client, held: dict[str, object]) -> None:
    assert call(http, held, "release", 1).json()["status"] == "queued"
    again = claim(http, "train", held["id"])
    if again is None:
        pytest.skip("a worker of this deployment was faster")
    assert again["attempt"] == 2
    problem(call(http, held, "heartbeat", 1), 409, "lease_lost")


def test_a_job_that_failed_says_why_and_has_ended(http: httpx.Client, held: dict[str, object]) -> None:
    failed = call(http, held, "fail", 1, error="the disk is on fire").json()
    assert (failed["status"], failed["error"]) == ("failed", "the disk is on fire")
    problem(call(http, held, "heartbeat", 1), 409, "lease_lost")


def test_the_worker_of_a_cancelled_job_learns_of_it(http: httpx.Client, held: dict[str, object]) -> None:
    http.delete(f"/jobs/{held['id']}").raise_for_status()
    problem(call(http, held, "heartbeat", 1), 409, "lease_lost")


def test_a_result_of_another_kind_is_refused(http: httpx.Client, held: dict[str, object]) -> None:
    problem(call(http, held, "finish", 1, **WORDS["finish"]), 422, "invalid_input")
    assert http.get(f"/jobs/{held['id']}").json()["status"] == "running"


def test_a_job_is_finished_once_with_what_it_brought(http: httpx.Client, namespace: str) -> None:
    made, _ = new_input(http, f"{namespace}/verified")
    jobs = http.get("/jobs", params={"kind": "verify", "limit": 200}).json()["items"]
    ours = next(each for each in jobs if each["work"]["module"] == made["digest"])
    job = claim(http, "verify", ours["id"])
    if job is None:
        pytest.skip("a worker of this deployment was faster")
    result = {"kind": "verify", "verdict": {"module": made["digest"]}}
    done = call(http, job, "finish", job["attempt"], result=result)
    assert (done.status_code, done.json()["status"]) == (200, "done")
    shown = http.get(f"/modules/{namespace}/verified/versions/1").json()
    assert shown["verification"]["state"] == "verified"
    problem(call(http, job, "finish", job["attempt"], result=result), 409, "lease_lost")


def test_a_recipe_that_cannot_be_trained_is_refused(http: httpx.Client, namespace: str, leavings: Leavings) -> None:
    asked = {**recipe(new_dataset(http, leavings)), "examples": 10**6, "batch_size": 1}
    problem(http.post("/jobs", json={"name": f"{namespace}/x", "recipe": asked}), 422, "invalid_input")
