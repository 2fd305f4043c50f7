"""Relations of labels over HTTP and through the client."""

import math
from pathlib import Path

import httpx
import pytest

from client.zoo import Zoo
from registry.errors import InvalidInputError
from tests.numpy_worker import quadrant_zip


def dataset(http: httpx.Client, per_class: int = 20) -> str:
    digest: str = http.post("/datasets", content=quadrant_zip(per_class)).raise_for_status().json()["digest"]
    return digest


def halves(http: httpx.Client, data: str) -> str:
    body = {"dataset": data, "classes": {"top": ["a", "b"], "bottom": ["c", "d"]}}
    task: str = http.post("/tasks", json=body).raise_for_status().json()["id"]
    return task


def test_labels_of_one_dataset_are_related_without_any_work(http: httpx.Client) -> None:
    data = dataset(http)
    answer = http.get("/transferability/labels", params={"task": [data, halves(http, data)]})
    assert answer.status_code == 200
    found = answer.json()
    assert found["nce"][0] == [0.0, 0.0]
    assert found["nce"][1] == pytest.approx([-math.log(2), 0.0])
    assert [task["hardness"] for task in found["tasks"]] == pytest.approx([math.log(4), math.log(2)])
    assert http.get("/transferability/labels", params={"task": [data, halves(http, data)]}).content == answer.content


def test_tasks_of_different_datasets_are_an_invalid_request(http: httpx.Client) -> None:
    ours, theirs = (halves(http, dataset(http, per_class)) for per_class in (20, 13))
    answer = http.get("/transferability/labels", params={"task": [ours, theirs]})
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid_input"
    assert theirs in answer.json()["detail"]


@pytest.mark.parametrize("query", ["", "?task=", "?job=1", "?" + "&".join(["task=x"] * 51)])
def test_too_few_or_too_many_tasks_are_refused(http: httpx.Client, query: str) -> None:
    assert http.get(f"/transferability/labels{query}").status_code in (404, 422)


def test_the_client_relates_tasks(http: httpx.Client, tmp_path: Path) -> None:
    ours, theirs = (halves(http, dataset(http, per_class)) for per_class in (20, 13))
    with Zoo(str(http.base_url), cache=tmp_path) as zoo:
        assert zoo.tasks.relate([ours]).nce == ((0.0,),)
        with pytest.raises(InvalidInputError, match="within one dataset"):
            zoo.tasks.relate([ours, theirs])
