"""Whether the service lives and can serve, and what it counts."""

import shutil

import httpx

from tests.api.serving import Service


def test_a_service_that_lives_says_so(http: httpx.Client) -> None:
    for path in ("/healthz", "/readyz"):
        answer = http.get(path)
        assert (answer.status_code, answer.json()) == (200, {"status": "ok"})
        assert http.head(path).content == b""


def test_a_service_that_cannot_store_is_not_ready(fresh: Service) -> None:
    shutil.rmtree(fresh.zoo.settings.home / "blobs")
    answer = fresh.http.get("/readyz")
    assert (answer.status_code, answer.json()["code"]) == (503, "busy")
    assert answer.headers["retry-after"] == "1"
    assert fresh.http.get("/healthz").status_code == 200


def test_requests_are_counted_by_template_and_not_by_path(http: httpx.Client) -> None:
    for number in range(3):
        http.get(f"/jobs/{number + 1}")
    http.get("/no/such/place")
    http.head("/healthz")
    text = http.get("/metrics").text
    assert 'zoo_http_requests_total{method="GET",route="/jobs/{job_id}",status="404"} 3.0' in text
    assert 'zoo_http_requests_total{method="HEAD",route="/healthz",status="200"}' in text
    assert 'route="none",status="404"' in text
    assert "/no/such/place" not in text
    assert "zoo_http_request_seconds_bucket" in text
    assert "zoo_http_waiting_requests 0.0" in text


def test_every_answer_is_to_be_taken_as_what_it_says(http: httpx.Client) -> None:
    for path in ("/healthz", "/nope", "/modules"):
        headers = http.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-request-id"]
