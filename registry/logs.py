"""Logs: a line for each event, as JSON or for people, with the request's id; service and workers write the same."""

import logging
import sys
from typing import Literal

import structlog

LogFormat = Literal["auto", "json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def configure_logs(form: LogFormat = "auto", level: LogLevel = "info") -> None:
    """Write structured logs to standard error, from here on.

    Args:
        form: lines of JSON, or lines for people; `auto` writes for people at a terminal, and JSON elsewhere.
        level: what is less than this is left out.
    """
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *_renderers(for_people=form == "console" or (form == "auto" and sys.stderr.isatty())),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def _renderers(*, for_people: bool) -> tuple[structlog.types.Processor, ...]:
    """The last steps: what turns an event into a line."""
    if for_people:
        plain = structlog.dev.plain_traceback
        return (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain),)
    return (structlog.processors.format_exc_info, structlog.processors.JSONRenderer())
