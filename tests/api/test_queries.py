"""Queries over HTTP: state, events, cancelling."""

import json
import threading

import httpx
import pytest

from tests.api.serving import Service
from tests.api.test_modules import publish
from tests.api.worker import claim, do
from tests.numpy_worker import quadrant_module, quadrant_zip

Event = tuple[str, dict[str, object]]


@pytest.fixture(scope="module")
def dataset(service: Service) -> str:
    publish(service.http, "ada/seeing", quadrant_module())
    return str(service.http.post("/datasets", content=quadrant_zip()).json()["digest"])


@pytest.fixture
def query(service: Service, dataset: str, request: pytest.FixtureRequest) -> str:
    body = {"task": dataset, "seed": abs(hash(request.node.name)) % 10**6}
    return str(service.http.post("/transferability", json=body, headers={"Prefer": "wait=0"}).json()["id"])


def events(http: httpx.Client, path: str) -> list[Event]:
    """Every event of a stream, until it ends."""
    with http.stream("GET", path) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        blocks = answer.read().decode().split("\n\n")
    found = []
    for block in blocks:
        fields = dict(line.split(": ", 1) for line in block.split("\n") if ": " in line)
        if "event" in fields:
            found.append((fields["event"], json.loads(fields["data"])))
    return found


def test_events_tell_of_progress_and_end_with_the_answer(service: Service, query: str) -> None:
    def work() -> None:
        job = claim(service.http, "score", wait_seconds=5)
        assert job is not None
        beat = {"attempt": job.attempt, "progress": {"stage": "scoring", "done": 1, "total": 2}}
        service.http.put(f"/jobs/{job.id}/heartbeat", json=beat).raise_for_status()
        do(service, job)

    timer = threading.Timer(0.4, work)
    timer.start()
    seen = events(service.http, f"/queries/{query}/events")
    timer.join()
    assert [name for name, _ in seen[:-1]] == ["progress"] * (len(seen) - 1)
    assert len(seen) >= 2
    name, last = seen[-1]
    assert (name, last["status"]) == ("done", "done")
    assert last == service.http.get(f"/queries/{query}").json()
    assert events(service.http, f"/queries/{query}/events") == [("done", last)]


def test_a_query_is_cancelled_with_its_jobs(service: Service, query: str) -> None:
    assert service.http.delete(f"/queries/{query}").json()["status"] == "cancelled"
    assert service.http.delete(f"/queries/{query}").json()["status"] == "cancelled"
    assert claim(service.http, "score") is None
    assert [name for name, _ in events(service.http, f"/queries/{query}/events")] == ["cancelled"]


def test_there_is_nothing_to_draw_before_the_answer(service: Service, query: str) -> None:
    answer = service.http.get(f"/queries/{query}", headers={"Accept": "image/png"})
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    service.http.delete(f"/queries/{query}")


def test_events_end_when_their_dataset_is_removed(fresh: Service) -> None:
    publish(fresh.http, "ada/seeing", quadrant_module())
    dataset = fresh.http.post("/datasets", content=quadrant_zip(5)).json()["digest"]
    asked = fresh.http.post("/transferability", json={"task": dataset}, headers={"Prefer": "respond-async"})
    path = asked.headers["location"]
    timer = threading.Timer(0.3, lambda: fresh.http.delete(f"/datasets/{dataset}"))
    timer.start()
    assert [name for name, _ in events(fresh.http, f"{path}/events")] == ["progress"]
    timer.join()
    assert fresh.http.get(path).status_code == 404


def test_head_of_events_does_not_wait(service: Service, query: str) -> None:
    answer = service.http.head(f"/queries/{query}/events")
    assert (answer.status_code, answer.content) == (200, b"")
    service.http.delete(f"/queries/{query}")
