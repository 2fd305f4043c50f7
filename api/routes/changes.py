"""The change feed over HTTP: a page after a serial, waited for if need be, or server-sent events."""

import time
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Header, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer
from api.conditions import preference_applied, preferred_wait
from api.events import MEDIA_TYPE, Pulse, stream
from api.inputs import LONGEST_PAGE, PAGE, Limit, Services, TheServices
from api.openapi import refusals, takes_headers
from registry.changes import ChangeFeed
from registry.errors import BusyError
from registry.frozen import Frozen
from registry.names import WORD_PATTERN
from registry.records import Change

router = APIRouter(tags=["changes"])

FOLLOWED_SECONDS = 300.0
"""Then a stream ends; browsers come back by themselves, with `Last-Event-ID`."""

NAMESPACE = f"^{WORD_PATTERN}$"

Serial = Annotated[int, Query(ge=0, lt=2**63, description="the serial that the answer before ended with; 0: all")]
Namespace = Annotated[str | None, Query(pattern=NAMESPACE, description="only changes of this namespace")]


class Followed(Frozen):
    """Where to begin: after a serial; without one, from now on."""

    since: Annotated[int | None, Field(ge=0, lt=2**63, description="the serial after which to begin; now")] = None
    namespace: Annotated[str | None, Field(pattern=NAMESPACE, description="only changes of this namespace")] = None


@router.get(
    "/changes",
    response_model=ChangeFeed,
    operation_id="list_changes",
    responses=refusals(BusyError),
    openapi_extra=takes_headers("Prefer"),
)
async def list_changes(
    request: Request, services: TheServices, since: Serial = 0, limit: Limit = PAGE, namespace: Namespace = None
) -> Response:
    """What has changed after a serial, oldest first; with `Prefer: wait=N`, as soon as there is something."""
    changes = services.zoo.changes
    seconds = preferred_wait(request, default=0.0, limit=services.zoo.settings.wait_limit_seconds)
    awaited = changes.wait(since, limit=limit, namespace=namespace)
    await services.rooms.news.wait_for(awaited.look, seconds=seconds, request=request)
    return answer(awaited.feed, headers=preference_applied(request, seconds))


@router.get(
    "/changes/events",
    response_class=Response,
    operation_id="follow_changes",
    responses={
        **refusals(BusyError),
        200: {"description": "An event a change, named by its kind; each holds a Change.", "content": {MEDIA_TYPE: {}}},
    },
)
async def follow_changes(
    request: Request,
    services: TheServices,
    wanted: Annotated[Followed, Query()],
    last_event_id: Annotated[
        str | None, Header(alias="Last-Event-ID", pattern="^[0-9]{1,18}$", description="the serial seen last")
    ] = None,
) -> Response:
    """Changes as server-sent events, from `Last-Event-ID`, `since`, or now on, for five minutes."""
    begin = wanted.since if last_event_id is None else int(last_event_id)
    if begin is None:
        begin = await services.rooms.news.look(services.zoo.changes.serial)
    return stream(request, services.rooms.news, _events(services, begin, wanted.namespace))


async def _events(services: Services, serial: int, namespace: str | None) -> AsyncIterator[bytes]:
    """Every change after a serial as an event, and a sign of life in between; whoever wants more comes back."""
    pulse = Pulse()
    ends = time.monotonic() + min(FOLLOWED_SECONDS, services.zoo.settings.wait_limit_seconds)
    while time.monotonic() < ends:
        news = partial(services.zoo.changes.since, serial, limit=LONGEST_PAGE, namespace=namespace)
        feed = await services.rooms.news.look(news)
        serial = feed.serial
        for change in feed.items:
            yield _event(change)
        if not feed.more:
            async for sign in pulse.rest(spoke=bool(feed.items)):
                yield sign


def _event(change: Change) -> bytes:
    return f"id: {change.serial}\nevent: {change.kind}\ndata: {change.model_dump_json()}\n\n".encode()
