"""Section 2: datasets in every format, what their labels mean, and that nothing of them stays when they go."""

import httpx
import pytest

from tests.conformance.asking import SEEDS, new_dataset, new_task, problem
from tests.conformance.conftest import Deployment, Leavings
from tests.conformance.files import (
    digest_of,
    npz_dataset,
    parquet_dataset,
    png,
    safetensors_dataset,
    zip_dataset,
    zipped,
)

FORMATS = {
    "zip": (zip_dataset, ["cat", "dog"]),
    "parquet": (parquet_dataset, ["cat", "dog"]),
    "npz": (npz_dataset, ["0", "1"]),
    "safetensors": (safetensors_dataset, ["0", "1"]),
}


@pytest.mark.parametrize("name", FORMATS)
def test_a_dataset_is_read_whatever_its_format(http: httpx.Client, leavings: Leavings, name: str) -> None:
    make, classes = FORMATS[name]
    data = make(next(SEEDS))
    first, second = (http.post("/datasets", content=data) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 200)
    leavings.paths.append(first.headers["location"])
    made = first.json()
    assert first.headers["location"] == f"/datasets/{digest_of(data)}"
    assert (made["digest"], made["format"], made["examples"]) == (digest_of(data), name, 6)
    assert (made["classes"], made["counts"], made["shape"]) == (classes, [3, 3], [8, 8, 3])
    assert (made["left_out"], made["left_out_count"]) == ([], 0)
    assert http.get(first.headers["location"]).json() == made
    listed = http.get("/datasets", params={"limit": 200}).json()["items"]
    assert digest_of(data) in {each["digest"] for each in listed}


def test_a_broken_image_refuses_the_upload_or_is_left_out_and_named(http: httpx.Client, leavings: Leavings) -> None:
    images = {f"{label}/{n}.png": png(next(SEEDS)) for label in ("a", "b") for n in range(2)}
    data = zipped({**images, "a/broken.png": b"no image"})
    refused = problem(http.post("/datasets", content=data), 422, "invalid_dataset")
    assert "a/broken.png" in str(refused)
    taken = http.post("/datasets", params={"broken": "leave_out"}, content=data)
    assert taken.status_code == 201
    leavings.paths.append(taken.headers["location"])
    assert (taken.json()["left_out_count"], taken.json()["examples"]) == (1, 4)
    assert "a/broken.png" in str(taken.json()["left_out"])


@pytest.mark.parametrize("data", [b"", b"text", zipped({"../evil.png": png()}), zipped({"a/1.png": png()})], ids=len)
def test_what_is_no_dataset_is_refused_and_not_kept(http: httpx.Client, data: bytes) -> None:
    problem(http.post("/datasets", content=data), 422, "invalid_dataset")
    problem(http.get(f"/datasets/{digest_of(data)}"), 404, "not_found")
    problem(http.get(f"/blobs/{digest_of(data)}"), 404, "not_found")


def test_a_dataset_goes_with_all_that_was_made_from_it(http: httpx.Client, leavings: Leavings) -> None:
    task = new_task(http, leavings)
    asked = http.post("/transferability", json={"task": task["id"]}, headers={"Prefer": "wait=0"})
    assert http.delete(f"/datasets/{task['dataset']}").status_code == 204
    for path in (f"/datasets/{task['dataset']}", f"/tasks/{task['id']}", f"/blobs/{task['dataset']}"):
        problem(http.get(path), 404, "not_found")
    if asked.status_code == 202:
        problem(http.get(asked.headers["location"]), 404, "not_found")
    problem(http.delete(f"/datasets/{task['dataset']}"), 404, "not_found")


def test_datasets_are_for_who_may_see_them(http: httpx.Client, deployment: Deployment, leavings: Leavings) -> None:
    if deployment.token is None:
        pytest.skip("this deployment takes no token, so everybody here is its owner")
    digest = new_dataset(http, leavings)
    with httpx.Client(base_url=deployment.url, timeout=60.0) as stranger:
        for path in (f"/datasets/{digest}", "/datasets", "/tasks", f"/blobs/{digest}"):
            problem(stranger.get(path), 401, "unauthenticated")


def test_a_task_says_what_labels_mean(http: httpx.Client, leavings: Leavings) -> None:
    task = new_task(http, leavings)
    assert task["classes"] == {"animal": ["cat"], "other": ["dog"]}
    assert task["counts"] == {"animal": 3, "other": 3}
    again = http.post("/tasks", json={"dataset": task["dataset"], "classes": task["classes"]})
    assert (again.status_code, again.json()["id"]) == (200, task["id"])
    assert http.get(f"/tasks/{task['id']}").json() == task
    assert task["id"] in {each["id"] for each in http.get("/tasks", params={"limit": 200}).json()["items"]}


@pytest.mark.parametrize(
    "classes", [{"a": ["cat"], "b": ["bird"]}, {"a": ["cat", "dog"]}, {"a": ["cat"], "b": ["cat"]}]
)
def test_a_task_of_labels_that_are_not_there_is_refused(
    http: httpx.Client, leavings: Leavings, classes: dict[str, list[str]]
) -> None:
    body = {"dataset": new_dataset(http, leavings), "classes": classes}
    problem(http.post("/tasks", json=body), 422, "invalid_task")


def test_a_task_of_no_dataset_is_refused(http: httpx.Client) -> None:
    problem(http.post("/tasks", json={"dataset": digest_of(b"nowhere")}), 404, "not_found")
