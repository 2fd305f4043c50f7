"""Logs are lines of JSON or lines for people, and leave out what is less than their level."""

import json
import sys
from collections.abc import Iterator

import pytest
import structlog

from registry.logs import configure_logs


@pytest.fixture(autouse=True)
def _reset() -> Iterator[None]:
    yield
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


def test_an_event_is_one_line_of_json_with_what_is_bound_to_it(capsys):
    configure_logs("json")
    with structlog.contextvars.bound_contextvars(request_id="one", job=7):
        structlog.get_logger().info("job claimed", attempt=2)
    (line,) = capsys.readouterr().err.splitlines()
    told = json.loads(line)
    assert told.pop("timestamp").endswith("Z")
    assert told == {"event": "job claimed", "level": "info", "request_id": "one", "job": 7, "attempt": 2}


def test_without_a_terminal_lines_are_json_unless_told_otherwise(capsys):
    assert not sys.stderr.isatty()
    configure_logs()
    structlog.get_logger().info("one")
    configure_logs("console")
    structlog.get_logger().info("two")
    first, second = capsys.readouterr().err.splitlines()
    assert json.loads(first)["event"] == "one"
    assert "two" in second
    assert not second.startswith("{")


def test_what_is_less_than_the_level_is_left_out(capsys):
    configure_logs("json", "warning")
    structlog.get_logger().info("less")
    structlog.get_logger().warning("enough")
    assert [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()] == ["enough"]


def test_a_traceback_is_part_of_the_line(capsys):
    configure_logs("json")
    try:
        int("stumbled")
    except ValueError:
        structlog.get_logger().exception("job failed")
    (line,) = capsys.readouterr().err.splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
