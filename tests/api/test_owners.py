"""Several people hold the same dataset, as with public ones: what each makes, asks and tells is nobody else's."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from registry.access import TokenRole
from tests.api.serving import Service, serving
from tests.api.test_access import secret_of
from tests.api.test_namespaces import TOKEN, person, publish, ranked
from tests.api.worker import working
from tests.numpy_worker import linear_module, quadrant_zip, verify_all

NOW = {"Prefer": "wait=0"}
HIDDEN = "vault"
VALUES = (0.9, 0.8, 0.7)


class Town:
    """A zoo with three modules in a namespace, and people who all sent the same images."""

    def __init__(self, service: Service, people: ExitStack) -> None:
        """Args: service: the zoo; people: what ends their connections."""
        self.service, self._people = service, people
        self.root = people.enter_context(person(service, TOKEN))
        self.ada, self.bob = self.somebody("ada"), self.somebody("bob")
        self.publish("open")
        self.data = self.send(self.ada)
        assert self.send(self.bob) == self.data

    def somebody(self, owner: str, **scope: object) -> httpx.Client:
        """A publisher's connection."""
        secret = secret_of(self.service, TokenRole.PUBLISHER, owner=owner, **scope)
        return self._people.enter_context(person(self.service, secret))

    def publish(self, space: str) -> None:
        """Publish three modules in a namespace."""
        for number in range(3):
            publish(self.ada, f"{space}/m{number}", linear_module(10 * len(space) + number)).raise_for_status()
        verify_all(self.service.zoo)

    def hide(self, *members: str) -> None:
        """Let nobody else know of a namespace."""
        body = {"visibility": "private", "members": members}
        self.root.put(f"/namespaces/{HIDDEN}", json=body).raise_for_status()

    def send(self, client: httpx.Client) -> str:
        return str(client.post("/datasets", content=quadrant_zip(seed=4)).json()["digest"])

    def asked(self, client: httpx.Client, space: str = "open") -> str:
        """The id of a ranking of three modules that is done."""
        with working(Service(self.service.zoo, self.service.app, self.root)):
            return str(ranked(client, self.data, candidates=refs(space)).json()["query"])


def refs(space: str) -> list[str]:
    return [f"{space}/m{number}@1" for number in range(3)]


def told(space: str = "open", values: tuple[float, ...] = VALUES, note: str = "") -> dict[str, object]:
    pairs = zip(refs(space), values, strict=True)
    return {"outcomes": [{"module": ref, "value": value, "note": note} for ref, value in pairs]}


def items(client: httpx.Client, path: str) -> Any:
    return client.get(path).raise_for_status().json()["items"]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    with serving(tmp_path, token=TOKEN) as service, ExitStack() as people:
        yield Town(service, people)


def test_a_task_is_seen_by_whoever_made_it_or_the_same(town: Town) -> None:
    spec = {"dataset": town.data, "classes": {"secret": ["a", "b"], "rest": ["c"]}}
    made = town.ada.post("/tasks", json=spec)
    task = made.json()["id"]
    assert items(town.bob, "/tasks") == []
    for answer in (
        town.bob.get(f"/tasks/{task}"),
        town.bob.post("/transferability", json={"task": task}),
        town.bob.get(f"/transferability/labels?task={task}"),
    ):
        assert answer.status_code == 404
    assert town.root.get(f"/tasks/{task}").status_code == 404
    again = town.bob.post("/tasks", json=spec)
    assert (made.status_code, again.status_code, again.json()["id"]) == (201, 201, task)
    assert town.bob.post("/tasks", json=spec).status_code == 200
    for client in (town.ada, town.bob):
        assert [each["id"] for each in items(client, "/tasks")] == [task]
    assert town.bob.delete(f"/datasets/{town.data}").status_code == 204
    assert town.send(town.bob) == town.data
    assert items(town.bob, "/tasks") == []
    assert len(items(town.ada, "/tasks")) == 1


def test_the_own_classes_of_a_dataset_are_a_task_of_whoever_names_them(town: Town) -> None:
    task = town.ada.get(f"/tasks/{town.data}").json()["id"]
    assert town.bob.get(f"/tasks/{task}").status_code == 404
    assert town.bob.get(f"/tasks/{town.data}").json()["id"] == task
    assert town.bob.get(f"/tasks/{task}").status_code == 200


