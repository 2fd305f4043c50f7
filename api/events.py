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


class _EventStream(StreamingResponse):
    """A stream that takes a seat before it begins, so that too many are refused and not cut off."""

    def __init__(self, events: AsyncIterator[bytes], room: WaitingRoom) -> None:
        headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(events, headers=headers, media_type=MEDIA_TYPE)
        self._room = room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async with self._room.seat():
            await super().__call__(scope, receive, send)


async def _events(room: WaitingRoom, subject: Subject[State], state: State) -> AsyncIterator[bytes]:
    """Each new state as an event; it ends with the last one, or when its subject is gone."""
    told, pause, spoke = "", PAUSE_SECONDS, time.monotonic()
    while True:
        text = state.model_dump_json()
        if text != told:
            name = subject.status(state) if subject.ended(state) else "progress"
            yield f"event: {name}\ndata: {text}\n\n".encode()
            told, pause, spoke = text, PAUSE_SECONDS, time.monotonic()
        if subject.ended(state):
            return
        if time.monotonic() - spoke >= KEEP_ALIVE_SECONDS:
            yield KEEP_ALIVE
            spoke = time.monotonic()
        await anyio.sleep(pause)
        pause = min(1.5 * pause, LONGEST_PAUSE_SECONDS)
        try:
            state = await room.look(subject.look)
        except ZooError:
            return  # whoever comes back for more is told the reason
