"""Bodies with very many wrong values, and very large ones: what they cost is bounded, whoever sends them."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute, iter_route_contexts

from api import problems
from api.routes.jobs import HOME_RESULT_LIMIT_FACTOR, RESULT_LIMIT_FACTOR
from registry.access import TokenRole
from registry.frozen import MOST_FAULTS
from registry.records import Job
from tests.api.serving import Service, serving
from tests.api.test_access import secret_of
from tests.api.test_namespaces import TOKEN, person, publish
from tests.api.test_problems import problem
from tests.numpy_worker import quadrant_module, quadrant_zip, verify_all
from tests.registry.test_at_home import statement_of

DATA = quadrant_zip(seed=5)


def bodies(app: FastAPI) -> dict[str, APIRoute]:
    """The routes whose JSON the framework reads, by the name of its model."""
    routes = [context.original_route for context in iter_route_contexts(app.routes)]
    found = {}
    for route in routes:
        if isinstance(route, APIRoute) and route.body_field is not None:
            model = route.body_field.field_info.annotation
            assert isinstance(model, type)
            found[model.__name__] = route
    return found


def test_no_body_has_more_faults_told_than_anyone_reads(service: Service) -> None:
    found = bodies(service.app)
    assert len(found) > 10
    sent = {f"key-{number}": 1 for number in range(MOST_FAULTS + 1)}
    for name, route in found.items():
        assert route.body_field is not None
        _, errors = route.body_field.validate(sent, {}, loc=("body",))
        assert [each["type"] for each in errors or ()] == ["too_many_faults"], name


@pytest.mark.parametrize("path", ["/tokens", "/transferability", "/datasets"])
def test_very_many_wrong_values_are_counted_in_one_sentence(http: httpx.Client, path: str) -> None:
    content = problem(http.post(path, json={f"key-{number}": 1 for number in range(20_000)}), 422, "invalid_input")
    assert "things in it are wrong, too many to name each" in str(content["detail"])


def test_only_the_faults_that_are_told_are_worded(http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    worded = []

    def told(wrong: object, name: str) -> str:
        worded.append(name)
        return name

    monkeypatch.setattr(problems, "told", told)
    content = problem(http.post("/tokens", json={f"key-{number}": 1 for number in range(500)}), 422, "invalid_input")
    assert len(content["errors"]) == len(worded) == 100  # type: ignore[arg-type]
    assert "(and 501 more, see errors)" in str(content["detail"])


def test_of_a_list_that_a_worker_brings_one_wrong_item_is_told(http: httpx.Client) -> None:
    data = http.post("/datasets", content=DATA).json()["digest"]
    asked = {"name": "ada/m", "recipe": {"task": {"dataset": data}, "family": "mlp"}}
    job = http.post("/jobs", json=asked).json()["id"]
    wrong: dict[str, object] = {"kind": "predict", "milliseconds": 1, "predictions": [1] * 5000}
    content = problem(http.post(f"/jobs/{job}/finish", json={"attempt": 1, "result": wrong}), 422, "invalid_input")
    assert [each["pointer"] for each in content["errors"]] == ["/result/predictions/0"]  # type: ignore[union-attr,attr-defined]


def test_the_result_of_a_job_that_is_not_there_is_not_looked_at(http: httpx.Client) -> None:
    problem(http.post("/jobs/99999/finish", json={"attempt": "many"}), 404, "not_found")
    problem(http.post("/jobs/99999/finish", content=b"x" * 3_000_000), 404, "not_found")


def test_a_result_that_is_not_json_is_refused_with_the_remedy(http: httpx.Client) -> None:
    data = http.post("/datasets", content=DATA).json()["digest"]
    asked = {"name": "ada/n", "recipe": {"task": {"dataset": data}, "family": "mlp"}}
    job = http.post("/jobs", json=asked).json()["id"]
    answer = http.post(f"/jobs/{job}/finish", content=b"{}", headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in str(problem(answer, 415, "unsupported_media_type")["detail"])
    answer = http.post(f"/jobs/{job}/finish", content=b"{", headers={"Content-Type": "application/json"})
    problem(answer, 422, "invalid_input")


def test_large_results_are_taken_from_those_whose_job_it_is(tmp_path: Path) -> None:
    limit = 10_000
    with serving(tmp_path, token=TOKEN, json_limit_bytes=limit) as service:
        secrets = {role: secret_of(service, role, owner=str(role)) for role in TokenRole if role is not TokenRole.ADMIN}
        with (
            person(service, TOKEN) as root,
            person(service, secrets[TokenRole.READER]) as reader,
            person(service, secrets[TokenRole.PUBLISHER]) as publisher,
            person(service, secrets[TokenRole.WORKER]) as worker,
        ):
            publish(root, "open/eyes", quadrant_module()).raise_for_status()
            verify_all(service.zoo)
            home = _home_job(service, reader)
            assert _sent(publisher, home, 3 * limit) == 404
            assert _sent(reader, home, (HOME_RESULT_LIMIT_FACTOR + 1) * limit) == 413
            assert _sent(reader, home, (HOME_RESULT_LIMIT_FACTOR - 1) * limit) == 422
            assert _sent(worker, home, (RESULT_LIMIT_FACTOR + 1) * limit) == 413
            assert _sent(worker, home, (RESULT_LIMIT_FACTOR - 1) * limit) == 422


def _home_job(service: Service, reader: httpx.Client) -> Job:
    """A job of a reader's own, on data that stays at home."""
    statement = statement_of(service.zoo, DATA)
    reader.post("/datasets", json=statement.model_dump(mode="json")).raise_for_status()
    asked = reader.post("/transferability", json={"task": statement.digest}, headers={"Prefer": "wait=0"})
    claiming = {"worker": "home", "kinds": ["score-here"], "query": asked.json()["id"]}
    return Job.model_validate_json(reader.post("/jobs/claim", json=claiming).content)


def _sent(client: httpx.Client, job: Job, size_bytes: int) -> int:
    """How a result of such a size is answered; it is none, so it is refused where it is read."""
    return client.post(f"/jobs/{job.id}/finish", json={"attempt": job.attempt, "result": "x" * size_bytes}).status_code
