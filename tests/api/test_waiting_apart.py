"""Requests that wait do not stand in each other's way: full rooms, greedy callers, answers that are judged still."""

import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest

from registry.queries import QueryService
from tests.api.serving import Service, serving
from tests.api.test_modules import publish
from tests.api.test_pipelines import IMAGE
from tests.api.worker import claim, working
from tests.numpy_worker import linear_module, output_module, quadrant_zip

TOKEN = "the-operator-of-this-test"


@pytest.fixture
def crowded(fresh: Service) -> Service:
    """A service with a module and a pipeline, where there is no seat for whoever asks."""
    below = publish(fresh.http, "ada/eyes", linear_module(1)).json()["digest"]
    publish(fresh.http, "ada/mouth", output_module(below))
    body = {"name": "digits", "modules": ["ada/eyes@1", "ada/mouth@1"]}
    fresh.http.post("/pipelines", json=body).raise_for_status()
    while (job := claim(fresh.http, "verify")) is not None:
        fresh.http.post(f"/jobs/{job.id}/finish", json=verdict(job.attempt, job.work.module)).raise_for_status()
    fresh.app.state.services.rooms.news._limit = 0
    return fresh


def verdict(attempt: int, module: str) -> dict[str, object]:
    return {"attempt": attempt, "result": {"kind": "verify", "verdict": {"module": module}}}


def ask(service: Service, **headers: str) -> httpx.Response:
    files = {"data": ("data.zip", quadrant_zip())}
    return service.http.post("/transferability", files=files, headers=headers)


def test_a_question_without_a_seat_is_told_where_its_answer_will_be(crowded: Service) -> None:
    asked = ask(crowded)
    assert asked.status_code == 202
    with working(crowded):
        crowded.app.state.services.rooms.news._limit = 10
        assert ask(crowded).status_code == 200
    assert crowded.http.get(asked.headers["location"]).json()["status"] == "done"


def test_a_prediction_without_a_seat_is_told_where_it_will_be(crowded: Service) -> None:
    asked = crowded.http.post("/pipelines/digits/predict", content=IMAGE)
    assert (asked.status_code, asked.headers["location"]) == (202, f"/jobs/{asked.json()['id']}")
    assert len(crowded.http.get("/jobs", params={"kind": "predict"}).json()["items"]) == 1


def test_workers_wait_for_jobs_where_nobody_else_does(crowded: Service) -> None:
    assert claim(crowded.http, "train", wait_seconds=0.1) is None
    refused = crowded.http.get("/changes", params={"since": 10_000}, headers={"Prefer": "wait=1"})
    assert refused.status_code == 503


def test_followers_without_a_token_leave_seats_for_others(tmp_path: Path) -> None:
    with serving(tmp_path, token=TOKEN) as service:
        service.app.state.services.rooms.news._share = 2
        with following(service, 2):
            refused = service.http.get("/changes/events")
            assert (refused.status_code, refused.json()["code"]) == (503, "busy")
            headers = {"Authorization": f"Bearer {TOKEN}"}
            with service.http.stream("GET", "/changes/events", headers=headers) as allowed:
                assert allowed.status_code == 200


@contextmanager
def following(service: Service, count: int) -> Iterator[None]:
    with ExitStack() as stack:
        for _ in range(count):
            answer = stack.enter_context(service.http.stream("GET", "/changes/events"))
            assert answer.status_code == 200
        yield


def test_workers_and_followers_go_on_while_answers_are_judged(
    crowded: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    crowded.app.state.services.rooms.news._limit = 100
    judged, settled = threading.Event(), QueryService._settled

    def slowly(*arguments: object) -> object:
        judged.wait(20)
        return settled(*arguments)

    monkeypatch.setattr(QueryService, "_settled", slowly)
    asking = [threading.Thread(target=ask, args=(crowded,), kwargs={"Prefer": "wait=20"}) for _ in range(8)]
    with working(crowded), httpx.Client(base_url=crowded.http.base_url, timeout=2.0) as other:
        for each in asking:
            each.start()
        try:
            wait_for_judging(crowded)
            for _ in range(3):
                assert other.get("/changes", headers={"Prefer": "wait=5"}).json()["items"]
                assert claim(other, "train") is None
        finally:
            judged.set()
            for each in asking:
                each.join()


def wait_for_judging(service: Service) -> None:
    """Until no job is left to do."""
    for _ in range(200):
        jobs = service.http.get("/jobs", params={"kind": "score"}).json()["items"]
        if jobs and all(job["status"] == "done" for job in jobs):
            return
        threading.Event().wait(0.05)
    raise AssertionError("the jobs were not done")
