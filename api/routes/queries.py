"""Questions that take their time: how far they are, and stopping them."""

from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer, need_answer, score_answer, wanted_picture
from api.events import MEDIA_TYPE, Subject, follow
from api.inputs import TheIdentity, TheOwner, TheServices, TheZoo
from api.openapi import refusals
from api.threads import in_thread
from registry.errors import ConflictError, NotFoundError
from registry.rankings import MapPanels, QueryState
from registry.records import QueryStatus

router = APIRouter(tags=["queries"])


@router.get(
    "/queries/{query}",
    response_model=QueryState,
    operation_id="show_query",
    responses={
        **refusals(NotFoundError, ConflictError),
        200: {"description": "The query; or its answer as a picture, by `Accept`.", "model": QueryState},
    },
)
async def show_query(
    query: str, request: Request, services: TheServices, owner: TheOwner, plot: MapPanels = "both"
) -> Response:
    """How far a query is; its answer once there is one, and until then what is known so far."""
    state = await in_thread(partial(services.zoo.queries.state, query, owner=owner))
    if wanted_picture(request) is not None:
        return await score_answer(request, need_answer(state.answer, query), plot=plot)
    return answer(state, headers={"Vary": "Accept"})


@router.get(
    "/queries/{query}/events",
    response_class=Response,
    operation_id="follow_query",
    responses={
        **refusals(NotFoundError),
        200: {
            "description": "Events `progress`, then `done`, `failed` or `cancelled`; each holds a QueryState.",
            "content": {MEDIA_TYPE: {}},
        },
    },
)
async def follow_query(query: str, request: Request, services: TheServices, owner: TheOwner) -> Response:
    """The query as server-sent events, each time it changes, until it has ended."""
    subject: Subject[QueryState] = Subject(
        look=partial(services.zoo.queries.state, query, owner=owner),
        status=lambda state: state.status.value,
        ended=lambda state: state.status is not QueryStatus.RUNNING,
    )
    return await follow(request, services.rooms.progress, subject)


@router.delete(
    "/queries/{query}",
    response_model=QueryState,
    operation_id="cancel_query",
    responses=refusals(NotFoundError),
)
def cancel_query(query: str, zoo: TheZoo, identity: TheIdentity) -> Response:
    """Stop a query and its jobs; one that has ended stays as it is, and one that others asked too goes on for them."""
    return answer(zoo.queries.cancel(query, owner=identity.owner, for_all=identity.is_admin))
