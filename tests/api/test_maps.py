"""Maps over HTTP: rows that are named, columns without modules, and the parts of the picture."""

import pytest

from tests.api.serving import Service
from tests.api.test_transferability import publish, trained_on, working
from tests.numpy_worker import linear_module, quadrant_zip

MAP = "/transferability/map"


@pytest.fixture
def tasks(service: Service) -> list[str]:
    """Three tasks of one dataset; modules were trained on the first and the second."""
    data = service.http.post("/datasets", content=quadrant_zip(per_class=15, seed=7)).json()["digest"]
    ids = []
    for seed, pair in enumerate((("a", "b"), ("c", "d"), ("a", "d"))):
        if seed < 2:
            task = {**trained_on(*pair), "data": data}
            publish(service.http, f"maps/{pair[0]}", linear_module(60 + seed, task=task))
        spec = {"dataset": data, "classes": {name: [name] for name in pair}}
        ids.append(service.http.post("/tasks", json=spec).json()["id"])
    return ids


def test_a_map_has_rows_for_modules_and_columns_for_tasks(service: Service, tasks: list[str]) -> None:
    with working(service):
        answer = service.http.get(MAP, params={"task": tasks}).json()
    assert [source["task"] for source in answer["sources"]] == tasks[:2]
    assert [target["task"] for target in answer["targets"]] == tasks
    assert answer["tasks"] == []
    assert [len(row) for row in answer["scores"]] == [3, 3]
    assert [len(row) for row in answer["tree"]] == [4]
    assert [len(place) for place in answer["embedding"]["coordinates"]] == [2, 2]


def test_sources_may_be_named(service: Service, tasks: list[str]) -> None:
    with working(service):
        answer = service.http.get(MAP, params={"task": tasks[2], "source": ["maps/c", "maps/a@1"]}).json()
    assert [source["module"]["ref"].split("@")[0] for source in answer["sources"]] == ["maps/c", "maps/a"]
    assert len(answer["scores"][0]) == 1


def test_a_source_that_is_not_there_is_refused_with_its_place(service: Service, tasks: list[str]) -> None:
    refused = service.http.get(MAP, params={"task": tasks[2], "source": ["maps/a", "maps/nobody"]})
    assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/sources/1")


def test_the_picture_shows_the_parts_that_are_asked_for(service: Service, tasks: list[str]) -> None:
    drawn = {}
    with working(service):
        query = service.http.get(MAP, params={"task": tasks}).json()["query"]
        for plot in ("matrix", "embedding", "both"):
            asked = {"params": {"task": tasks, "plot": plot}, "headers": {"Accept": "image/svg+xml"}}
            drawn[plot] = service.http.get(MAP, **asked).content
            asked["params"] = {"plot": plot}
            assert service.http.get(f"/queries/{query}", **asked).content == drawn[plot]
    assert len(set(drawn.values())) == 3
    assert service.http.get(MAP, params={"task": tasks, "plot": "pie"}).status_code == 422
