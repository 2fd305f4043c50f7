"""The description says what the contract says, and nothing else is served."""

import json
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from fastapi import FastAPI

from api.app import create_app
from registry.settings import Settings
from storage.wiring import open_zoo
from tests.api.serving import Service, serving

CONTRACT = {
    "GET /modules",
    "GET /modules/{namespace}/{name}",
    "POST /modules/{namespace}/{name}/versions",
    "GET /modules/{namespace}/{name}/versions/{ref}",
    "GET /modules/{namespace}/{name}/versions/{ref}/file",
    "GET /modules/{namespace}/{name}/versions/{ref}/parts",
    "GET /modules/{namespace}/{name}/versions/{ref}/tensors",
    "GET /modules/{namespace}/{name}/versions/{ref}/lineage",
    "PUT /modules/{namespace}/{name}/versions/{ref}/yank",
    "DELETE /modules/{namespace}/{name}/versions/{ref}/yank",
    "DELETE /modules/{namespace}/{name}/versions/{ref}",
    "GET /modules/{namespace}/{name}/aliases/{alias}",
    "PUT /modules/{namespace}/{name}/aliases/{alias}",
    "DELETE /modules/{namespace}/{name}/aliases/{alias}",
    "GET /modules/{namespace}/{name}/aliases/{alias}/history",
    "PUT /blobs/{digest}",
    "GET /blobs/{digest}",
    "GET /blobs/{digest}/parts",
    "POST /uploads",
    "GET /uploads/{upload}",
    "PATCH /uploads/{upload}",
    "DELETE /uploads/{upload}",
    "POST /pipelines/check",
    "POST /pipelines",
    "GET /pipelines",
    "GET /pipelines/{pipeline}",
    "GET /pipelines/{pipeline}/file",
    "POST /pipelines/{pipeline}/predict",
    "POST /datasets",
    "GET /datasets",
    "GET /datasets/{digest}",
    "DELETE /datasets/{digest}",
    "POST /tasks",
    "GET /tasks",
    "GET /tasks/{task}",
    "POST /reusability",
    "POST /transferability",
    "GET /transferability/map",
    "POST /transferability/sets",
    "GET /transferability/labels",
    "GET /queries/{query}",
    "GET /queries/{query}/events",
    "DELETE /queries/{query}",
    "POST /queries/{query}/outcomes",
    "GET /queries/{query}/outcomes",
    "GET /calibration",
    "POST /jobs",
    "GET /jobs",
    "GET /jobs/{job_id}",
    "GET /jobs/{job_id}/events",
    "DELETE /jobs/{job_id}",
    "POST /jobs/claim",
    "PUT /jobs/{job_id}/heartbeat",
    "POST /jobs/{job_id}/finish",
    "POST /jobs/{job_id}/fail",
    "POST /jobs/{job_id}/release",
    "GET /tokens",
    "POST /tokens",
    "GET /tokens/me",
    "DELETE /tokens/{token}",
    "GET /namespaces",
    "GET /namespaces/{namespace}",
    "PUT /namespaces/{namespace}",
    "GET /changes",
    "GET /changes/events",
    "GET /audit",
    "POST /webhooks",
    "GET /webhooks",
    "GET /webhooks/{webhook}",
    "DELETE /webhooks/{webhook}",
    "GET /webhooks/{webhook}/deliveries",
    "GET /audit/check",
    "GET /healthz",
    "GET /readyz",
    "GET /metrics",
    "GET /errors",
    "GET /errors/{code}",
}


@pytest.fixture(scope="module")
def app(service: Service) -> FastAPI:
    return service.app


def operations(app: FastAPI) -> dict[str, dict[str, object]]:
    """Every operation under its method and path."""
    paths = app.openapi()["paths"]
    return {f"{method.upper()} {path}": each for path, found in paths.items() for method, each in found.items()}


def test_the_description_lists_what_the_contract_lists(app: FastAPI) -> None:
    assert set(operations(app)) == CONTRACT


def test_operations_have_readable_names_of_their_own(app: FastAPI) -> None:
    names = [operation["operationId"] for operation in operations(app).values()]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names)
    assert all(operation["description"] for operation in operations(app).values())


