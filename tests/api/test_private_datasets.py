"""Datasets are private: only their owner sees them or asks about them, and deleting mine leaves yours."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from registry.access import TokenRole
from registry.records import Job
from tests.api.serving import Service, serving
from tests.api.test_access import secret_of
from tests.api.test_namespaces import TOKEN, person, publish, ranked
from tests.api.worker import claim, do, working
from tests.numpy_worker import linear_module, quadrant_module, quadrant_zip, verify_all
from tests.registry.test_at_home import brought, statement_of

DATA = quadrant_zip(seed=4)


@dataclass(frozen=True)
class People:
    """A zoo with one public module, two owners and a worker."""

    service: Service
    root: httpx.Client
    ada: httpx.Client
    bob: httpx.Client
    worker: httpx.Client

    @property
    def as_worker(self) -> Service:
        return Service(self.service.zoo, self.service.app, self.worker)


@pytest.fixture
def people(tmp_path: Path) -> Iterator[People]:
    with serving(tmp_path, token=TOKEN) as service:
        secrets = [
            secret_of(service, role, owner=owner)
            for role, owner in (
                (TokenRole.READER, "ada"),
                (TokenRole.PUBLISHER, "bob"),
                (TokenRole.WORKER, "machine"),
            )
        ]
        with (
            person(service, TOKEN) as root,
            person(service, secrets[0]) as ada,
            person(service, secrets[1]) as bob,
            person(service, secrets[2]) as worker,
        ):
            publish(bob, "open/eyes", quadrant_module()).raise_for_status()
            verify_all(service.zoo)
            yield People(service, root, ada, bob, worker)


def send(client: httpx.Client) -> str:
    return str(client.post("/datasets", content=DATA).json()["digest"])


def test_nobody_else_sees_a_dataset_its_tasks_queries_or_scores(people: People) -> None:
    data = send(people.ada)
    task = people.ada.post("/tasks", json={"dataset": data, "classes": {"x": ["a"], "y": ["b"]}}).json()["id"]
    with working(people.as_worker):
        query = ranked(people.ada, data).json()["query"]
    for path in (
        f"/datasets/{data}",
        f"/blobs/{data}",
        f"/tasks/{task}",
        f"/queries/{query}",
        f"/queries/{query}/events",
        f"/queries/{query}/outcomes",
        f"/transferability/labels?task={task}",
        f"/transferability/map?task={task}&source=open/eyes",
    ):
        assert people.ada.get(path, headers={"Prefer": "wait=0"}).status_code in (200, 202), path
        assert people.bob.get(path).status_code == 404, path
    assert people.bob.delete(f"/datasets/{data}").status_code == 404
    assert people.bob.delete(f"/queries/{query}").status_code == 404
    assert people.bob.get("/datasets").json()["items"] == people.bob.get("/tasks").json()["items"] == []


@pytest.mark.parametrize("path", ["/transferability", "/reusability", "/transferability/sets"])
def test_nobody_else_scores_against_a_dataset(people: People, path: str) -> None:
    data = send(people.ada)
    body = {"task": data, **({"module": "open/eyes"} if path == "/reusability" else {})}
    if path.endswith("sets"):
        body["candidates"] = ["open/eyes@1", "open/eyes@1"]  # type: ignore[assignment]
    unknown = "sha256:" + "0" * 64
    hidden, missing = (people.bob.post(path, json={**body, "task": each}) for each in (data, unknown))
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.json()["detail"].replace(data, unknown) == missing.json()["detail"]
    assert people.bob.post("/tasks", json={"dataset": data, "classes": {}}).status_code == 404
    recipe = {"task": {"dataset": data, "classes": {}}}
    assert people.bob.post("/jobs", json={"name": "bob/m", "recipe": recipe}).status_code == 404


def test_deleting_mine_leaves_yours_and_deleting_yours_leaves_nothing(people: People) -> None:
    data = send(people.ada)
    assert send(people.bob) == data
    with working(people.as_worker):
        queries = [ranked(client, data).json()["query"] for client in (people.ada, people.bob)]
    assert queries[0] == queries[1]
    assert people.ada.delete(f"/datasets/{data}").status_code == 204
    for path in (f"/datasets/{data}", f"/queries/{queries[0]}", f"/blobs/{data}"):
        assert people.ada.get(path).status_code == 404, path
        assert people.bob.get(path).status_code == 200, path
    assert people.bob.delete(f"/datasets/{data}").status_code == 204
    for client in (people.bob, people.root):
        for path in (f"/datasets/{data}", f"/queries/{queries[0]}", f"/blobs/{data}"):
            assert client.get(path).status_code == 404, path
    zoo = people.service.zoo
    with zoo.begin() as work:
        assert work.statistics.remove_data(data) == ()  # type: ignore[arg-type]
        assert work.queries.get(queries[0]) is None
        assert work.tasks.of_dataset(data) == ()  # type: ignore[arg-type]
    assert people.service.blobs() == {str(people.bob.get("/modules/open/eyes/versions/1").json()["digest"])}


def test_sending_the_same_data_does_not_tell_that_somebody_has_it(people: People) -> None:
    codes = []
    for client in (people.ada, people.bob):
        answer = client.post("/datasets", content=DATA)
        codes.append((answer.status_code, set(answer.json())))
        assert client.post("/datasets", content=DATA).status_code == 200
    assert codes[0] == codes[1]
    assert codes[0][0] == 201


def test_jobs_are_seen_and_stopped_by_whoever_asked_for_them(people: People) -> None:
    data = send(people.bob)
    recipe = {"task": {"dataset": data, "classes": {}}}
    job = people.bob.post("/jobs", json={"name": "bob/m", "recipe": recipe}).json()["id"]
    for path in (f"/jobs/{job}", f"/jobs/{job}/events"):
        assert people.ada.get(path).status_code == 404
    assert people.ada.delete(f"/jobs/{job}").status_code == 404
    assert people.ada.get("/jobs").json()["items"] == []
    assert [each["id"] for each in people.bob.get("/jobs?kind=train").json()["items"]] == [job]
    assert people.root.get(f"/jobs/{job}").status_code == 200
    assert people.bob.delete(f"/jobs/{job}").json()["status"] == "cancelled"


def test_a_worker_has_the_bytes_of_jobs_that_run_and_no_others(people: People) -> None:
    data = send(people.ada)
    module = people.bob.get("/modules/open/eyes/versions/1").json()["digest"]
    people.ada.post("/transferability", json={"task": data}, headers={"Prefer": "wait=0"})
    assert people.worker.get(f"/blobs/{data}").status_code == 404
    job = claim(people.worker, "score")
    assert job is not None
    assert [people.worker.get(f"/blobs/{each}").status_code for each in (data, module)] == [200, 200]
    do(people.as_worker, job).raise_for_status()
    assert [people.worker.get(f"/blobs/{each}").status_code for each in (data, module)] == [404, 404]
    for path in ("/modules", "/datasets", "/jobs", "/queries/x", "/tokens", "/pipelines"):
        assert people.worker.get(path).status_code == 403, path
    assert people.worker.post("/modules/machine/m/versions", content=b"").status_code == 403


@pytest.mark.parametrize("who", ["ada", "bob"])
def test_only_workers_claim_or_end_the_jobs_of_others(people: People, who: str) -> None:
    client, data = getattr(people, who), send(people.ada)
    people.ada.post("/transferability", json={"task": data}, headers={"Prefer": "wait=0"})
    assert client.post("/jobs/claim", json={"worker": "me", "kinds": ["score"]}).status_code == 403
    job = claim(people.worker, "score")
    assert job is not None
    body = {"attempt": job.attempt}
    result = {"kind": "score", "statistics": [], "failures": []}
    for method, path, fields in (
        ("PUT", "heartbeat", {}),
        ("POST", "finish", {"result": result}),
        ("POST", "fail", {"error": "x"}),
        ("POST", "release", {}),
    ):
        assert client.request(method, f"/jobs/{job.id}/{path}", json={**body, **fields}).status_code == 404, path
        unknown = client.request(method, f"/jobs/{job.id + 1000}/{path}", json={**body, **fields})
        assert unknown.status_code == 404
    assert do(people.as_worker, job).status_code == 200


def test_a_worker_publishes_only_what_its_job_was_asked_for(people: People) -> None:
    data = send(people.bob)
    recipe = {"task": {"dataset": data, "classes": {}}}
    people.bob.post("/jobs", json={"name": "bob/m", "recipe": recipe}).raise_for_status()
    job = claim(people.worker, "train")
    assert job is not None
    digest = people.service.zoo.blobs.put(linear_module(9))
    result = {"kind": "train", "modules": [{"name": "prod/critical", "digest": digest}]}
    refused = people.worker.post(f"/jobs/{job.id}/finish", json={"attempt": job.attempt, "result": result})
    assert (refused.status_code, refused.json()["code"]) == (422, "invalid_input")
    assert people.root.get("/modules/prod/critical").status_code == 404


def test_a_table_of_pairs_is_used_by_whoever_sent_it_only(people: People) -> None:
    data, table = send(people.bob), b"pairs"
    digest = people.service.zoo.blobs.put(table)
    recipe = {"task": {"dataset": data, "classes": {}}, "pairs": {"table": digest}, "objective": "alignment"}
    refused = people.bob.post("/jobs", json={"name": "bob/m", "recipe": recipe})
    assert (refused.status_code, refused.json()["detail"]) == (404, f"there is no blob {digest}")
    assert people.bob.put(f"/blobs/{digest}", content=table).status_code == 201
    assert people.bob.post("/jobs", json={"name": "bob/m", "recipe": recipe}).status_code != 404


def test_a_reader_scores_at_home_with_bytes_it_sent_and_no_others(people: People) -> None:
    zoo = people.service.zoo
    statement = statement_of(zoo, DATA)
    stated = people.ada.post("/datasets", json=statement.model_dump(mode="json"))
    assert stated.status_code == 201
    asked = people.ada.post("/transferability", json={"task": statement.digest}, headers={"Prefer": "wait=0"})
    query = asked.json()["id"]
    claiming = {"worker": "home", "kinds": ["score-here"], "query": query}
    assert people.bob.post("/jobs/claim", json=claiming).status_code == 404
    job = Job.model_validate_json(people.ada.post("/jobs/claim", json=claiming).content)
    made = brought(zoo, job, DATA)
    body = {"attempt": job.attempt, "result": made.model_dump(mode="json")}
    for client in (people.bob, people.ada):
        assert client.post(f"/jobs/{job.id}/finish", json=body).status_code == 404
    for part in made.statistics:
        people.ada.put(f"/blobs/{part.blob}", content=zoo.blobs.get(part.blob)).raise_for_status()
    assert people.bob.post(f"/jobs/{job.id}/finish", json=body).status_code == 404
    assert people.ada.put(f"/jobs/{job.id}/heartbeat", json={"attempt": job.attempt}).status_code == 200
    assert people.ada.post(f"/jobs/{job.id}/finish", json=body).status_code == 200
    assert people.ada.get(f"/queries/{query}").json()["status"] == "done"


def test_a_question_that_two_asked_is_ended_for_both_by_neither(people: People) -> None:
    data = send(people.ada)
    assert send(people.bob) == data
    body, later = {"task": data}, {"Prefer": "wait=0"}
    asked = [each.post("/transferability", json=body, headers=later).json()["id"] for each in (people.ada, people.bob)]
    assert asked[0] == asked[1]
    (job,) = people.ada.get("/jobs").json()["items"]
    refused = people.ada.delete(f"/jobs/{job['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "conflict")
    assert people.ada.delete(f"/queries/{asked[0]}").json()["status"] == "cancelled"
    assert people.bob.get(f"/queries/{asked[0]}").json()["status"] == "running"
    assert people.bob.delete(f"/queries/{asked[0]}").json()["status"] == "cancelled"
    again = people.ada.post("/transferability", json=body, headers=later).json()["id"]
    people.bob.post("/transferability", json=body, headers=later).raise_for_status()
    assert people.root.delete(f"/jobs/{people.root.get('/jobs').json()['items'][0]['id']}").status_code == 200
    assert people.ada.get(f"/queries/{again}").json()["status"] == "failed"
