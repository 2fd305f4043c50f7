"""Every error has one shape, whoever raises it, and tells nothing that it should not."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from api import actions
from api.app import create_app
from registry.access import Action
from registry.errors import Fault, InvalidTaskError
from registry.settings import Settings
from storage.wiring import open_zoo
from tests.api.serving import Service, running
from tests.numpy_worker import quadrant_zip

KEYS = {"type", "title", "status", "detail", "code", "errors", "request_id"}
DIGEST = "sha256:" + "0" * 64


def problem(answer: httpx.Response, status: int, code: str) -> dict[str, object]:
    """The problem of an answer, after checking its shape."""
    assert answer.headers["content-type"] == "application/problem+json"
    content = answer.json()
    assert set(content) == KEYS
    assert (answer.status_code, content["status"], content["code"]) == (status, status, code)
    assert content["type"] == f"/errors/{code}"
    assert content["request_id"] == answer.headers["x-request-id"]
    assert "Traceback" not in answer.text
    return content


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/no/such/place", 404, "not_found"),
        ("POST", "/healthz", 405, "method_not_allowed"),
        ("PATCH", "/modules/a/b", 405, "method_not_allowed"),
        ("GET", "/modules/a/b", 404, "not_found"),
        ("GET", "/modules/Upper/b", 422, "invalid_name"),
        ("GET", "/modules/a/b/versions/sha256:12", 422, "invalid_name"),
        ("GET", "/modules/a/b/versions/0", 404, "not_found"),
        ("GET", "/modules/a/b/versions/99999999999999999999", 404, "not_found"),
        ("GET", "/modules/a/b/versions/0/file", 404, "not_found"),
        ("DELETE", "/modules/a/b/versions/0", 404, "not_found"),
        ("DELETE", "/modules/a/b/versions/latest", 422, "invalid_name"),
        ("GET", f"/blobs/{DIGEST}", 404, "not_found"),
        ("GET", "/blobs/..%2f..%2fzoo.sqlite3", 404, "not_found"),
        ("GET", "/modules/%2e%2e/%2e%2e", 422, "invalid_name"),
        ("GET", "/modules/a%00b/c", 422, "invalid_name"),
        ("GET", f"/datasets/{DIGEST}", 404, "not_found"),
        ("GET", "/tasks/task-1", 404, "not_found"),
        ("GET", "/queries/query-1", 404, "not_found"),
        ("GET", "/queries/query-1/events", 404, "not_found"),
        ("GET", "/jobs/7", 404, "not_found"),
        ("GET", "/jobs/seven", 422, "invalid_input"),
        ("GET", "/jobs/99999999999999999999999", 422, "invalid_input"),
        ("GET", "/jobs/7/events", 404, "not_found"),
        ("GET", "/pipelines/x", 404, "not_found"),
        ("GET", "/pipelines/x/file", 404, "not_found"),
        ("GET", "/errors/none", 404, "not_found"),
        ("GET", "/modules?limit=0", 422, "invalid_input"),
        ("GET", "/modules?limit=201", 422, "invalid_input"),
        ("GET", "/modules?cursor=nonsense", 422, "invalid_input"),
        ("GET", "/modules?role=stem", 422, "invalid_input"),
        ("GET", "/transferability/map?task=one", 404, "not_found"),
        ("POST", "/datasets?broken=mend", 422, "invalid_input"),
        ("GET", "/audit?since=0001-01-01T00:00:00%2B14:00", 422, "invalid_input"),
        ("GET", "/audit?since=9999-12-31T23:59:59-14:00", 422, "invalid_input"),
        ("GET", "/modules/a/b/aliases/c/history?at=9999-12-31T23:59:59-14:00", 422, "invalid_input"),
    ],
)
def test_a_refusal_is_a_problem(http: httpx.Client, method: str, path: str, status: int, code: str) -> None:
    problem(http.request(method, path), status, code)


@pytest.mark.parametrize(
    "path", ["/modules", "/datasets", "/tasks", "/pipelines", "/jobs", "/healthz", "/openapi.json"]
)
def test_an_unknown_query_parameter_is_named(http: httpx.Client, path: str) -> None:
    if path == "/openapi.json":
        assert http.get(path).status_code == 200
        return
    content = problem(http.get(path, params={"rolle": "x"}), 422, "invalid_input")
    assert "'rolle'" in str(content["detail"])
    assert content["errors"] == [
        {"pointer": "/query/rolle", "detail": "there is no parameter 'rolle' here", "code": "extra_forbidden"}
    ]


@pytest.mark.parametrize(
    ("body", "pointers"),
    [
        ({}, {"/dataset"}),
        ({"dataset": 7}, {"/dataset"}),
        ({"dataset": DIGEST, "classes": {"a/b~": 3}}, {"/classes/a~1b~0"}),
        ({"dataset": DIGEST, "classes": {"a": []}}, {"/classes/a"}),
        ({"dataset": DIGEST, "klasses": {}}, {"/klasses"}),
        ([], {""}),
    ],
)
def test_wrong_fields_are_pointed_at(http: httpx.Client, body: object, pointers: set[str]) -> None:
    content = problem(http.post("/tasks", json=body), 422, "invalid_input")
    assert {fault["pointer"] for fault in content["errors"]} == pointers


def test_a_field_of_one_of_several_kinds_is_pointed_at_as_it_stands_in_the_body(http: httpx.Client) -> None:
    data = http.post("/datasets", content=quadrant_zip()).json()["digest"]
    recipe = {"task": {"dataset": data}, "family": "mlp"}
    job = http.post("/jobs", json={"name": "ada/digits", "recipe": recipe}).json()["id"]
    result = {"kind": "score", "statistics": [{"module": DIGEST, "blob": DIGEST, "milliseconds": -1}]}
    content = problem(http.post(f"/jobs/{job}/finish", json={"attempt": 1, "result": result}), 422, "invalid_input")
    assert [fault["pointer"] for fault in content["errors"]] == ["/result/statistics/0/milliseconds"]


@pytest.mark.parametrize(
    ("method", "path", "body", "told"),
    [
        ("GET", "/modules?limit=0", None, "limit must be greater than or equal to 1, got '0'"),
        ("GET", "/modules?role=stem", None, "role must be 'input', 'hidden' or 'output', got 'stem'"),
        ("GET", "/jobs/seven", None, "job_id must be a whole number, got 'seven'"),
        ("POST", "/datasets?broken=mend", None, "broken must be 'refuse' or 'leave_out', got 'mend'"),
        ("POST", "/tasks", {"dataset": DIGEST, "classes": {"a": 3}}, "classes/a must be a list, got 3"),
        (
            "POST",
            "/transferability",
            {"task": "t", "examples": 1},
            "examples must be greater than or equal to 4, got 1",
        ),
        ("POST", "/tasks", [], "the body must be an object, got a list of 0"),
    ],
)
def test_a_wrong_value_is_told(http: httpx.Client, method: str, path: str, body: object, told: str) -> None:
    content = problem(http.request(method, path, json=body), 422, "invalid_input")
    assert told in str(content["detail"])
    assert content["errors"][0]["detail"] == told


@pytest.mark.parametrize("text", [b"{", b"\xff\xfe", b"[" * 100_000, b'{"dataset": NaN', b""])
def test_what_is_not_json_is_refused(http: httpx.Client, text: bytes) -> None:
    answer = http.post("/tasks", content=text, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code, answer.json()["code"])


def test_json_under_another_name_is_refused_with_the_remedy(http: httpx.Client) -> None:
    answer = http.post("/tasks", content=b"{}", headers={"Content-Type": "text/plain"})
    assert "Content-Type: application/json" in str(problem(answer, 415, "unsupported_media_type")["detail"])


def test_json_beyond_the_limit_is_refused(service: Service) -> None:
    limit = service.zoo.settings.json_limit_bytes
    body = b'{"dataset": "' + b"x" * limit + b'"}'
    answer = service.http.post("/tasks", content=body, headers={"Content-Type": "application/json"})
    assert str(limit) in str(problem(answer, 413, "too_large")["detail"])


def test_json_of_untold_length_is_refused_once_it_passes_the_limit(service: Service) -> None:
    def chunks() -> object:
        for _ in range(40):
            yield b" " * 65_536

    headers = {"Content-Type": "application/json"}
    answer = service.http.post("/tasks", content=chunks(), headers=headers)
    problem(answer, 413, "too_large")


def test_a_callers_request_id_is_taken_over_where_it_is_sane(http: httpx.Client) -> None:
    for sane in ("1", "trace-0123", "x" * 128):
        assert http.get("/healthz", headers={"X-Request-Id": sane}).headers["x-request-id"] == sane
    for wild in ("", "x" * 129, 'a"quote-and-more', "with space inside"):
        assert http.get("/healthz", headers={"X-Request-Id": wild}).headers["x-request-id"] != wild


def test_the_type_of_a_problem_leads_to_its_meaning(http: httpx.Client) -> None:
    meant = http.get(http.get("/jobs/7").json()["type"]).json()
    assert (meant["code"], meant["status"]) == ("not_found", 404)
    codes = {each["code"] for each in http.get("/errors").json()["items"]}
    assert {"busy", "wrong_digest", "method_not_allowed", "internal_error", "range_not_satisfiable"} <= codes
    assert http.get("/errors/http_error").json()["status"] is None


@pytest.fixture
def broken_app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FastAPI:
    for route in ("GET /boom", "GET /faulty"):
        monkeypatch.setitem(actions.EVERY, route, Action.LOOK)
    app = create_app(open_zoo(Settings(home=tmp_path)))

    @app.get("/boom", include_in_schema=False)
    def boom() -> None:
        raise RuntimeError("the secret is 1234")

    @app.get("/faulty", include_in_schema=False)
    def faulty() -> None:
        raise InvalidTaskError("many faults", faults=[Fault(f"/{n}", "wrong") for n in range(1000)])

    return app


def test_what_nobody_expected_is_a_problem_without_its_reason(broken_app: FastAPI) -> None:
    with running(broken_app) as url:
        answer = httpx.get(f"{url}/boom", trust_env=False, timeout=60.0)
    content = problem(answer, 500, "internal_error")
    assert "1234" not in answer.text
    assert str(content["request_id"]) in str(content["detail"])


def test_a_thousand_faults_are_not_all_told(broken_app: FastAPI) -> None:
    with running(broken_app) as url:
        answer = httpx.get(f"{url}/faulty", trust_env=False)
    assert len(problem(answer, 422, "invalid_task")["errors"]) == 100


def test_a_wrong_method_is_answered_with_every_method_that_is_right(service: Service) -> None:
    for path, methods in {
        f"/blobs/{DIGEST}": "GET, HEAD, PUT",
        "/jobs/claim": "POST",
        "/jobs/1": "GET, HEAD, DELETE",
        "/pipelines/check": "POST",
        "/pipelines/anything": "GET, HEAD",
        "/": "GET, HEAD",
    }.items():
        answer = service.http.request("PATCH", path)
        problem(answer, 405, "method_not_allowed")
        assert answer.headers["allow"] == methods, path
