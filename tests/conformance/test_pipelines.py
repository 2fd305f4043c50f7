"""Section 2: modules are checked against each other, composed, fetched as one file, and predict."""

import json
import struct

import httpx

from tests.conformance.asking import SEEDS, new_pair, pointers, problem
from tests.conformance.conftest import Leavings
from tests.conformance.files import png

FIRST_WORDS = 8


def compose(http: httpx.Client, namespace: str) -> dict[str, object]:
    """A new pipeline."""
    refs = new_pair(http, namespace)
    answer = http.post("/pipelines", json={"name": f"{namespace}-{next(SEEDS)}", "modules": refs})
    assert answer.status_code == 201, answer.text
    assert answer.headers["location"] == f"/pipelines/{answer.json()['id']}"
    return answer.json()


def test_a_pipeline_is_composed_once_and_pinned_to_digests(http: httpx.Client, namespace: str) -> None:
    refs = new_pair(http, namespace)
    body = {"name": f"{namespace}-pinned", "modules": refs}
    first, second = (http.post("/pipelines", json=body) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    assert first.json() == second.json() == http.get(first.headers["location"]).json()
    assert [each["ref"] for each in first.json()["modules"]] == list(refs)
    assert all(each["digest"].startswith("sha256:") for each in first.json()["modules"])
    listed = http.get("/pipelines", params={"limit": 200}).json()["items"]
    assert first.json()["id"] in {each["id"] for each in listed}


def test_modules_that_fit_are_said_to(http: httpx.Client, namespace: str) -> None:
    answer = http.post("/pipelines/check", json={"modules": new_pair(http, namespace)})
    assert (answer.status_code, answer.json()) == (200, {"fits": True, "faults": []})


def test_every_misfit_is_in_one_answer_each_with_a_pointer(http: httpx.Client, namespace: str) -> None:
    lower, upper = new_pair(http, namespace)
    wrong = [upper, f"{namespace}/nothing@1", "no name", lower]
    checked = http.post("/pipelines/check", json={"modules": wrong})
    found = {each["pointer"] for each in checked.json()["faults"]}
    assert checked.status_code == 200
    assert not checked.json()["fits"]
    assert found >= {"/modules/0", "/modules/1", "/modules/2", "/modules/3"}
    refused = http.post("/pipelines", json={"name": f"{namespace}-misfit", "modules": wrong})
    assert pointers(problem(refused, 422, "pipeline_misfit")) == found


def test_a_pipeline_is_one_file_and_always_the_same(http: httpx.Client, namespace: str) -> None:
    path = f"/pipelines/{compose(http, namespace)['id']}/file"
    first, second = http.get(path), http.get(path)
    assert first.content == second.content
    (length,) = struct.unpack("<Q", first.content[:FIRST_WORDS])
    assert json.loads(first.content[FIRST_WORDS : FIRST_WORDS + length])["__metadata__"]
    assert http.get(path, headers={"If-None-Match": first.headers["etag"]}).status_code == 304
    part = http.get(path, headers={"Range": "bytes=0-7"})
    assert (part.status_code, part.content) == (206, first.content[:8])


def test_a_module_of_a_pipeline_is_not_deleted(http: httpx.Client, namespace: str) -> None:
    pipeline = compose(http, namespace)
    name, _, version = pipeline["modules"][1]["ref"].partition("@")
    found = problem(http.delete(f"/modules/{name}/versions/{version}"), 409, "referenced")
    assert any(pipeline["id"] in fault["detail"] or pipeline["name"] in fault["detail"] for fault in found["errors"])


def test_a_prediction_that_takes_longer_leads_to_its_job(
    http: httpx.Client, namespace: str, leavings: Leavings
) -> None:
    path = f"/pipelines/{compose(http, namespace)['id']}/predict"
    answer = http.post(path, content=png(), headers={"Prefer": "wait=0"})
    assert answer.status_code == 202
    leavings.paths.append(answer.headers["location"])
    job = http.get(answer.headers["location"]).json()
    assert (job["id"], job["work"]["kind"]) == (answer.json()["id"], "predict")
    assert http.delete(answer.headers["location"]).json()["status"] in ("cancelled", "done", "failed")


def test_what_is_no_image_is_not_predicted(http: httpx.Client, namespace: str) -> None:
    path = f"/pipelines/{compose(http, namespace)['id']}/predict"
    problem(http.post(path, content=b"no image"), 422, "invalid_dataset")
