"""Section 2: health, metrics, the description; and who may ask."""

import json
import re

import httpx
import pytest

from tests.conformance.asking import problem
from tests.conformance.conftest import Deployment

NO_DIGEST = "sha256:" + "0" * 64
WRITES = {
    "/modules/a/b/versions": "POST",
    "/modules/a/b/versions/1": "DELETE",
    "/modules/a/b/versions/1/yank": "PUT",
    "/modules/a/b/aliases/c": "PUT",
    f"/blobs/{NO_DIGEST}": "PUT",
    "/datasets": "POST",
    f"/datasets/{NO_DIGEST}": "DELETE",
    "/tasks": "POST",
    "/pipelines": "POST",
    "/pipelines/check": "POST",
    "/pipelines/a/predict": "POST",
    "/transferability": "POST",
    "/reusability": "POST",
    "/jobs": "POST",
    "/jobs/claim": "POST",
    "/jobs/1/heartbeat": "PUT",
    "/jobs/1/finish": "POST",
    "/jobs/1/fail": "POST",
    "/queries/a/outcomes": "POST",
}
PRIVATE_READS = ("/datasets", "/tasks", "/jobs", "/queries/a", "/calibration", f"/blobs/{NO_DIGEST}")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_the_service_says_that_it_lives_and_is_ready(http: httpx.Client, path: str) -> None:
    answer = http.get(path)
    assert (answer.status_code, answer.json()["status"]) == (200, "ok")
    assert answer.headers["cache-control"] == "no-store"


def test_metrics_are_those_of_prometheus(http: httpx.Client) -> None:
    http.get("/healthz")
    answer = http.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    assert re.search(r"^# TYPE \w+ counter$", answer.text, flags=re.MULTILINE)
    assert all(re.fullmatch(r"#.*|[a-zA-Z_:][\w:]*(\{.*\})? \S+", line) for line in answer.text.splitlines() if line)


def test_the_description_is_openapi_and_names_every_request_of_the_contract(http: httpx.Client) -> None:
    document = http.get("/openapi.json").json()
    assert document["openapi"].startswith("3.")
    paths = document["paths"]
    for path, method in {
        "/modules": "get",
        "/modules/{namespace}/{name}": "get",
        "/modules/{namespace}/{name}/versions": "post",
        "/modules/{namespace}/{name}/versions/{ref}/file": "get",
        "/blobs/{digest}": "put",
        "/pipelines/check": "post",
        "/datasets": "post",
        "/tasks": "post",
        "/reusability": "post",
        "/transferability": "post",
        "/transferability/map": "get",
        "/queries/{query}/events": "get",
        "/jobs/claim": "post",
        "/healthz": "get",
    }.items():
        assert method in paths[path], path
    assert "application/problem+json" in json.dumps(paths["/tasks"]["post"]["responses"])


@pytest.fixture(scope="module")
def guarded(deployment: Deployment) -> str:
    """The address of a deployment that asks for a token."""
    if deployment.token is None:
        pytest.skip("this deployment takes no token")
    return deployment.url


@pytest.mark.parametrize("path", [*WRITES, *PRIVATE_READS])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic eDp5"}], ids=str)
def test_whoever_writes_or_reads_what_is_private_needs_a_token(
    guarded: str, path: str, headers: dict[str, str]
) -> None:
    method = "GET" if path in PRIVATE_READS and path not in WRITES else WRITES[path]
    answer = httpx.request(method, guarded + path, headers=headers, timeout=60.0)
    problem(answer, 401, "unauthenticated")
    assert answer.headers["www-authenticate"].startswith("Bearer")


@pytest.mark.parametrize("path", [*WRITES, *PRIVATE_READS][:5])
def test_a_wrong_token_is_told_from_none(guarded: str, path: str) -> None:
    answer = httpx.request(
        WRITES.get(path, "GET"), guarded + path, headers={"Authorization": "Bearer wrong"}, timeout=60.0
    )
    problem(answer, 401, "invalid_token")
    assert 'error="invalid_token"' in answer.headers["www-authenticate"]


@pytest.mark.parametrize("path", ["/healthz", "/modules", "/pipelines", "/openapi.json", "/metrics"])
def test_what_is_public_needs_none(guarded: str, path: str) -> None:
    assert httpx.get(guarded + path, timeout=60.0).status_code == 200
