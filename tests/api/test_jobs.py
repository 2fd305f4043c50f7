"""Jobs over HTTP: submitted, claimed once, fenced by their attempt, followed, cancelled."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from registry.records import Job
from tests.api.serving import Service, serving
from tests.api.test_queries import events
from tests.api.worker import claim
from tests.builders import digest_of
from tests.numpy_worker import linear_module, quadrant_zip


@pytest.fixture(scope="module")
def dataset(service: Service) -> str:
    return str(service.http.post("/datasets", content=quadrant_zip()).json()["digest"])


@pytest.fixture
def job(http: httpx.Client, dataset: str) -> Iterator[int]:
    number = submit(http, dataset).json()["id"]
    yield number
    http.delete(f"/jobs/{number}")


def submit(http: httpx.Client, dataset: str, **recipe: object) -> httpx.Response:
    """Ask for a training run."""
    body = {"name": "ada/digits", "recipe": {"task": {"dataset": dataset}, "family": "mlp", **recipe}}
    return http.post("/jobs", json=body)


def claimed(http: httpx.Client) -> Job:
    """Claim a training job that is there."""
    found = claim(http, "train")
    assert found is not None
    return found


def test_a_job_is_submitted_and_listed(http: httpx.Client, dataset: str) -> None:
    made = submit(http, dataset)
    assert (made.status_code, made.headers["location"]) == (201, f"/jobs/{made.json()['id']}")
    assert made.json()["status"] == "queued"
    assert http.get(made.headers["location"]).json() == made.json()
    listed = http.get("/jobs", params={"kind": "train", "status": "queued"}).json()["items"]
    assert made.json() in listed
    assert http.get("/jobs", params={"kind": "predict"}).json()["items"] == []
    http.delete(made.headers["location"])


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"task": {"dataset": digest_of("none")}}, "not_found"),
        ({"task": {"dataset": digest_of("none")}, "epochs": 0}, "invalid_input"),
        ({"famly": "mlp"}, "invalid_input"),
        ({"seed": True, "epochs": "many"}, "invalid_input"),
    ],
)
def test_a_wrong_recipe_is_refused(http: httpx.Client, dataset: str, change: dict[str, object], code: str) -> None:
    assert submit(http, dataset, **change).json()["code"] == code


def test_a_job_is_given_to_one_worker(http: httpx.Client, job: int) -> None:
    first = claim(http, "train")
    assert first is not None
    assert (first.id, first.attempt, first.status.value, first.worker) == (job, 1, "running", "test")
    assert claim(http, "train") is None
    assert claim(http, "score") is None


def test_a_claim_waits_for_work(http: httpx.Client, dataset: str) -> None:
    threading.Timer(0.3, lambda: submit(http, dataset)).start()
    began = time.monotonic()
    job = claim(http, "train", wait_seconds=10)
    assert job is not None
    assert 0.2 < time.monotonic() - began < 5
    http.delete(f"/jobs/{job.id}")


def test_a_claim_in_vain_ends_in_time(http: httpx.Client) -> None:
    began = time.monotonic()
    assert claim(http, "predict", wait_seconds=0.3) is None
    assert 0.3 <= time.monotonic() - began < 3


def test_a_worker_that_went_gets_no_job(http: httpx.Client, dataset: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        http.post("/jobs/claim", json={"worker": "gone", "kinds": ["train"], "wait_seconds": 20}, timeout=0.3)
    time.sleep(0.6)
    number = submit(http, dataset).json()["id"]
    time.sleep(0.4)
    assert http.get(f"/jobs/{number}").json()["status"] == "queued"
    http.delete(f"/jobs/{number}")


@pytest.mark.parametrize("body", [{}, {"worker": "x", "kinds": []}, {"worker": "x", "kinds": ["cook"]}, {"worker": ""}])
def test_a_wrong_claim_is_refused(http: httpx.Client, body: object) -> None:
    assert http.post("/jobs/claim", json=body).status_code == 422


def test_a_heartbeat_tells_how_far_the_job_is(http: httpx.Client, job: int) -> None:
    claimed(http)
    progress = {"stage": "hidden 1", "done": 3, "total": 10, "epoch": 3, "objective": 0.5, "seconds_left": 7.0}
    beat = http.put(f"/jobs/{job}/heartbeat", json={"attempt": 1, "progress": progress})
    for told in (beat.json(), http.get(f"/jobs/{job}").json()):
        assert told["progress"].items() >= progress.items()


def test_a_heartbeat_brings_a_checkpoint_that_the_next_worker_is_given(service: Service, job: int) -> None:
    http = service.http
    claimed(http)
    checkpoint = service.zoo.blobs.put(b"where the run is")
    beat = {"attempt": 1, "checkpoint": checkpoint}
    assert http.put(f"/jobs/{job}/heartbeat", json=beat).json()["checkpoint"] == checkpoint
    assert http.put(f"/jobs/{job}/heartbeat", json={"attempt": 1}).json()["checkpoint"] == checkpoint
    unknown = http.put(f"/jobs/{job}/heartbeat", json=beat | {"checkpoint": digest_of("nowhere")})
    assert (unknown.status_code, unknown.json()["code"]) == (422, "invalid_input")
    http.post(f"/jobs/{job}/release", json={"attempt": 1})
    assert claimed(http).checkpoint == checkpoint
    http.delete(f"/jobs/{job}")
    assert checkpoint not in service.blobs()


def test_another_attempt_is_refused(http: httpx.Client, job: int) -> None:
    claimed(http)
    result = {"kind": "train", "modules": [{"name": "ada/x", "digest": digest_of("x")}]}
    for method, path, body in (
        ("PUT", "heartbeat", {"attempt": 2, "progress": {}}),
        ("POST", "finish", {"attempt": 2, "result": result}),
        ("POST", "fail", {"attempt": 2, "error": "x"}),
        ("POST", "release", {"attempt": 2}),
    ):
        answer = http.request(method, f"/jobs/{job}/{path}", json=body)
        assert (answer.status_code, answer.json()["code"]) == (409, "lease_lost")


def test_a_finished_job_has_published_its_modules(service: Service, job: int) -> None:
    attempt = claimed(service.http).attempt
    digest = service.zoo.blobs.put(linear_module(77))
    result = {"kind": "train", "modules": [{"name": "ada/trained", "digest": digest}]}
    done = service.http.post(f"/jobs/{job}/finish", json={"attempt": attempt, "result": result}).json()
    assert (done["status"], done["result"]["published"]) == ("done", ["ada/trained@1"])
    assert service.http.get("/modules/ada/trained/versions/1").json()["digest"] == digest
    again = service.http.post(f"/jobs/{job}/finish", json={"attempt": attempt, "result": result})
    assert again.status_code == 409


def test_a_result_of_another_kind_is_refused(http: httpx.Client, job: int) -> None:
    claimed(http)
    answer = http.post(f"/jobs/{job}/finish", json={"attempt": 1, "result": {"kind": "score", "statistics": []}})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_input")


def test_a_failed_job_says_why(http: httpx.Client, job: int) -> None:
    claimed(http)
    told = http.post(f"/jobs/{job}/fail", json={"attempt": 1, "error": "no memory"}).json()
    assert (told["status"], told["error"]) == ("failed", "no memory")
    assert [name for name, _ in events(http, f"/jobs/{job}/events")] == ["failed"]


def test_a_job_that_was_given_back_goes_to_the_next_worker_at_once(http: httpx.Client, job: int) -> None:
    for attempt in (1, 2, 3, 4, 5):
        assert claimed(http).attempt == attempt
        back = http.post(f"/jobs/{job}/release", json={"attempt": attempt})
        assert (back.status_code, back.json()["status"], back.json()["worker"]) == (200, "queued", None)
        again = http.post(f"/jobs/{job}/release", json={"attempt": attempt})
        assert (again.status_code, again.json()["code"]) == (409, "lease_lost")
    late = http.put(f"/jobs/{job}/heartbeat", json={"attempt": 5, "progress": {}})
    assert late.status_code == 409


def test_only_a_job_that_is_there_can_be_given_back(http: httpx.Client) -> None:
    assert http.post("/jobs/99999/release", json={"attempt": 1}).status_code == 404
    assert http.post("/jobs/99999/release", json={"attempt": 0}).status_code == 422


def test_a_cancelled_job_is_told_to_its_worker(http: httpx.Client, job: int) -> None:
    claimed(http)
    assert http.delete(f"/jobs/{job}").json()["status"] == "cancelled"
    beat = http.put(f"/jobs/{job}/heartbeat", json={"attempt": 1, "progress": {}})
    assert (beat.status_code, beat.json()["code"]) == (409, "lease_lost")
    assert http.delete(f"/jobs/{job}").json()["status"] == "cancelled"


def test_events_follow_a_job_to_its_end(http: httpx.Client, job: int) -> None:
    threading.Timer(0.4, lambda: http.delete(f"/jobs/{job}")).start()
    seen = events(http, f"/jobs/{job}/events")
    assert [(name, state["status"]) for name, state in seen] == [("progress", "queued"), ("cancelled", "cancelled")]


def test_a_silent_workers_job_goes_to_the_next(tmp_path: Path) -> None:
    with serving(tmp_path, lease_seconds=0.2) as service:
        dataset = service.http.post("/datasets", content=quadrant_zip(4)).json()["digest"]
        submit(service.http, dataset)
        assert claimed(service.http).attempt == 1
        second = claim(service.http, "train", wait_seconds=5)
        assert second is not None
        assert second.attempt == 2
        late = service.http.put(f"/jobs/{second.id}/heartbeat", json={"attempt": 1, "progress": {}})
        assert late.status_code == 409
