"""Server-sent events: following something until it ends, over as many connections as that takes."""

from collections.abc import Callable, Iterator
from typing import TypeVar

import httpx
from pydantic import BaseModel

from client.connection import Call, Connection
from client.errors import error_of, unreachable

State = TypeVar("State", bound=BaseModel)

SILENCE_SECONDS = 60.0


def follow(connection: Connection, path: str, state: type[State], *, ended: Callable[[State], bool]) -> Iterator[State]:
    """Every new state of something, from now until it has ended.

    Args:
        connection: the zoo.
        path: where it is; its events are at ``path``/events, each event's data being a whole state.
        state: the model of a state.
        ended: tells a last state from the others.

    Raises:
        ServiceUnreachableError: the events broke off and could not be had again.
        ZooError: what the zoo answered.
    """
    failures, last = 0, None
    while True:
        error: httpx.TransportError = httpx.ReadError("the events ended before their subject did")
        try:
            for current in _states(connection, path, state):
                failures = 0
                if current != last:
                    yield current
                last = current
                if ended(current):
                    return
        except httpx.TransportError as caught:
            error = caught
        failures += 1
        if failures >= connection.timeouts.tries:
            raise unreachable(connection.url, error) from error
        connection.timeouts.pause(failures, error)


def _states(connection: Connection, path: str, state: type[State]) -> Iterator[State]:
    """The states that one connection brings."""
    call = Call("GET", f"{path}/events", headers={"Accept": "text/event-stream"})
    with connection.stream(call, stall_seconds=SILENCE_SECONDS) as response:
        if response.status_code >= 400:
            raise error_of(response)
        for data in event_data(_lines(response.iter_bytes())):
            yield connection.parse(data, state)


def _lines(chunks: Iterator[bytes]) -> Iterator[str]:
    """Text lines of a stream; only line feeds end a line, since names may hold other separators of Unicode."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        yield from (line.removesuffix(b"\r").decode(errors="replace") for line in lines)


def event_data(lines: Iterator[str]) -> Iterator[str]:
    """The data of each event in a stream of lines; comments, names, ids and events without data are passed over.

    Source:
        WHATWG, HTML Living Standard, section 9.2.6, Interpreting an event stream.
    """
    data: list[str] = []
    for line in lines:
        if not line and data:
            yield "\n".join(data)
            data = []
        field, _, value = line.partition(":")
        if field == "data":
            data.append(value.removeprefix(" "))
