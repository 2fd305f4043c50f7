"""Datasets and tasks over HTTP."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.serving import Service, serving
from tests.builders import digest_of
from tests.numpy_worker import quadrant_zip
from tests.registry.dataset_samples import folders, zip_bytes

ZIP = quadrant_zip()
DIGEST = "sha256:" + hashlib.sha256(ZIP).hexdigest()


@pytest.fixture
def dataset(http: httpx.Client) -> str:
    answer = http.post("/datasets", content=ZIP)
    assert answer.status_code in (200, 201)
    return str(answer.json()["digest"])


def test_a_dataset_is_described_and_kept_once(fresh: Service) -> None:
    made = fresh.http.post("/datasets", content=ZIP)
    assert (made.status_code, made.headers["location"]) == (201, f"/datasets/{DIGEST}")
    told = made.json()
    assert (told["classes"], told["counts"], told["shape"]) == (["a", "b", "c", "d"], [20] * 4, [8, 8, 1])
    again = fresh.http.post("/datasets", content=ZIP)
    assert (again.status_code, again.json()) == (200, told)
    assert fresh.http.get(f"/datasets/{DIGEST.replace(':', '%3A')}").json() == told
    assert fresh.http.get("/datasets").json() == {"items": [{**told, "sketch": None}], "next_cursor": None}
    assert fresh.http.delete(f"/datasets/{DIGEST}").status_code == 204
    assert fresh.http.get(f"/datasets/{DIGEST}").status_code == 404
    assert fresh.http.delete(f"/datasets/{DIGEST}").status_code == 404
    assert fresh.blobs() == set()


@pytest.mark.parametrize("data", [b"", b"not a dataset", ZIP[:200], zip_bytes({"../a/x.png": b"x"})])
def test_what_is_no_dataset_leaves_nothing(service: Service, data: bytes) -> None:
    before = service.blobs()
    answer = service.http.post("/datasets", content=data)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_dataset")
    assert service.blobs() == before


def test_broken_images_are_refused_or_left_out(http: httpx.Client) -> None:
    data = zip_bytes({**folders(), "cat/broken.png": b"no image"})
    assert http.post("/datasets", content=data).json()["code"] == "invalid_dataset"
    answer = http.post("/datasets", content=data, params={"broken": "leave_out"})
    assert (answer.status_code, answer.json()["left_out_count"]) == (201, 1)
    assert answer.json()["left_out"][0]["item"] == "cat/broken.png"


def test_a_form_is_refused_with_the_remedy(http: httpx.Client) -> None:
    answer = http.post("/datasets", files={"data": ZIP})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")
    assert "--data-binary" in answer.json()["detail"]


@pytest.mark.parametrize("told", [True, False])
def test_a_dataset_over_the_limit_leaves_nothing(tmp_path: Path, told: bool) -> None:
    def chunks() -> Iterator[bytes]:
        for _ in range(20):
            yield b"x" * 1000

    with serving(tmp_path, dataset_limit_bytes=10_000) as service:
        body = {"content": b"x" * 20_000} if told else {"content": chunks()}
        answer = service.http.post("/datasets", **body)
        assert (answer.status_code, answer.json()["code"]) == (413, "too_large")
        assert "10000" in answer.json()["detail"]
        assert service.blobs() == set()


def test_pages_of_datasets_follow_each_other(http: httpx.Client, dataset: str) -> None:
    http.post("/datasets", content=quadrant_zip(3))
    seen, cursor = [], None
    while True:
        page = http.get("/datasets", params={"limit": 1, **({"cursor": cursor} if cursor else {})}).json()
        seen += [each["digest"] for each in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen)) >= 2
    assert dataset in seen


def test_a_task_has_one_id_whoever_makes_it(http: httpx.Client, dataset: str) -> None:
    spec = {"dataset": dataset, "classes": {"top": ["a", "b"], "bottom": ["c", "d"]}}
    made, again = http.post("/tasks", json=spec), http.post("/tasks", json=spec)
    assert (made.status_code, again.status_code) == (201, 200)
    assert made.json() == again.json()
    assert made.headers["location"] == f"/tasks/{made.json()['id']}"
    assert http.get(made.headers["location"]).json()["counts"] == {"top": 40, "bottom": 40}
    assert made.json()["id"] in {task["id"] for task in http.get("/tasks").json()["items"]}


def test_a_digest_stands_for_the_task_of_a_datasets_own_classes(http: httpx.Client, dataset: str) -> None:
    task = http.get(f"/tasks/{dataset}").json()
    assert task["classes"] == {label: [label] for label in "abcd"}
    assert http.get(f"/tasks/{task['id']}").json() == task


@pytest.mark.parametrize(
    ("classes", "pointers"),
    [
        ({"x": ["a"], "y": ["zebra"]}, ["/classes/y/0"]),
        ({"x": ["a"], "y": ["a"]}, ["/classes/x/0", "/classes/y/0"]),
        ({"x": ["a"]}, ["/classes"]),
    ],
)
def test_a_wrong_task_names_each_fault(
    http: httpx.Client, dataset: str, classes: dict[str, list[str]], pointers: list[str]
) -> None:
    answer = http.post("/tasks", json={"dataset": dataset, "classes": classes})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_task")
    assert [fault["pointer"] for fault in answer.json()["errors"]] == pointers


def test_a_task_needs_a_dataset_that_is_there(http: httpx.Client) -> None:
    assert http.post("/tasks", json={"dataset": digest_of("none")}).status_code == 404


def statement(http: httpx.Client, data: bytes) -> dict[str, object]:
    """What the zoo says of an upload, as whoever keeps it at home would state it."""
    told = http.post("/datasets", content=data).json()
    http.delete(f"/datasets/{told['digest']}").raise_for_status()
    names = ("digest", "format", "size_bytes", "classes", "counts", "shape", "same_shape")
    return {name: told[name] for name in names}


def test_a_dataset_is_stated_as_json_and_then_uploaded(http: httpx.Client) -> None:
    data = quadrant_zip(6, seed=11)
    said = statement(http, data)
    made, again = http.post("/datasets", json=said), http.post("/datasets", json=said)
    assert (made.status_code, again.status_code, made.json()["held"]) == (201, 200, False)
    assert made.json() == again.json() == http.get(made.headers["location"]).json()
    assert http.get(f"/tasks/{said['digest']}").json()["counts"] == dict.fromkeys("abcd", 6)
    assert http.get(f"/blobs/{said['digest']}").status_code == 404
    other = http.post("/datasets", json={**said, "counts": [1, 2, 3, 4]})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    recipe = {"name": "ada/never", "recipe": {"task": {"dataset": said["digest"]}, "family": "mlp"}}
    refused = http.post("/jobs", json=recipe)
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    held = http.post("/datasets", content=data)
    assert (held.status_code, held.json()["held"]) == (201, True)
    assert http.post("/datasets", json=said).json() == held.json()
    assert http.delete(f"/datasets/{said['digest']}").status_code == 204


@pytest.mark.parametrize(
    ("change", "code", "pointer"),
    [
        ({"digest": "sha256:abc"}, "invalid_input", "/digest"),
        ({"counts": [1, 2, 3, 0]}, "invalid_input", "/counts/3"),
        ({"counts": [1, 2, 3]}, "invalid_dataset", "/counts"),
        ({"classes": ["a", "a", "b", "c"]}, "invalid_dataset", "/classes/0"),
        ({"images": "AAAA"}, "invalid_input", "/images"),
        ({"shape": [32, 32]}, "invalid_input", "/shape"),
    ],
)
def test_a_wrong_statement_names_each_fault(
    http: httpx.Client, change: dict[str, object], code: str, pointer: str
) -> None:
    answer = http.post("/datasets", json={**statement(http, quadrant_zip(3, seed=12)), **change})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert pointer in [fault["pointer"] for fault in answer.json()["errors"]]
