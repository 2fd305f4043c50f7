"""Scores over HTTP: rankings of a task or of a form's data, one score, the map; bytes that repeat."""

import hashlib
import json

import httpx
import pytest

from tests.api.serving import Service
from tests.api.test_modules import publish
from tests.api.worker import claim, do, working
from tests.numpy_worker import linear_module, quadrant_module, quadrant_zip
from tests.registry.dataset_samples import folders, zip_bytes

ZIP = quadrant_zip()
DIGEST = "sha256:" + hashlib.sha256(ZIP).hexdigest()
AT_ONCE = {"Prefer": "wait=0"}


@pytest.fixture(scope="module", autouse=True)
def ready(service: Service) -> None:
    publish(service.http, "ada/seeing", quadrant_module())
    publish(service.http, "ada/blind", quadrant_module(blind=True))
    service.http.post("/datasets", content=ZIP).raise_for_status()


def rank(service: Service, **question: object) -> httpx.Response:
    """Ask for a ranking while a worker works."""
    with working(service):
        return service.http.post("/transferability", json={"task": DIGEST, **question})


def test_a_ranking_comes_with_its_doubt(service: Service) -> None:
    answer = rank(service)
    assert answer.status_code == 200
    ranking = answer.json()
    assert [row["module"]["ref"] for row in ranking["ranking"]] == ["ada/seeing@1", "ada/blind@1"]
    assert ranking["decision"] == "ranked"
    best = ranking["ranking"][0]
    assert best["interval"][0] <= best["score"] <= best["interval"][1]
    assert best["n_per_class"] == dict.fromkeys("abcd", 20)


def test_the_same_question_to_the_same_zoo_has_the_same_bytes(service: Service) -> None:
    first, second = rank(service, seed=1), rank(service, seed=1)
    assert first.content == second.content
    state = service.http.get(f"/queries/{first.json()['query']}").json()
    assert state["answer"] == first.json()


def test_what_takes_longer_leads_to_a_query(service: Service) -> None:
    body = {"task": DIGEST, "seed": 2, "candidates": ["ada/seeing"]}
    answer = service.http.post("/transferability", json=body, headers=AT_ONCE)
    assert answer.status_code == 202
    assert answer.headers["location"] == f"/queries/{answer.json()['id']}"
    assert answer.headers["preference-applied"] == "wait=0"
    assert answer.json()["status"] == "running"
    job = claim(service.http, "score")
    assert job is not None
    do(service, job).raise_for_status()
    done = service.http.get(answer.headers["location"]).json()
    assert (done["status"], len(done["answer"]["ranking"])) == ("done", 1)


def test_a_form_brings_its_own_data(service: Service) -> None:
    data = quadrant_zip(12, ("u", "v", "w", "x"))
    options = {"classes": {"top": ["u", "v"], "bottom": ["w", "x"]}, "top": 1}
    with working(service):
        answer = service.http.post("/transferability", files={"data": data}, data={"options": json.dumps(options)})
    assert answer.status_code == 200
    assert answer.json()["classes"] == {"top": ["u", "v"], "bottom": ["w", "x"]}
    assert len(answer.json()["ranking"]) == 1
    assert service.http.get(f"/datasets/{answer.json()['data']}").status_code == 200


def test_options_may_be_a_file_of_the_form(service: Service) -> None:
    files = {"data": ZIP, "options": ("options.json", b'{"top": 1}', "application/json")}
    with working(service):
        answer = service.http.post("/transferability", files=files)
    assert len(answer.json()["ranking"]) == 1


@pytest.mark.parametrize(
    ("options", "code", "pointer"),
    [
        ('{"classes": {"x": ["a"], "y": ["zebra"]}}', "invalid_task", "/classes/y/0"),
        ('{"tops": 3}', "invalid_input", "/tops"),
        ("{", "invalid_input", ""),
        ('{"task": "task-1"}', "invalid_input", "/task"),
    ],
)
def test_wrong_options_of_a_form_leave_nothing(service: Service, options: str, code: str, pointer: str) -> None:
    before = service.blobs()
    files = {"data": zip_bytes(folders(classes=("a", "b"), each=4))}
    answer = service.http.post("/transferability", files=files, data={"options": options})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert answer.json()["errors"][0]["pointer"] == pointer
    assert service.blobs() == before