def test_every_refusal_is_a_problem(app: FastAPI) -> None:
    reference = {"$ref": "#/components/schemas/Problem"}
    for name, operation in operations(app).items():
        refused = {status: each for status, each in operation["responses"].items() if status >= "400"}
        assert {"422", "default"} <= set(refused), name
        for response in refused.values():
            assert response["content"] == {"application/problem+json": {"schema": reference}}, name


def test_every_reference_of_the_description_is_there(app: FastAPI) -> None:
    document = app.openapi()
    wanted = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert wanted <= set(document["components"]["schemas"])
    assert "#/$defs/" not in json.dumps(document)
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_every_answer_says_its_headers(app: FastAPI) -> None:
    for name, operation in operations(app).items():
        for status, response in operation["responses"].items():
            assert "X-Request-Id" in response["headers"], name
            assert ("WWW-Authenticate" in response["headers"]) == (status == "401")
            if status == "201" and name.startswith("POST"):
                assert "Location" in response["headers"], name


@pytest.mark.parametrize(
    ("operation", "header", "status"),
    [
        ("GET /modules/{namespace}/{name}/versions/{ref}/parts", "If-None-Match", "304"),
        ("DELETE /modules/{namespace}/{name}/aliases/{alias}", "If-Match", "428"),
        ("GET /changes", "Prefer", "200"),
    ],
)
def test_conditions_and_wishes_that_count_are_named(app: FastAPI, operation: str, header: str, status: str) -> None:
    found = operations(app)[operation]
    assert header in {each["name"] for each in found["parameters"]}  # type: ignore[attr-defined]
    assert status in found["responses"]  # type: ignore[operator]


def test_bounds_are_written_as_the_whole_numbers_they_are(app: FastAPI) -> None:
    seed = app.openapi()["components"]["schemas"]["TrainingRecipe"]["properties"]["seed"]
    assert 2**63 in json.loads(json.dumps(seed)).values()
    assert "e+18" not in json.dumps(app.openapi())


def test_what_tells_models_apart_is_required(app: FastAPI) -> None:
    schemas = app.openapi()["components"]["schemas"]
    assert all("kind" in schemas[f"{name}Result"]["required"] for name in ("Train", "Score", "Predict", "Verify"))


def test_bodies_are_described(app: FastAPI) -> None:
    described = operations(app)
    assert set(described["POST /transferability"]["requestBody"]["content"]) == {
        "application/json",
        "multipart/form-data",
    }
    for name in ("POST /datasets", "PUT /blobs/{digest}", "POST /pipelines/{pipeline}/predict"):
        assert "application/octet-stream" in described[name]["requestBody"]["content"]


def test_the_description_is_served_and_framework_pages_are_not(service: Service) -> None:
    assert service.http.get("/openapi.json").json() == json.loads(json.dumps(service.app.openapi()))
    for path in ("/docs", "/redoc"):
        assert service.http.get(path).status_code == 404


def test_torch_and_storage_stay_behind_the_door() -> None:
    sources = (Path(__file__).parents[2] / "api").rglob("*.py")
    for source in sources:
        text = source.read_text()
        assert not re.search(r"^\s*(import|from) (torch|client|trainer)\b", text, re.MULTILINE), source
        if source.name != "asgi.py":
            assert not re.search(r"^\s*(import|from) storage\b", text, re.MULTILINE), source


def test_many_may_ask_for_the_description_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inside, described = threading.Lock(), []

    def describe_alone(app: FastAPI) -> dict[str, object]:
        assert inside.acquire(blocking=False), "two describe at once"
        time.sleep(0.05)
        described.append(app)
        inside.release()
        return {"paths": {}}

    monkeypatch.setattr("api.app.describe", describe_alone)
    app = create_app(open_zoo(Settings(home=tmp_path)))
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda _: app.openapi(), range(8))) == [{"paths": {}}] * 8
    assert described == [app]


def test_nobody_waits_while_the_description_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, others = threading.Event(), threading.Event()

    def describe_slowly(app: FastAPI) -> dict[str, object]:
        del app
        begun.set()
        return {"waited": others.wait(20)}

    monkeypatch.setattr("api.app.describe", describe_slowly)
    with serving(tmp_path) as service, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.http.get, "/openapi.json")
        assert begun.wait(20)
        assert service.http.get("/healthz").status_code == 200
        others.set()
        assert asked.result(20).json() == {"waited": True}
