"""Traces: spans of requests and jobs, sent where `ZOO_TRACES` says; where it says nothing, nothing is imported."""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Literal, Protocol

from registry.errors import SettingsError

SpanKind = Literal["server", "consumer"]
Attributes = Mapping[str, str | int]

TELLING = ("ZOO_TRACES", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The variables any of which asks for traces; the latter two are OpenTelemetry's own."""


class Span(Protocol):
    """Something that takes time, as part of a trace."""

    @property
    def traceparent(self) -> str | None:
        """Its place in the trace, for whatever it asks for; None where there are no traces."""

    def tell(self, name: str, value: str | int) -> None:
        """Say something of it."""

    def rename(self, name: str) -> None:
        """Call it something else."""

    def fail(self, why: str) -> None:
        """Say that it went wrong."""


class Spans(Protocol):
    """Where spans begin."""

    def span(
        self, name: str, *, kind: SpanKind, parent: str | None, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """A span for as long as the block runs, below `parent` (a `traceparent`) where there is one."""


class _NoSpan:
    """A span of which nothing is kept."""

    traceparent = None

    def tell(self, name: str, value: str | int) -> None:
        """Nothing."""

    def rename(self, name: str) -> None:
        """Nothing."""

    def fail(self, why: str) -> None:
        """Nothing."""


class NoSpans:
    """No traces are kept."""

    _SPAN: AbstractContextManager[Span] = nullcontext(_NoSpan())

    def span(
        self, name: str, *, kind: SpanKind, parent: str | None, attributes: Attributes
    ) -> AbstractContextManager[Span]:
        """A span of which nothing is kept."""
        del name, kind, parent, attributes
        return self._SPAN


NO_SPANS = NoSpans()


WANTED = any(os.environ.get(name) for name in TELLING)
"""Whether the environment asks for traces, as it was when this process started."""

if WANTED:
    try:
        from registry.otlp import open_spans
    except ImportError as error:  # told by whoever starts
        _MISSING: ImportError | None = error
    else:
        _MISSING = None


def spans_of_process(part: str) -> Spans:
    """The spans of this process, as the environment had it when it started.

    Args:
        part: what the process is called in traces, such as ``module-zoo-service``.

    Raises:
        SettingsError: traces are asked for, and what sends them is not installed.
    """
    if not WANTED:
        return NO_SPANS
    if _MISSING is not None:
        raise SettingsError(
            f"traces need the extra 'tracing' ({_MISSING}); install '.[tracing]', or unset {TELLING[0]}"
        )
    return open_spans(part, os.environ.get(TELLING[0]))
