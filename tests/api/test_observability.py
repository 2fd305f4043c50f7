"""What the service tells of itself: figures, health while it is busy, traces, and who asked for a job."""

import re
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.app import create_app
from registry.errors import BusyError
from registry.otlp import OtelSpans
from registry.records import Page, Pipeline
from registry.settings import Settings
from storage.folder_blobs import blob_path
from storage.wiring import open_zoo
from tests.api.serving import Service, running
from tests.api.test_modules import publish
from tests.api.worker import claim
from tests.numpy_worker import linear_module, output_module

ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
THREADS = 40


def figures(http: httpx.Client) -> dict[str, float]:
    """Every figure of the service, by its name and labels."""
    lines = http.get("/metrics").text.splitlines()
    return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}


def test_open_jobs_are_told_by_kind_and_status(fresh: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.observation.FRESH_SECONDS", 0.0)
    for number in range(3):
        publish(fresh.http, f"ada/number-{number}", linear_module(number))
    claim(fresh.http, "verify")
    told = figures(fresh.http)
    assert told['zoo_jobs{kind="verify",status="queued"}'] == 2
    assert told['zoo_jobs{kind="verify",status="running"}'] == 1
    assert told["zoo_oldest_queued_job_seconds"] > 0
    assert told["zoo_observed"] == 1
    for number in (1, 2, 3):
        fresh.http.delete(f"/jobs/{number}")
    told = figures(fresh.http)
    assert not any(name.startswith("zoo_jobs{") for name in told)
    assert told['zoo_jobs_ended_total{kind="verify",status="cancelled"}'] == 3
    assert told["zoo_oldest_queued_job_seconds"] == 0


def test_the_database_is_counted_once_in_some_seconds(fresh: Service) -> None:
    assert figures(fresh.http)["zoo_oldest_queued_job_seconds"] == 0
    publish(fresh.http, "ada/late", linear_module(1))
    assert figures(fresh.http)["zoo_oldest_queued_job_seconds"] == 0


def test_bytes_in_and_out_are_counted(fresh: Service) -> None:
    before = figures(fresh.http)
    data = linear_module(1)
    path = publish(fresh.http, "ada/counted", data).headers["location"]
    fresh.http.get(f"{path}/file")
    after = figures(fresh.http)
    assert after["zoo_http_received_bytes_total"] - before["zoo_http_received_bytes_total"] == len(data)
    assert after["zoo_http_sent_bytes_total"] - before["zoo_http_sent_bytes_total"] > len(data)


def test_damage_is_counted(fresh: Service) -> None:
    below = linear_module(1)
    first = publish(fresh.http, "ada/in", below).json()
    second = publish(fresh.http, "ada/out", output_module(first["digest"])).json()
    made = fresh.http.post("/pipelines", json={"name": "p", "modules": ["ada/in@1", "ada/out@1"]})
    path = blob_path(fresh.zoo.settings.home / "blobs", second["digest"])
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    answer = fresh.http.get(f"{made.headers['location']}/file")
    assert (answer.status_code, answer.json()["code"]) == (500, "corrupt_blob")
    assert figures(fresh.http)["zoo_damaged_reads_total"] == 1


def test_the_build_is_told(fresh: Service) -> None:
    assert re.search(r'zoo_build_info\{python="3\.[0-9.]+",version="[^"]+"\} 1\.0', fresh.http.get("/metrics").text)


def test_a_database_that_is_away_is_no_reason_to_tell_nothing(fresh: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    def away() -> None:
        raise BusyError("the database is away")

    monkeypatch.setattr(fresh.zoo.observation, "observe", away)
    told = figures(fresh.http)
    assert told["zoo_observed"] == 0
    assert "zoo_http_waiting_requests" in told


def test_every_figure_is_documented(fresh: Service) -> None:
    page = (Path(__file__).parents[2] / "docs" / "observability.md").read_text()
    told = re.findall(r"^# TYPE (\w+) ", fresh.http.get("/metrics").text, flags=re.MULTILINE)
    named = [name for name in told if not name.endswith("_created")]
    assert len(named) > 10
    assert [name for name in named if f"`{name.removesuffix('_total')}`" not in page] == []


def test_health_is_told_while_every_thread_is_busy(fresh: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    back, busy = threading.Event(), threading.Semaphore(0)

    def listed(**_: object) -> Page[Pipeline] | None:
        busy.release()
        return Page(items=()) if back.wait(30) else None

    monkeypatch.setattr(fresh.zoo.pipelines, "list", listed)
    waiting = [
        threading.Thread(target=lambda: httpx.get(fresh.http.base_url.join("/pipelines"), timeout=60))
        for _ in range(THREADS + 10)
    ]
    for each in waiting:
        each.start()
    try:
        for _ in range(THREADS):
            assert busy.acquire(timeout=20)
        with pytest.raises(httpx.ReadTimeout):
            fresh.http.get("/tasks", timeout=1.0)
        for path in ("/healthz", "/readyz", "/metrics"):
            assert fresh.http.get(path, timeout=10.0).status_code == 200
    finally:
        back.set()
        for each in waiting:
            each.join()


def test_what_is_not_ready_is_named(fresh: Service) -> None:
    (fresh.zoo.settings.home / "blobs" / "tmp").rmdir()
    answer = fresh.http.get("/readyz")
    assert (answer.status_code, [each["pointer"] for each in answer.json()["errors"]]) == (503, ["/blob store"])


def test_a_job_says_which_request_asked_for_it(fresh: Service) -> None:
    headers = {"X-Request-Id": "asked-by-me", "traceparent": ABOVE}
    fresh.http.post("/modules/ada/asked/versions", content=linear_module(1), headers=headers).raise_for_status()
    job = fresh.http.get("/jobs", params={"kind": "verify"}).json()["items"][0]
    assert job["origin"] == {"request_id": "asked-by-me", "traceparent": ABOVE}


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def traced(tmp_path: Path, exporter: InMemorySpanExporter) -> Iterator[str]:
    """The address of a service whose requests are traced."""
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with running(create_app(open_zoo(Settings(home=tmp_path)), spans=OtelSpans(provider))) as url:
        yield url


def ended_spans(exporter: InMemorySpanExporter, count: int) -> list[ReadableSpan]:
    """The first spans that have ended; a span ends a moment after its answer is there."""
    deadline = time.monotonic() + 10
    while len(exporter.get_finished_spans()) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return list(exporter.get_finished_spans()[:count])


def test_a_request_is_a_span_below_its_caller_and_its_job_is_below_the_request(
    traced: str, exporter: InMemorySpanExporter
) -> None:
    headers = {"X-Request-Id": "asked-by-me", "traceparent": ABOVE}
    httpx.post(f"{traced}/modules/ada/asked/versions", content=linear_module(1), headers=headers).raise_for_status()
    job = httpx.get(f"{traced}/jobs").json()["items"][0]
    first, second = ended_spans(exporter, 2)
    assert f"{first.context.trace_id:032x}" == ABOVE.split("-")[1]
    assert job["origin"]["traceparent"] == f"00-{first.context.trace_id:032x}-{first.context.span_id:016x}-01"
    assert first.name == "POST /modules/{namespace}/{name}/versions"
    assert first.attributes["zoo.request_id"] == "asked-by-me"
    assert first.attributes["http.response.status_code"] == 201
    assert (second.name, second.parent) == ("GET /jobs", None)