@pytest.mark.parametrize(
    ("form", "status"),
    [
        ({"files": {"options": b"{}"}}, 422),
        ({"files": {"data": ZIP, "dota": b"x"}}, 422),
        ({"files": [("data", ZIP), ("data", ZIP), ("data", ZIP)]}, 400),
        ({"files": {"data": b"no dataset"}}, 422),
        ({"content": b"--x", "headers": {"Content-Type": "multipart/form-data"}}, 400),
        ({"content": b"--x--", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 422),
        ({"content": ZIP, "headers": {"Content-Type": "application/zip"}}, 415),
        ({"content": b"junk", "headers": {"Content-Type": "multipart/form-data; boundary=x"}}, 400),
    ],
)
def test_a_wrong_form_is_refused(service: Service, form: dict[str, object], status: int) -> None:
    before = service.blobs()
    answer = service.http.post("/transferability", **form)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert service.blobs() == before


def test_a_form_over_the_limit_is_refused(service: Service) -> None:
    limit = service.zoo.settings.json_limit_bytes
    files = {"data": ZIP, "options": ("o.json", b" " * (limit + 1), "application/json")}
    assert service.http.post("/transferability", files=files).status_code == 413


@pytest.mark.parametrize(
    ("question", "code"),
    [
        ({"task": "task-none"}, "not_found"),
        ({"task": DIGEST, "candidates": ["no/such", "NOT"]}, "invalid_input"),
        ({"task": DIGEST, "rank_by": "luck"}, "invalid_input"),
        ({"task": DIGEST, "examples": 3}, "invalid_input"),
        ({"task": DIGEST, "top": 0}, "invalid_input"),
        ({"task": DIGEST, "panel": []}, "invalid_input"),
    ],
)
def test_a_wrong_question_is_refused(http: httpx.Client, question: dict[str, object], code: str) -> None:
    assert http.post("/transferability", json=question).json()["code"] == code


def test_one_score_is_the_row_of_the_ranking(service: Service) -> None:
    row = next(row for row in rank(service).json()["ranking"] if row["module"]["ref"] == "ada/seeing@1")
    with working(service):
        score = service.http.post("/reusability", json={"module": "ada/seeing", "task": DIGEST}).json()
    assert score["score"] == row["score"]
    assert score["cached"] is True


def test_a_score_that_is_not_defined_says_so(service: Service) -> None:
    few = zip_bytes(folders(classes=("a", "b"), each=1))
    digest = service.http.post("/datasets", content=few).json()["digest"]
    with working(service):
        answer = service.http.post("/reusability", json={"module": "ada/seeing", "task": digest})
    assert (answer.status_code, answer.json()["code"]) == (422, "not_scorable")


def test_a_worker_that_fails_fails_the_question(service: Service) -> None:
    body = {"task": DIGEST, "seed": 31, "candidates": ["ada/seeing"]}
    asked = service.http.post("/transferability", json=body, headers=AT_ONCE).json()
    job = claim(service.http, "score")
    assert job is not None
    service.http.post(f"/jobs/{job.id}/fail", json={"attempt": job.attempt, "error": "out of memory"})
    state = service.http.get(f"/queries/{asked['id']}").json()
    assert (state["status"], state["error"], state["error_code"]) == ("failed", "out of memory", "job_failed")
    retried = service.http.post("/transferability", json=body, headers=AT_ONCE)
    assert (retried.status_code, retried.json()["id"]) == (202, asked["id"])
    service.http.delete(f"/queries/{asked['id']}")


@pytest.mark.parametrize(
    ("accept", "kind", "start"),
    [
        ("image/png", "image/png", b"\x89PNG"),
        ("image/svg+xml, application/json;q=0.5", "image/svg+xml", b"<?xml"),
        ("application/json, image/png;q=0.2", "application/json", b"{"),
        ("*/*", "application/json", b"{"),
    ],
)
def test_a_ranking_is_drawn_for_who_would_rather_look(service: Service, accept: str, kind: str, start: bytes) -> None:
    query = rank(service).json()["query"]
    for method, path in (("POST", "/transferability"), ("GET", f"/queries/{query}")):
        body = {"task": DIGEST} if method == "POST" else None
        answer = service.http.request(method, path, json=body, headers={"Accept": accept})
        assert answer.headers["content-type"].startswith(kind)
        assert answer.headers["vary"] == "Accept"
        assert answer.content.startswith(start)


def trained_on(label: str, other: str) -> dict[str, object]:
    classes = [{"label": name, "merged": [name]} for name in (label, other)]
    return {"data": DIGEST, "classes": classes, "examples": 40, "labels_known": 40, "pairs_known": 0}


def test_the_map_scores_every_task_with_every_tasks_module(service: Service) -> None:
    ids = []
    for seed, pair in enumerate((("a", "b"), ("c", "d"))):
        publish(service.http, f"map/{pair[0]}", linear_module(40 + seed, task=trained_on(*pair)))
        spec = {"dataset": DIGEST, "classes": {name: [name] for name in pair}}
        ids.append(service.http.post("/tasks", json=spec).json()["id"])
    with working(service):
        answer = service.http.get("/transferability/map", params={"task": ids, "panel": ["raw", "alignment"]})
    assert answer.status_code == 200
    assert [len(row) for row in answer.json()["scores"]] == [2, 2]
    headers = {"Accept": "image/svg+xml"}
    drawn = service.http.get(
        "/transferability/map", params={"task": ids, "panel": ["raw", "alignment"]}, headers=headers
    )
    assert drawn.headers["content-type"] == "image/svg+xml"


def test_a_map_needs_tasks_with_modules_of_their_own(http: httpx.Client) -> None:
    answer = http.get("/transferability/map", params={"task": [DIGEST, "task-none"]})
    assert answer.status_code == 404


def test_a_form_with_classes_that_its_data_lacks_is_refused_and_leaves_no_dataset(service: Service) -> None:
    data = zip_bytes(folders(classes=["cat", "owl"]))
    options = json.dumps({"classes": {"a": ["cat"], "b": ["wolf"]}})
    refused = service.http.post("/transferability", files={"data": ("x.zip", data)}, data={"options": options})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_task")
    digest = "sha256:" + hashlib.sha256(data).hexdigest()
    assert service.http.get(f"/datasets/{digest}").status_code == 404
    assert digest not in service.blobs()
