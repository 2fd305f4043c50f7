"""Answers: models as JSON with their headers, and pictures where the caller would rather look."""

from collections.abc import Mapping
from functools import partial

from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response

from api.conditions import not_modified
from api.inputs import JSON
from api.pictures import MEDIA_TYPES, PictureFormat, picture_of
from api.threads import in_thread
from registry.errors import ConflictError
from registry.rankings import MapPanels, ModuleSets, Ranking, Reusability, TaskMap

PICTURES: dict[str, PictureFormat] = {media: kind for kind, media in MEDIA_TYPES.items()}


def answer(model: BaseModel, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A model as JSON."""
    sent = {"Cache-Control": "no-cache", **(headers or {})}
    return Response(model.model_dump_json(), status_code=status, headers=sent, media_type=JSON)


def tagged(request: Request, model: BaseModel, *, etag: str, cache: str) -> Response:
    """A model with an entity tag, or 304 when the caller has it."""
    headers = {"ETag": f'"{etag}"', "Cache-Control": cache}
    return not_modified(request, etag=etag, headers=headers) or answer(model, headers=headers)


async def score_answer(
    request: Request,
    scores: Ranking | Reusability | TaskMap | ModuleSets,
    *,
    headers: Mapping[str, str] | None = None,
    plot: MapPanels = "both",
) -> Response:
    """An answer about scores: JSON, always the same bytes for the same answer, or a picture by `Accept`.

    `plot` says what the picture of a map shows.
    """
    said = {"Vary": "Accept", **(headers or {})}
    picture = wanted_picture(request)
    if picture is None:
        return answer(scores, headers=said)
    drawn = await in_thread(partial(picture_of, scores, picture, panels=plot))
    return Response(drawn, headers={"Cache-Control": "no-cache", **said}, media_type=MEDIA_TYPES[picture])


def wanted_picture(request: Request) -> PictureFormat | None:
    """The picture format that `Accept` puts before JSON; None for JSON, which is also for whoever does not say."""
    weights = _weights(",".join(request.headers.getlist("accept")))
    json_weight = max(weights.get(JSON, 0.0), weights.get("application/*", 0.0), weights.get("*/*", 0.0))
    pictures = [(weights[kind], kind) for kind in PICTURES if weights.get(kind, 0.0) > 0]
    best = max(pictures, default=(0.0, ""))
    return PICTURES[best[1]] if best[0] > 0 and best[0] >= json_weight else None


def need_answer(
    scores: Ranking | Reusability | TaskMap | ModuleSets | None, query: str
) -> Ranking | Reusability | TaskMap | ModuleSets:
    """Raises ConflictError when there is nothing to draw yet."""
    if scores is None:
        raise ConflictError(f"query {query} has no answer to draw; wait until it is done")
    return scores


def _weights(accept: str) -> dict[str, float]:
    """The weight of each media type in an Accept header (RFC 9110, section 12.5.1)."""
    weights = {}
    for part in accept.split(","):
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        given = next((piece[2:] for piece in parameters if piece.startswith("q=")), "1")
        try:
            weights[kind] = float(given)
        except ValueError:
            weights[kind] = 0.0
    return weights
