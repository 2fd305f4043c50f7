"""Questions over HTTP: one score, a ranking, the map; each is answered at once or leads to a query."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Annotated, BinaryIO

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.datastructures import FormData, UploadFile
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer, score_answer
from api.conditions import preference_applied, preferred_wait
from api.inputs import JSON, Services, TheOwner, TheServices, owner_of, parse_json
from api.openapi import BINARY, body_schema, refusals, says, takes_headers
from api.threads import in_thread
from api.uploads import MULTIPART, begin_stream, media_type
from registry.errors import (
    BusyError,
    ConflictError,
    Fault,
    InvalidDatasetError,
    InvalidInputError,
    JobFailedError,
    NotFoundError,
    NotScorableError,
    TooLargeError,
    ZooError,
)
from registry.names import Digest
from registry.rankings import (
    MOST_MAP_TASKS,
    MapPanels,
    MapQuestion,
    ModuleSets,
    QueryState,
    Ranking,
    RankingOptions,
    RankingQuestion,
    Reusability,
    ReusabilityQuestion,
    ScoreOptions,
    SetQuestion,
    TaskMap,
)
from registry.recipes import Classes, TaskSpec
from registry.records import QueryStatus
from registry.zoo import Zoo

router = APIRouter(tags=["transferability"])

FORM_FIELDS = ("data", "options")
NOT_READY = {
    "description": "Not ready yet; follow the query in `Location`.",
    "model": QueryState,
    "headers": says("Location", "Retry-After"),
}
WAITING = takes_headers("Prefer")
REFUSALS = refusals(NotFoundError, NotScorableError, InvalidInputError, JobFailedError, BusyError)


class FormOptions(RankingOptions):
    """Options of a ranking whose data comes along; `classes` says what its labels mean, as a task does."""

    classes: Classes = Field(default_factory=dict)


class MapParameters(ScoreOptions):
    """The tasks and sources of a map, how its scores are made, and what its picture shows."""

    task: Annotated[
        tuple[str, ...],
        Field(max_length=MOST_MAP_TASKS, description="a task, repeated; none means all that a module was trained on"),
    ] = ()
    source: Annotated[
        tuple[str, ...],
        Field(max_length=MOST_MAP_TASKS, description="a module, repeated; none means each task's own module"),
    ] = ()
    plot: MapPanels = "both"


@router.post(
    "/reusability",
    response_model=Reusability,
    operation_id="ask_reusability",
    responses={**REFUSALS, 202: NOT_READY},
    openapi_extra=WAITING,
)
async def ask_reusability(
    body: ReusabilityQuestion, request: Request, services: TheServices, owner: TheOwner
) -> Response:
    """How well one module serves one task."""
    ask = partial(services.zoo.reusability.ask_reusability, body, owner=owner)
    return await _answered(request, services, await in_thread(ask))


@router.post(
    "/transferability",
    response_model=Ranking,
    operation_id="ask_ranking",
    responses={**REFUSALS, **refusals(InvalidDatasetError, TooLargeError), 202: NOT_READY},
    openapi_extra={
        **WAITING,
        "requestBody": {
            "required": True,
            "content": {
                JSON: {"schema": body_schema(RankingQuestion)},
                MULTIPART: {
                    "schema": {
                        "type": "object",
                        "required": ["data"],
                        "additionalProperties": False,
                        "properties": {"data": BINARY["schema"], "options": body_schema(FormOptions)},
                    }
                },
            },
        },
    },
)
async def ask_ranking(request: Request, services: TheServices, owner: TheOwner) -> Response:
    """Which modules serve a task, best first: a task that is known, or the data itself in a form."""
    if media_type(request) == MULTIPART:
        question = await _question_of_form(request, services)
    elif media_type(request) == JSON:
        question = parse_json(await request.body(), RankingQuestion)
    else:
        raise HTTPException(415, "send JSON naming a task, or a form with the data; with curl: -F data=@FILE")
    ask = partial(services.zoo.reusability.ask_ranking, question, owner=owner)
    return await _answered(request, services, await in_thread(ask))


@router.post(
    "/transferability/sets",
    response_model=ModuleSets,
    operation_id="ask_sets",
    responses={**REFUSALS, **refusals(ConflictError), 202: NOT_READY},
    openapi_extra=WAITING,
)
async def ask_sets(body: SetQuestion, request: Request, services: TheServices, owner: TheOwner) -> Response:
    """Which two to four modules together serve a task best, what each adds, and how sure that is."""
    ask = partial(services.zoo.sets.ask, body, owner=owner)
    return await _answered(request, services, await in_thread(ask))


@router.get(
    "/transferability/map",
    response_model=TaskMap,
    operation_id="ask_map",
    responses={**REFUSALS, 202: NOT_READY},
    openapi_extra=WAITING,
)
async def ask_map(
    request: Request, services: TheServices, owner: TheOwner, parameters: Annotated[MapParameters, Query()]
) -> Response:
    """How well modules serve tasks, as a matrix with its clusters and an embedding; as PNG or SVG by `Accept`."""
    options = {name: getattr(parameters, name) for name in ScoreOptions.model_fields}
    question = MapQuestion(tasks=parameters.task, sources=parameters.source, **options)
    ask = partial(services.zoo.reusability.ask_map, question, owner=owner)
    return await _answered(request, services, await in_thread(ask), plot=parameters.plot)


async def _answered(request: Request, services: Services, query: str, *, plot: MapPanels = "both") -> Response:
    """The answer when it comes in time, else 202 with the query. Raises what the query failed with."""
    settings, queries, owner = services.zoo.settings, services.zoo.queries, owner_of(request)
    seconds = preferred_wait(request, default=settings.wait_seconds, limit=settings.wait_limit_seconds)

    def look() -> bool | None:
        return None if queries.waiting(query, owner=owner) else True

    await services.rooms.news.wait_or_go_on(look, seconds=seconds, request=request)
    state = await in_thread(partial(queries.state, query, owner=owner))
    headers = {"Location": f"/queries/{query}", **preference_applied(request, seconds)}
    if state.status is QueryStatus.RUNNING:
        return answer(state, status=202, headers={**headers, "Retry-After": "1"})
    if state.answer is None:
        raise _failure(state)
    return await score_answer(request, state.answer, headers=preference_applied(request, seconds), plot=plot)


def _failure(state: QueryState) -> ZooError:
    """Why a query has no answer."""
    if state.status is QueryStatus.CANCELLED:
        return ConflictError(f"query {state.id} was cancelled; ask again")
    detail = state.error or "no reason was given"
    return NotScorableError(detail) if state.error_code == NotScorableError.code else JobFailedError(detail)


async def _question_of_form(request: Request, services: Services) -> RankingQuestion:
    """Store the form's data, make its task, and ask about that. Raises what the dataset and the task do."""
    async with _form(request, services.zoo) as form:
        options = parse_json(await _options(form, services.zoo.settings.json_limit_bytes), FormOptions)
        async with services.desk.file(_data(form, services.zoo.settings.dataset_limit_bytes)) as received:
            task = await in_thread(
                partial(_make_task, services, received.blob.digest, options.classes, owner=owner_of(request))
            )
    asked = {name: getattr(options, name) for name in RankingOptions.model_fields}
    return RankingQuestion(task=task, **asked)


