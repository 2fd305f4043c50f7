"""A POST that is sent again under its idempotency key is answered as it was, and does nothing twice."""

import threading
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.api.serving import Service
from tests.api.test_modules import publish
from tests.numpy_worker import linear_module, output_module, quadrant_module, quadrant_zip


def dataset_of(http: httpx.Client) -> str:
    """A dataset that is there."""
    return str(http.post("/datasets", content=quadrant_zip()).json()["digest"])


def job_body(http: httpx.Client, seed: int = 1) -> dict[str, object]:
    """A training run."""
    return {"name": "ada/keyed", "recipe": {"task": {"dataset": dataset_of(http)}, "family": "mlp", "seed": seed}}


def keyed(key: str) -> dict[str, str]:
    return {"Idempotency-Key": key}


def jobs(http: httpx.Client) -> int:
    """How many training jobs there are."""
    return len(http.get("/jobs", params={"kind": "train", "limit": 200}).json()["items"])


def test_a_job_is_submitted_once_however_often_it_is_sent(http: httpx.Client) -> None:
    body, before = job_body(http), jobs(http)
    first = http.post("/jobs", json=body, headers=keyed('"once"'))
    http.delete(first.headers["location"])
    again = http.post("/jobs", json=body, headers=keyed('"once"'))
    assert (first.status_code, again.status_code) == (201, 201)
    assert (again.content, again.headers["location"]) == (first.content, first.headers["location"])
    assert jobs(http) == before + 1
    assert http.post("/jobs", json=body, headers=keyed("once")).content == first.content, "quotes may be left out"


def test_without_a_key_each_request_counts(http: httpx.Client) -> None:
    body, before = job_body(http), jobs(http)
    assert {http.post("/jobs", json=body).status_code for _ in range(2)} == {201}
    assert jobs(http) == before + 2


def test_a_key_is_for_one_request(http: httpx.Client) -> None:
    http.post("/jobs", json=job_body(http, seed=1), headers=keyed("mine"))
    other = http.post("/jobs", json=job_body(http, seed=2), headers=keyed("mine"))
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    assert other.json()["errors"][0]["pointer"] == "/header/Idempotency-Key"
    assert http.post("/tasks", json={}, headers=keyed("mine")).status_code == 422


def test_a_refusal_leaves_the_key_free(http: httpx.Client) -> None:
    wrong = {"name": "pipe", "modules": ["ada/nowhere@1"]}
    assert http.post("/pipelines", json=wrong, headers=keyed("again")).status_code == 422
    below = publish(http, "ada/below", quadrant_module()).json()
    publish(http, "ada/above", output_module(below["digest"]))
    right = {"name": "pipe", "modules": ["ada/below@1", "ada/above@1"]}
    made = http.post("/pipelines", json=right, headers=keyed("again"))
    again = http.post("/pipelines", json=right, headers=keyed("again"))
    assert (made.status_code, again.status_code, again.content) == (201, 201, made.content)
    assert http.post("/pipelines", json=right).status_code == 200


def test_a_task_is_answered_as_it_was(http: httpx.Client) -> None:
    body = {"dataset": dataset_of(http), "classes": {"x": ["a", "b"], "y": ["c"]}}
    answers = [http.post("/tasks", json=body, headers=keyed("task")) for _ in range(2)]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].content == answers[1].content


def test_many_at_once_with_one_key_do_it_once(service: Service) -> None:
    body, before, start = job_body(service.http), jobs(service.http), threading.Barrier(8)

    def send(_: int) -> bytes:
        start.wait()
        return service.http.post("/jobs", json=body, headers=keyed("race")).content

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(send, range(8)))) == 1
    assert jobs(service.http) == before + 1


@pytest.mark.parametrize("key", ["", "two words", "x" * 256, "ü"])
def test_a_key_that_is_none_is_refused(http: httpx.Client, key: str) -> None:
    answer = http.post("/jobs", json=job_body(http), headers=[(b"Idempotency-Key", key.encode())])
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/header/Idempotency-Key")


def test_what_a_key_kept_of_a_dataset_goes_with_it(fresh: Service) -> None:
    body = job_body(fresh.http)
    fresh.http.post("/jobs", json=body, headers=keyed("gone"))
    fresh.http.delete(f"/datasets/{body['recipe']['task']['dataset']}")
    again = fresh.http.post("/jobs", json=body, headers=keyed("gone"))
    assert (again.status_code, again.json()["code"]) == (404, "not_found")


def test_publishing_needs_no_key_and_does_not_mind_one(http: httpx.Client) -> None:
    answers = [
        http.post("/modules/ada/free/versions", content=linear_module(3), headers=keyed("free")) for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [201, 200]
