"""Which module for my data: a form, the way to the answer, and the answer at an address that stays."""

from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from api.inputs import TheOwner, TheServices, TheZoo
from api.pages.errors import POLLED, STOP_POLLING, PageRoute
from api.pages.rendering import is_piece, page
from api.pages.views import QueryView, ranking_view
from api.pages.visitors import remember
from api.pictures import MEDIA_TYPES, PictureFormat, picture_of
from api.threads import in_thread
from api.uploads import begin_stream
from registry.errors import InvalidInputError, NotFoundError
from registry.names import Digest
from registry.rankings import RANKINGS_BY, Ranking, RankingOptions, RankingQuestion
from registry.wrong_values import told
from registry.zoo import Zoo

FIELDS_LIMIT_BYTES = 64 * 1024
MOST_FIELDS = 10

router = APIRouter(prefix="/rank", route_class=PageRoute, include_in_schema=False)


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for, beside the file."""

    options: RankingOptions
    leave_out_broken: bool


@router.get("")
def show_form(zoo: TheZoo) -> Response:
    """The form that takes labelled data."""
    return page(
        "rank.html",
        scores=RANKINGS_BY,
        examples=zoo.settings.examples,
        limit_bytes=zoo.settings.dataset_limit_bytes,
        token_needed=not zoo.settings.is_open,
    )


@router.post("")
async def ask(request: Request, services: TheServices, owner: TheOwner) -> Response:
    """Take the data and the question; the answer is at the address this leads to."""
    zoo, settings = services.zoo, services.zoo.settings
    begin_stream(request, limit_bytes=settings.dataset_limit_bytes + FIELDS_LIMIT_BYTES)
    async with request.form(max_files=1, max_fields=MOST_FIELDS, max_part_size=FIELDS_LIMIT_BYTES) as form:
        asked = _asked(form)
        async with services.desk.file(_file(form)) as received:
            query_id = await in_thread(partial(_ask, zoo, received.blob.digest, asked, owner=owner))
    response = _leading_to(request, f"/rank/{query_id}")
    remember(response, request)
    return response


@router.post("/token")
def open_with_token(request: Request) -> Response:
    """Let a visitor look, whom the door has let in with the token."""
    response = Response(status_code=204, headers={"HX-Refresh": "true"})
    remember(response, request)
    return response


@router.get("/{query_id}")
def show_ranking(zoo: TheZoo, owner: TheOwner, query_id: str) -> Response:
    """A ranking, or how far it is."""
    return page("query.html", private=True, piece=False, view=_query_view(zoo, query_id, owner=owner))


@router.get(POLLED.removeprefix("/rank"))
def show_progress(zoo: TheZoo, owner: TheOwner, query_id: str) -> Response:
    """The piece of the page that changes while workers score."""
    view = _query_view(zoo, query_id, owner=owner)
    status = 200 if view.running else STOP_POLLING
    return page("_progress.html", status=status, private=True, piece=True, view=view)


@router.get("/{query_id}/ranking.json")
def give_json(zoo: TheZoo, owner: TheOwner, query_id: str) -> Response:
    """The ranking as the programming interface gives it."""
    ranking = _answer(zoo, query_id, owner=owner)
    return Response(ranking.model_dump_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get("/{query_id}/ranking.{kind}")
def give_picture(zoo: TheZoo, owner: TheOwner, query_id: str, kind: PictureFormat) -> Response:
    """The ranking as a picture."""
    picture = picture_of(_answer(zoo, query_id, owner=owner), kind)
    return Response(picture, media_type=MEDIA_TYPES[kind], headers={"Cache-Control": "no-store"})


def _ask(zoo: Zoo, blob: Digest, asked: Asked, *, owner: str) -> str:
    """Keep the data, ask, and give the question's id."""
    added = zoo.datasets.add(blob, owner=owner, leave_out_broken=asked.leave_out_broken)
    question = RankingQuestion(**dict(asked.options), task=added.dataset.digest)
    return zoo.reusability.ask_ranking(question, owner=owner)


def _asked(form: FormData) -> Asked:
    """The form's fields. Raises InvalidInputError naming each that is wrong."""
    fields = {name: form[name] for name in ("rank_by", "examples") if form.get(name)}
    try:
        options = RankingOptions.model_validate(fields)
    except ValidationError as error:
        listed = "; ".join(told(wrong, str(wrong["loc"][0])) for wrong in error.errors())
        raise InvalidInputError(f"the options are not valid: {listed}") from error
    return Asked(options, leave_out_broken=form.get("leave_out_broken") == "true")


def _file(form: FormData) -> BinaryIO:
    """The uploaded file. Raises InvalidInputError where none was chosen."""
    data = form.get("data")
    if not isinstance(data, UploadFile) or not data.filename:
        raise InvalidInputError("no file was chosen; choose a zip, parquet, npz or safetensors file of images")
    return data.file


def _leading_to(request: Request, address: str) -> Response:
    """An answer that makes the browser go there, by itself or by htmx."""
    if is_piece(request):
        return Response(status_code=204, headers={"HX-Redirect": address})
    return RedirectResponse(address, status_code=303)


def _query_view(zoo: Zoo, query_id: str, *, owner: str) -> QueryView:
    """How far a ranking is, with what is known of it. Raises NotFoundError."""
    state = zoo.queries.state(query_id, owner=owner)
    if state.kind != "ranking":
        raise NotFoundError(f"{query_id} is no ranking; GET /queries/{query_id} tells of it")
    ranking = state.answer if isinstance(state.answer, Ranking) else state.partial
    if ranking is None:
        return QueryView(state, None)
    dataset = zoo.datasets.get(ranking.data, owner=owner)
    return QueryView(state, ranking_view(ranking, dataset, whole=state.answer is not None))


def _answer(zoo: Zoo, query_id: str, *, owner: str) -> Ranking:
    """A finished ranking. Raises NotFoundError."""
    state = zoo.queries.state(query_id, owner=owner)
    if not isinstance(state.answer, Ranking):
        raise NotFoundError(f"{query_id} has no ranking yet; GET /rank/{query_id} shows how far it is")
    return state.answer