@asynccontextmanager
async def _form(request: Request, zoo: Zoo) -> AsyncIterator[FormData]:
    """The fields of a form; files lie on disk, and are gone afterwards. Raises InvalidInputError for other fields."""
    settings = zoo.settings
    begin_stream(request, limit_bytes=settings.dataset_limit_bytes + settings.json_limit_bytes)
    limits = {"max_files": 2, "max_fields": 2, "max_part_size": settings.json_limit_bytes}
    async with request.form(**limits) as form:
        faults = [
            Fault(f"/{name[:200]}", f"there is no field {name[:200]!r} here", "extra_forbidden")
            for name in form
            if name not in FORM_FIELDS
        ]
        if faults:
            detail = f"{faults[0].detail}; send `data` (the file) and `options` (JSON)"
            raise InvalidInputError(detail, faults=faults)
        yield form


def _data(form: FormData, limit_bytes: int) -> BinaryIO:
    """The file of a form. Raises InvalidInputError, TooLargeError."""
    data = form.get("data")
    if not isinstance(data, UploadFile):
        raise InvalidInputError(
            "the form has no file in the field `data`; with curl: -F data=@FILE",
            faults=[Fault("/data", "a file is needed", "missing")],
        )
    if data.size is not None and data.size > limit_bytes:
        raise TooLargeError(f"`data` has {data.size} bytes, more than the limit of {limit_bytes}; send less")
    return data.file


async def _options(form: FormData, limit_bytes: int) -> bytes | str:
    """The JSON text of a form's options, sent as a field or as a file. Raises TooLargeError."""
    options = form.get("options", "{}")
    if isinstance(options, str):
        return options
    text = await options.read(limit_bytes + 1)
    if len(text) > limit_bytes:
        raise TooLargeError(f"`options` has more than {limit_bytes} bytes; send less")
    return text


def _make_task(services: Services, blob: Digest, classes: Classes, *, owner: str) -> str:
    """Keep the dataset and make its task; where the task is wrong, the dataset is not kept for it."""
    zoo = services.zoo
    added = zoo.datasets.add(blob, owner=owner)
    try:
        return zoo.tasks.create(TaskSpec(dataset=blob, classes=classes), owner=owner).task.id
    except ZooError:
        if added.created:
            zoo.datasets.remove(blob, owner=owner, discard=services.guests.tidy)
        raise