def test_a_query_is_seen_by_whoever_asked_it_and_its_answer_is_shared(town: Town) -> None:
    query = town.asked(town.ada)
    for path in (f"/queries/{query}", f"/queries/{query}/outcomes", f"/queries/{query}/events"):
        assert town.bob.get(path).status_code == 404, path
    assert town.bob.post("/transferability/sets", json={"task": town.data, "query": query}).status_code == 404
    jobs = len(items(town.root, "/jobs"))
    shared = town.bob.post("/transferability", json={"task": town.data, "candidates": refs("open")}, headers=NOW)
    assert (shared.status_code, shared.json()["query"]) == (200, query)
    assert len(items(town.root, "/jobs")) == jobs
    assert town.bob.get(f"/queries/{query}").status_code == 200


def test_each_tells_outcomes_of_its_own(town: Town) -> None:
    query = town.asked(town.ada)
    path = f"/queries/{query}/outcomes"
    town.ada.post(path, json=told(note="the merger")).raise_for_status()
    assert town.bob.post(path, json=told(values=(-1e9,) * 3)).status_code == 404
    assert town.asked(town.bob) == query
    assert items(town.bob, path) == []
    assert town.bob.get("/calibration").json()["outcomes"] == 0
    wrong = town.bob.post(path, json=told(values=(-1e9, 0.5, 0.6)))
    assert (wrong.status_code, wrong.json()["created"], wrong.json()["replaced"]) == (201, 3, 0)
    assert "merger" not in wrong.text
    assert sorted(one["value"] for one in items(town.ada, path)) == sorted(VALUES)
    assert {one["note"] for one in items(town.ada, path)} == {"the merger"}
    for client, best in ((town.ada, 0.9), (town.bob, 0.6)):
        found = client.get("/calibration").json()
        assert found["outcomes"] == 3
        (group,) = found["groups"]
        best_ref = group["per_query"][0]["best"]["ref"]
        assert best == next(one["value"] for one in items(client, path) if one["module"]["ref"] == best_ref)
    town.bob.delete(f"/datasets/{town.data}").raise_for_status()
    assert town.bob.get("/calibration").json()["outcomes"] == 0
    assert town.send(town.bob) == town.data
    assert town.bob.get(path).status_code == 404
    assert len(items(town.ada, path)) == 3


def test_a_query_that_one_stops_goes_on_for_others(town: Town) -> None:
    question = {"task": town.data, "candidates": refs("open")}
    query = town.ada.post("/transferability", json=question, headers=NOW).json()["id"]
    assert town.bob.post("/transferability", json=question, headers=NOW).json()["id"] == query
    assert town.bob.delete(f"/queries/{query}").json()["status"] == "cancelled"
    assert town.bob.get(f"/queries/{query}").json()["status"] == "cancelled"
    assert town.bob.post(f"/queries/{query}/outcomes", json=told()).status_code == 409
    assert town.ada.get(f"/queries/{query}").json()["status"] == "running"
    assert town.asked(town.ada) == query
    assert town.bob.get(f"/queries/{query}").json()["status"] == "cancelled"
    assert town.bob.post("/transferability", json=question).json()["query"] == query
    assert town.bob.get(f"/queries/{query}").json()["status"] == "done"


@pytest.mark.parametrize("how", ["stop", "remove the data"])
def test_a_query_that_nobody_waits_for_any_more_ends_with_its_jobs(town: Town, how: str) -> None:
    question = {"task": town.data, "candidates": refs("open")}
    query = town.ada.post("/transferability", json=question, headers=NOW).json()["id"]
    town.bob.post("/transferability", json=question, headers=NOW).raise_for_status()
    path = f"/queries/{query}" if how == "stop" else f"/datasets/{town.data}"
    town.bob.delete(path).raise_for_status()
    assert town.ada.get(f"/queries/{query}").json()["status"] == "running"
    assert town.send(town.bob) == town.data
    town.ada.delete(path).raise_for_status()
    assert {each["status"] for each in items(town.root, "/jobs?kind=score")} == {"cancelled"}


def test_calibration_is_silent_about_queries_of_what_one_may_not_know_of(town: Town) -> None:
    town.hide("ada")
    town.publish(HIDDEN)
    query = town.asked(town.ada, HIDDEN)
    town.ada.post(f"/queries/{query}/outcomes", json=told(HIDDEN)).raise_for_status()
    elsewhere = town.somebody("ada", namespaces=["open"])
    assert town.ada.get("/calibration").json()["outcomes"] == 3
    for client in (town.bob, elsewhere):
        assert client.get(f"/queries/{query}").status_code == 404
        found = client.get("/calibration")
        assert (found.json()["outcomes"], found.json()["groups"]) == (0, [])
        assert query not in found.text
    town.hide("bob")
    for client in (town.ada, town.bob):
        assert client.get("/calibration").json()["outcomes"] == 0
    town.root.put(f"/namespaces/{HIDDEN}", json={"visibility": "public"}).raise_for_status()
    assert town.ada.get("/calibration").json()["outcomes"] == 3
