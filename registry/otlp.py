"""Spans of OpenTelemetry, sent by OTLP over HTTP. Imported only where traces are asked for."""

from collections.abc import Iterator
from contextlib import contextmanager

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind as OtelKind
from opentelemetry.trace import Status, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from registry.traces import Attributes, Span, SpanKind

KINDS = {"server": OtelKind.SERVER, "consumer": OtelKind.CONSUMER}
W3C = TraceContextTextMapPropagator()


class OtelSpan:
    """One span."""

    def __init__(self, span: trace.Span) -> None:
        """Args: span: as OpenTelemetry has it."""
        self._span = span

    @property
    def traceparent(self) -> str | None:
        """Its place in the trace (W3C)."""
        carrier: dict[str, str] = {}
        W3C.inject(carrier, trace.set_span_in_context(self._span))
        return carrier.get("traceparent")

    def tell(self, name: str, value: str | int) -> None:
        """Say something of it."""
        self._span.set_attribute(name, value)

    def rename(self, name: str) -> None:
        """Call it something else."""
        self._span.update_name(name)

    def fail(self, why: str) -> None:
        """Say that it went wrong."""
        self._span.set_status(Status(StatusCode.ERROR, why))


class OtelSpans:
    """Spans of one provider."""

    def __init__(self, provider: TracerProvider) -> None:
        """Args: provider: knows where they go."""
        self._tracer = provider.get_tracer("module-zoo")

    @contextmanager
    def span(self, name: str, *, kind: SpanKind, parent: str | None, attributes: Attributes) -> Iterator[Span]:
        """A span for as long as the block runs; an error that leaves the block is recorded."""
        above = None if parent is None else W3C.extract({"traceparent": parent})
        with self._tracer.start_as_current_span(
            name, context=above, kind=KINDS[kind], attributes=dict(attributes)
        ) as span:
            yield OtelSpan(span)


def open_spans(part: str, endpoint: str | None) -> OtelSpans:
    """Spans that are sent in batches; without an endpoint, where OpenTelemetry's own variables say.

    Args:
        part: what the process is called.
        endpoint: base address of an OTLP receiver, such as ``http://127.0.0.1:4318``.
    """
    provider = TracerProvider(resource=Resource.create({"service.name": part}))
    target = None if endpoint is None else f"{endpoint.rstrip('/')}/v1/traces"
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=target)))
    return OtelSpans(provider)
