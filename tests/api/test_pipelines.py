"""Pipelines over HTTP: every misfit in one answer, one file of the whole, predictions by a worker."""

import hashlib
import io
import json
import threading
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

from api.app import create_app
from api.byte_ranges import repr_digest
from registry.tensor_file import read_tensor_header
from tests.api.serving import Service, running, serving
from tests.api.test_modules import publish
from tests.api.worker import claim, do, working
from tests.builders import blob_digest
from tests.numpy_worker import linear_module, output_module, png
from tests.registry.dataset_samples import zip_bytes

IMAGE = png(np.zeros((8, 8), dtype=np.uint8))
NOW = {"Prefer": "wait=0"}
IMAGE_DIGEST = "sha256:" + hashlib.sha256(IMAGE).hexdigest()


@pytest.fixture(scope="module", autouse=True)
def modules(service: Service) -> None:
    below = publish(service.http, "ada/eyes", linear_module(1)).json()["digest"]
    publish(service.http, "ada/mouth", output_module(below))


@pytest.fixture
def pipeline(http: httpx.Client) -> str:
    answer = http.post("/pipelines", json={"name": "digits", "modules": ["ada/eyes@1", "ada/mouth@latest"]})
    return str(answer.json()["id"])


def test_a_pipeline_is_pinned_and_composed_once(http: httpx.Client) -> None:
    body = {"name": "pinned", "modules": ["ada/eyes", "ada/mouth"]}
    made, again = http.post("/pipelines", json=body), http.post("/pipelines", json=body)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert [each["ref"] for each in made.json()["modules"]] == ["ada/eyes@1", "ada/mouth@1"]
    assert made.json()["labels"] == ["a", "b"]
    assert http.get(made.headers["location"]).json() == made.json()
    assert made.json() in http.get("/pipelines").json()["items"]


def test_predicting_without_images_names_the_formats_that_need_no_labels(http: httpx.Client, pipeline: str) -> None:
    for data in (b"", zip_bytes({"note.txt": b"text"})):
        refused = http.post(f"/pipelines/{pipeline}/predict", content=data)
        assert (refused.status_code, refused.json()["code"]) == (422, "invalid_dataset")
        assert "a zip of images" in refused.json()["detail"]
        assert "label" not in refused.json()["detail"]


def test_every_misfit_comes_in_one_answer(http: httpx.Client) -> None:
    refs = ["ada/mouth@1", "no/such@1", "Not A Ref", "ada/eyes@1"]
    told = http.post("/pipelines/check", json={"modules": refs}).json()
    assert told["fits"] is False
    assert {"/modules/1", "/modules/2"} <= {fault["pointer"] for fault in told["faults"]}
    turned = http.post("/pipelines", json={"name": "x", "modules": ["ada/mouth@1", "ada/eyes@1"]})
    assert (turned.status_code, turned.json()["code"]) == (422, "pipeline_misfit")
    assert len(turned.json()["errors"]) >= 2
    fits = http.post("/pipelines/check", json={"name": "x", "modules": ["ada/eyes@1", "ada/mouth@1"]}).json()
    assert fits == {"fits": True, "faults": []}


@pytest.mark.parametrize(
    "body", [{"name": "x", "modules": []}, {"name": "X y", "modules": ["ada/eyes"]}, {"modules": 3}]
)
def test_what_is_no_composition_is_refused(http: httpx.Client, body: object) -> None:
    assert http.post("/pipelines", json=body).status_code == 422


def test_the_whole_pipeline_is_one_file(http: httpx.Client, pipeline: str) -> None:
    answer = http.get(f"/pipelines/{pipeline}/file")
    header = read_tensor_header(io.BytesIO(answer.content), size_bytes=len(answer.content))
    told = json.loads(header.metadata["pipeline"])
    assert (told["name"], [module["role"] for module in told["modules"]]) == ("digits", ["input", "output"])
    assert answer.headers["repr-digest"] == repr_digest(blob_digest(answer.content))
    assert http.get(f"/pipelines/{pipeline}/file", headers={"Range": "bytes=8-99"}).content == answer.content[8:100]
    held = {"If-None-Match": answer.headers["etag"]}
    assert http.get(f"/pipelines/{pipeline}/file", headers=held).status_code == 304
    head = http.head(f"/pipelines/{pipeline}/file")
    assert head.headers["content-length"] == str(len(answer.content))


def test_a_prediction_comes_from_a_worker_and_its_images_go(service: Service, pipeline: str) -> None:
    with working(service):
        answer = service.http.post(f"/pipelines/{pipeline}/predict", content=IMAGE)
    assert answer.status_code == 200
    assert answer.json()["predictions"] == [{"item": "image", "label": "a", "probabilities": {"a": 0.75, "b": 0.25}}]
    assert IMAGE_DIGEST not in service.blobs()


