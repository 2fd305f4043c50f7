"""Section 2: errors have one shape, whoever raises them, and every answer has a request id."""

import http.client
import re
from urllib.parse import urlsplit

import httpx
import pytest

from tests.conformance.asking import pointers, problem
from tests.conformance.conftest import Deployment

NO_DIGEST = "sha256:" + "0" * 64

WRONG = {
    "unknown path": ("GET", "/no/such/path", 404, "not_found"),
    "unknown blob": ("GET", f"/blobs/{NO_DIGEST}", 404, "not_found"),
    "unknown module": ("GET", "/modules/nobody/nothing", 404, "not_found"),
    "unknown version": ("GET", "/modules/nobody/nothing/versions/7", 404, "not_found"),
    "unknown dataset": ("GET", f"/datasets/{NO_DIGEST}", 404, "not_found"),
    "unknown task": ("GET", "/tasks/nothing", 404, "not_found"),
    "unknown query": ("GET", "/queries/nothing", 404, "not_found"),
    "unknown pipeline": ("GET", "/pipelines/nothing-of-the-kind", 404, "not_found"),
    "unknown job": ("GET", "/jobs/999999999999", 404, "not_found"),
    "a digest that is none": ("GET", "/blobs/sha256:xyz", 422, "invalid_name"),
    "a name that is none": ("GET", "/modules/Upper/case", 422, "invalid_name"),
    "a method that is none": ("DELETE", "/healthz", 405, "method_not_allowed"),
    "an unknown parameter": ("GET", "/modules?nonsense=1", 422, "invalid_input"),
    "a limit beyond the bound": ("GET", "/modules?limit=201", 422, "invalid_input"),
    "a limit of nothing": ("GET", "/modules?limit=0", 422, "invalid_input"),
    "a cursor of nowhere": ("GET", "/modules?cursor=nonsense", 422, "invalid_input"),
}


@pytest.mark.parametrize("what", WRONG)
def test_every_error_is_a_problem(http: httpx.Client, what: str) -> None:
    method, path, status, code = WRONG[what]
    problem(http.request(method, path), status, code)


def test_every_wrong_field_is_named_by_a_pointer(http: httpx.Client) -> None:
    body = {"dataset": "no digest", "classes": {"a": []}, "extra": 1}
    assert pointers(problem(http.post("/tasks", json=body), 422, "invalid_input")) == {
        "/dataset",
        "/classes/a",
        "/extra",
    }


def test_every_wrong_query_parameter_is_named_by_a_pointer(http: httpx.Client) -> None:
    assert pointers(problem(http.get("/modules?limit=x&role=none"), 422, "invalid_input")) == {
        "/query/limit",
        "/query/role",
    }


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"text"', b"\xff\xfe", b"[" * 100_000], ids=repr)
def test_what_is_no_json_object_is_refused(http: httpx.Client, body: bytes) -> None:
    answer = http.post("/tasks", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422)
    problem(answer, answer.status_code, answer.json()["code"])


def test_another_media_type_is_refused(http: httpx.Client) -> None:
    problem(http.post("/tasks", content=b"x=1", headers={"Content-Type": "text/plain"}), 415, "unsupported_media_type")


def test_a_wrong_method_is_answered_with_those_that_are_right(http: httpx.Client) -> None:
    answer = http.request("PATCH", f"/datasets/{NO_DIGEST}")
    problem(answer, 405, "method_not_allowed")
    assert {each.strip() for each in answer.headers["allow"].split(",")} == {"GET", "HEAD", "DELETE"}


@pytest.mark.parametrize("path", ["/healthz", "/modules", "/no/such/path", f"/blobs/{NO_DIGEST}"])
def test_every_answer_has_a_request_id_of_its_own(http: httpx.Client, path: str) -> None:
    ids = {http.get(path).headers["x-request-id"] for _ in range(3)}
    assert len(ids) == 3
    assert all(re.fullmatch(r"[A-Za-z0-9._-]{1,128}", each) for each in ids)


def test_a_request_may_bring_its_id(http: httpx.Client) -> None:
    answer = http.get("/tasks/nothing", headers={"X-Request-Id": "my-own.id_7"})
    assert problem(answer, 404, "not_found")["request_id"] == "my-own.id_7"


@pytest.mark.parametrize("given", ["with space", "x" * 129, "semi;colon"])
def test_an_id_that_could_do_harm_is_replaced(http: httpx.Client, given: str) -> None:
    assert http.get("/healthz", headers={"X-Request-Id": given}).headers["x-request-id"] != given


@pytest.mark.parametrize(
    ("method", "path"), [("PUT", f"/blobs/{NO_DIGEST}"), ("POST", "/datasets"), ("POST", "/tasks")]
)
def test_a_body_that_says_it_is_too_large_is_refused_before_it_is_read(
    deployment: Deployment, method: str, path: str
) -> None:
    assert answer_before_the_body(deployment, method, path, length=10**15) == 413


def test_a_module_that_says_it_is_too_large_is_refused_before_it_is_read(
    deployment: Deployment, namespace: str
) -> None:
    assert answer_before_the_body(deployment, "POST", f"/modules/{namespace}/large/versions", length=10**15) == 413


def answer_before_the_body(deployment: Deployment, method: str, path: str, *, length: int) -> int:
    """The status that comes although only the head of a request was sent."""
    address = urlsplit(deployment.url)
    kind = http.client.HTTPSConnection if address.scheme == "https" else http.client.HTTPConnection
    connection = kind(address.hostname or "", address.port, timeout=20)
    try:
        connection.putrequest(method, address.path + path)
        if deployment.token is not None:
            connection.putheader("Authorization", f"Bearer {deployment.token}")
        connection.putheader("Content-Type", "application/json" if path == "/tasks" else "application/octet-stream")
        connection.putheader("Content-Length", str(length))
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()
