"""A service that ends while requests are under way: they get an answer they can act on, and no trace is written."""

import http.client
import json
import threading
from pathlib import Path

import pytest

from tests.api.serving import serving


def test_an_upload_that_the_end_of_the_service_cuts_short_is_told_to_come_back(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path) as service:
        url = service.http.base_url
        connection = http.client.HTTPConnection(url.host, url.port, timeout=20)
        connection.putrequest("POST", "/datasets")
        connection.putheader("Content-Length", "1000000")
        connection.endheaders(b"only the beginning")
        answered: list[http.client.HTTPResponse] = []
        waiting = threading.Thread(target=lambda: answered.append(connection.getresponse()))
        waiting.start()
    waiting.join(20)
    (answer,) = answered
    problem = json.loads(answer.read())
    assert (answer.status, problem["code"]) == (503, "busy")
    assert answer.headers["Retry-After"]
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["X-Request-Id"] == problem["request_id"]
    assert "Traceback" not in "".join(capfd.readouterr())
    assert service.blobs() == set()
