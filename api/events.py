"""Server-sent events: a state each time it changes, until it has ended."""

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

import anyio
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from api.door import HEAD
from api.waiting import WaitingRoom
from registry.errors import ZooError

State = TypeVar("State", bound=BaseModel)

PAUSE_SECONDS = 0.3
LONGEST_PAUSE_SECONDS = 1.0
KEEP_ALIVE_SECONDS = 15.0
MEDIA_TYPE = "text/event-stream"
KEEP_ALIVE = b": still here\n\n"


@dataclass(frozen=True)
class Subject(Generic[State]):
    """What is followed.

    Args:
        look: gives the state now; runs in a thread.
        status: names a state's status; it is the name of the event where the state has ended.
        ended: tells the last state from the others.
    """

    look: Callable[[], State]
    status: Callable[[State], str]
    ended: Callable[[State], bool]


async def follow(request: Request, room: WaitingRoom, subject: Subject[State]) -> Response:
    """Answer with the states of something, from now on. Raises what its first look raises."""
    first = await room.look(subject.look)
    if request.scope.get(HEAD, False):
        return Response(media_type=MEDIA_TYPE)
    return _EventStream(_events(room, subject, first), room)


def stream(request: Request, room: WaitingRoom, events: AsyncIterator[bytes]) -> Response:
    """Answer with events that never end by themselves."""
    return Response(media_type=MEDIA_TYPE) if request.scope.get(HEAD, False) else _EventStream(events, room)


class Pulse:
    """The pauses of a stream, and the signs of life that tell proxies and callers that it goes on."""

    def __init__(self) -> None:
        """Begin now."""
        self._pause, self._spoke = PAUSE_SECONDS, time.monotonic()

    async def rest(self, *, spoke: bool) -> AsyncIterator[bytes]:
        """Pause, longer each time that nothing was said; give a sign of life when one is due."""
        if spoke:
            self._pause, self._spoke = PAUSE_SECONDS, time.monotonic()
        elif time.monotonic() - self._spoke >= KEEP_ALIVE_SECONDS:
            self._spoke = time.monotonic()
            yield KEEP_ALIVE
        await anyio.sleep(self._pause)
        self._pause = min(1.5 * self._pause, LONGEST_PAUSE_SECONDS)


class _EventStream(StreamingResponse):
    """A stream that takes a seat before it begins, so that too many are refused and not cut off."""

    def __init__(self, events: AsyncIterator[bytes], room: WaitingRoom) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers, media_type=MEDIA_TYPE)
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._room.seat(Request(scope)):
            await super().__call__(scope, receive, send)


async def _events(room: WaitingRoom, subject: Subject[State], state: State) -> AsyncIterator[bytes]:
    """Each new state as an event; it ends with the last one, or when its subject is gone."""
    told, pulse = "", Pulse()
    while True:
        text = state.model_dump_json()
        is_new, told = text != told, text
        if is_new:
            name = subject.status(state) if subject.ended(state) else "progress"
            yield f"event: {name}\ndata: {text}\n\n".encode()
        if subject.ended(state):
            return
        async for sign in pulse.rest(spoke=is_new):
            yield sign
        try:
            state = await room.look(subject.look)
        except ZooError:
            return  # whoever comes back for more is told the reason
