"""Traces: spans that hang together across processes; and nothing at all where nobody asks for them."""

import os
import subprocess
import sys

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from registry.origins import Origin, current_origin, originating, traceparent_of
from registry.otlp import OtelSpans
from registry.traces import NO_SPANS

ABOVE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def exporter():
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter):
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return OtelSpans(provider)


def test_a_span_stands_below_the_one_that_the_caller_named(spans, exporter):
    with spans.span("job train", kind="consumer", parent=ABOVE, attributes={"zoo.job": 7}) as span:
        told = span.traceparent
        span.tell("zoo.attempt", 2)
        span.rename("job score")
        span.fail("given up")
    (ended,) = exporter.get_finished_spans()
    assert f"{ended.context.trace_id:032x}" == ABOVE.split("-")[1]
    assert f"{ended.parent.span_id:016x}" == ABOVE.split("-")[2]
    assert told == f"00-{ended.context.trace_id:032x}-{ended.context.span_id:016x}-01"
    assert (ended.name, dict(ended.attributes)) == ("job score", {"zoo.job": 7, "zoo.attempt": 2})
    assert (ended.status.is_ok, ended.status.description) == (False, "given up")


def test_a_span_without_a_caller_begins_a_trace(spans, exporter):
    with spans.span("GET", kind="server", parent=None, attributes={}):
        pass
    (ended,) = exporter.get_finished_spans()
    assert ended.parent is None


def test_an_error_that_leaves_a_span_is_recorded(spans, exporter):
    with pytest.raises(ValueError, match="no"), spans.span("GET", kind="server", parent=None, attributes={}):
        raise ValueError("no")
    (ended,) = exporter.get_finished_spans()
    assert not ended.status.is_ok


def test_without_traces_a_span_is_nothing():
    with NO_SPANS.span("GET", kind="server", parent=ABOVE, attributes={}) as span:
        span.tell("a", 1)
        span.rename("b")
        span.fail("c")
        assert span.traceparent is None


@pytest.mark.parametrize("door", ["api.__main__", "registry.traces"])
def test_nothing_is_imported_for_traces_that_nobody_asks_for(door):
    code = f"import sys, {door}; sys.exit('opentelemetry.sdk' in sys.modules or 'registry.otlp' in sys.modules)"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("ZOO_", "OTEL_"))}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


def test_where_what_sends_them_is_missing_the_remedy_is_told():
    code = (
        "import sys; sys.modules['opentelemetry'] = None\n"
        "from registry.traces import spans_of_process\n"
        "from registry.errors import SettingsError\n"
        "try:\n    spans_of_process('part')\n"
        "except SettingsError as error:\n    sys.exit('tracing' not in error.detail)\n"
        "sys.exit(2)"
    )
    environment = {**os.environ, "ZOO_TRACES": "http://127.0.0.1:1"}
    assert subprocess.run([sys.executable, "-c", code], env=environment, check=False).returncode == 0


@pytest.mark.parametrize(
    ("header", "taken"),
    [
        (ABOVE, True),
        (None, False),
        ("", False),
        (ABOVE.upper(), False),
        (ABOVE + "\n", False),
        ("01" + ABOVE[2:], False),
        ("00-" + "0" * 32 + ABOVE[35:], False),
        (ABOVE[:36] + "0" * 16 + "-01", False),
    ],
)
def test_only_what_is_written_as_it_should_be_is_passed_on(header, taken):
    assert traceparent_of(header) == (header if taken else None)


def test_an_origin_holds_while_its_block_runs():
    outer, inner = Origin(request_id="outer"), Origin(request_id="inner")
    with originating(outer):
        with originating(inner):
            assert current_origin() == inner
        assert current_origin() == outer
    assert current_origin() == Origin()