def test_a_prediction_that_takes_longer_is_followed_as_a_job(service: Service, pipeline: str) -> None:
    answer = service.http.post(f"/pipelines/{pipeline}/predict", content=IMAGE, headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    assert answer.headers["preference-applied"] == "wait=0"
    assert IMAGE_DIGEST in service.blobs()
    job = claim(service.http, "predict")
    assert job is not None
    assert answer.headers["location"] == f"/jobs/{job.id}"
    do(service, job).raise_for_status()
    assert service.http.get(f"/jobs/{job.id}").json()["result"]["predictions"][0]["label"] == "a"
    assert IMAGE_DIGEST not in service.blobs()


def test_images_go_when_the_worker_died_for_the_last_time(tmp_path: Path) -> None:
    with serving(tmp_path, lease_seconds=1e-6, job_attempts=1) as service:
        compose(service)
        for _ in range(2):
            asked = service.http.post("/pipelines/digits/predict", content=IMAGE, headers=NOW)
            assert claim(service.http, "predict") is not None
            assert IMAGE_DIGEST in service.blobs()
            assert claim(service.http, "predict") is None
            assert service.http.get(asked.headers["location"]).json()["status"] == "failed"
            assert IMAGE_DIGEST not in service.blobs()
        assert 'zoo_jobs_ended_total{kind="predict",status="failed"} 2.0' in service.http.get("/metrics").text


def test_images_go_when_another_replica_hears_of_the_end(tmp_path: Path) -> None:
    with serving(tmp_path) as service, running(create_app(service.zoo)) as url:
        compose(service)
        with httpx.Client(base_url=url, trust_env=False, timeout=60.0) as other:
            for _ in range(2):
                service.http.post("/pipelines/digits/predict", content=IMAGE, headers=NOW).raise_for_status()
                job = claim(other, "predict")
                assert job is not None
                do(Service(service.zoo, service.app, other), job).raise_for_status()
                assert IMAGE_DIGEST not in service.blobs()
        assert dict(service.app.state.services.guests._holders) == {}


def compose(service: Service) -> None:
    below = publish(service.http, "ada/eyes", linear_module(1)).json()["digest"]
    publish(service.http, "ada/mouth", output_module(below))
    body = {"name": "digits", "modules": ["ada/eyes@1", "ada/mouth@1"]}
    service.http.post("/pipelines", json=body).raise_for_status()


def test_one_predictions_end_leaves_anothers_images(service: Service, pipeline: str) -> None:
    path, now = f"/pipelines/{pipeline}/predict", {"Prefer": "wait=0"}
    jobs = [service.http.post(path, content=IMAGE, headers=now).json()["id"] for _ in range(2)]
    service.http.delete(f"/jobs/{jobs[0]}")
    assert IMAGE_DIGEST in service.blobs()
    service.http.delete(f"/jobs/{jobs[0]}")
    assert IMAGE_DIGEST in service.blobs()
    service.http.delete(f"/jobs/{jobs[1]}")
    assert IMAGE_DIGEST not in service.blobs()


def test_a_worker_that_cannot_predict_says_why(service: Service, pipeline: str) -> None:
    answers: list[httpx.Response] = []

    def ask() -> None:
        answers.append(service.http.post(f"/pipelines/{pipeline}/predict", content=IMAGE))

    thread = threading.Thread(target=ask)
    thread.start()
    job = claim(service.http, "predict", wait_seconds=5)
    assert job is not None
    service.http.post(f"/jobs/{job.id}/fail", json={"attempt": job.attempt, "error": "no room on the device"})
    thread.join()
    assert (answers[0].status_code, answers[0].json()["code"]) == (500, "job_failed")
    assert "no room on the device" in answers[0].json()["detail"]
    assert IMAGE_DIGEST not in service.blobs()


@pytest.mark.parametrize("data", [b"", b"no image", IMAGE[:40]])
def test_bad_images_are_refused_before_a_worker_sees_them(service: Service, pipeline: str, data: bytes) -> None:
    before = service.blobs()
    answer = service.http.post(f"/pipelines/{pipeline}/predict", content=data)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_dataset")
    assert service.blobs() == before
    assert claim(service.http, "predict") is None


def test_a_caller_who_goes_takes_the_job_along(service: Service, pipeline: str) -> None:
    with pytest.raises(httpx.ReadTimeout):
        service.http.post(f"/pipelines/{pipeline}/predict", content=IMAGE, timeout=0.5)
    deadline = time.monotonic() + 5
    while service.http.get("/jobs", params={"limit": 1}).json()["items"][0]["status"] != "cancelled":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert IMAGE_DIGEST not in service.blobs()


def test_predicting_with_what_is_not_there_is_not_found(service: Service) -> None:
    assert service.http.post("/pipelines/none/predict", content=IMAGE).status_code == 404
