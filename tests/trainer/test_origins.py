"""A request can be followed: from the request to its job, to the worker's lines and requests, in one trace."""

import gzip
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from client.cli.serve import free_port
from tests.numpy_worker import linear_module

PATIENCE_SECONDS = 120.0
TRACE = "0af7651916cd43dd8448eb211c80319c"
ABOVE = f"00-{TRACE}-b7ad6b7169203331-01"
MINE = {"X-Request-Id": "follow-me", "traceparent": ABOVE}


@dataclass
class Receiver:
    """A receiver of traces: each span's process, name, id and parent."""

    url: str = ""
    spans: dict[bytes, tuple[str, str, bytes]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, body: bytes) -> None:
        """Take in what a process sends."""
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            part = next(each.value.string_value for each in resource.resource.attributes if each.key == "service.name")
            for scope in resource.scope_spans:
                for span in scope.spans:
                    if span.trace_id.hex() == TRACE:
                        with self.lock:
                            self.spans[span.span_id] = (part, span.name, span.parent_span_id)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            assert self.path == "/v1/traces"
            made.take(gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield made
        server.shutdown()


@pytest.fixture
def processes(tmp_path: Path, receiver: Receiver) -> Iterator[tuple[str, Path, Path]]:
    """A service and a worker, each a process, traced: the address, and the two logs."""
    port = free_port("127.0.0.1", 0)
    url = f"http://127.0.0.1:{port}"
    told = {"ZOO_HOME": str(tmp_path), "ZOO_PORT": str(port), "ZOO_URL": url, "ZOO_TRACES": receiver.url}
    environment = {**os.environ, **told, "ZOO_LOG_FORMAT": "json", "OTEL_BSP_SCHEDULE_DELAY": "200"}
    logs = tmp_path / "service.log", tmp_path / "worker.log"
    started = []
    for command, log in zip((["api"], ["trainer", "work"]), logs, strict=True):
        with log.open("wb") as output:
            started.append(
                subprocess.Popen([sys.executable, "-m", *command], env=environment, stdout=output, stderr=output)
            )
    yield url, *logs
    for process in reversed(started):
        process.terminate()
    for process in started:
        process.wait(30)


def eventually(look: object) -> object:
    """What a look gives as soon as it gives something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        try:
            if found := look():
                return found
        except httpx.TransportError:
            pass
        time.sleep(0.2)
    raise AssertionError("it did not happen in time")


def lines_of(log: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]


def test_a_request_is_followed_to_its_job_its_workers_lines_and_one_trace(
    processes: tuple[str, Path, Path], receiver: Receiver
) -> None:
    url, service_log, worker_log = processes
    eventually(lambda: httpx.get(f"{url}/readyz").status_code == 200)
    made = httpx.post(f"{url}/modules/ada/followed/versions", content=linear_module(1), headers=MINE)
    assert made.status_code == 201
    ended = eventually(
        lambda: [job for job in httpx.get(f"{url}/jobs").json()["items"] if job["status"] not in ("queued", "running")]
    )
    assert (ended[0]["status"], ended[0]["origin"]["request_id"]) == ("done", "follow-me")
    eventually(lambda: {"job verify", "POST /jobs/{job_id}/finish"} <= {name for _, name, _ in receiver.spans.values()})
    _check_logs(lines_of(service_log), lines_of(worker_log), job=ended[0]["id"])
    _check_trace(receiver)


def _check_logs(service: list[dict[str, object]], worker: list[dict[str, object]], *, job: int) -> None:
    """The id is in every line of the job, and in the lines of the requests that its worker made."""
    of_job = [line for line in worker if line.get("job") == job]
    assert [line["event"] for line in of_job if line["event"].startswith("job")] == ["job claimed", "job ended"]
    assert {line["request_id"] for line in of_job} == {"follow-me"}
    paths = {line["path"] for line in service if line.get("request_id") == "follow-me"}
    assert {"/modules/ada/followed/versions", f"/jobs/{job}/heartbeat", f"/jobs/{job}/finish"} <= paths


def _check_trace(receiver: Receiver) -> None:
    """Request, job, and the request that ends it stand below each other, each in its process."""
    by_name = {name: (part, span, above) for span, (part, name, above) in receiver.spans.items()}
    publish = by_name["POST /modules/{namespace}/{name}/versions"]
    job, finish = by_name["job verify"], by_name["POST /jobs/{job_id}/finish"]
    assert publish[2].hex() == ABOVE.split("-")[2]
    assert (publish[0], job[0], finish[0]) == ("module-zoo-service", "module-zoo-worker", "module-zoo-service")
    assert (job[2], finish[2]) == (publish[1], job[1])
