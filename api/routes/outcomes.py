"""Outcomes over HTTP: what modules really reached, and how well that was predicted."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.answers import answer
from api.inputs import PAGE, Cursor, Limit, TheOwner, TheZoo
from api.openapi import refusals
from api.request_keys import TheKey
from registry.errors import ConflictError, InvalidInputError, KeyReusedError, NotFoundError
from registry.outcome_records import Calibration, How, KeptOutcomes, Metric, Outcome, PostedOutcomes
from registry.records import Page

router = APIRouter(tags=["outcomes"])


@router.post(
    "/queries/{query}/outcomes",
    status_code=201,
    response_model=KeptOutcomes,
    operation_id="post_outcomes",
    responses={
        **refusals(NotFoundError, ConflictError, InvalidInputError, KeyReusedError),
        200: {"description": "Nothing new: all were told before, by other values perhaps.", "model": KeptOutcomes},
    },
)
def post_outcomes(query: str, body: PostedOutcomes, zoo: TheZoo, owner: TheOwner, key: TheKey) -> Response:
    """Tell what modules really reached on the task of a query, all or none; your last value stands."""
    kept = zoo.outcomes.post(query, body.outcomes, owner=owner, key=key)
    headers = {"Location": f"/queries/{query}/outcomes"}
    return answer(kept, status=201 if kept.created else 200, headers=headers)


@router.get(
    "/queries/{query}/outcomes",
    response_model=Page[Outcome],
    operation_id="list_outcomes",
    responses=refusals(NotFoundError),
)
def list_outcomes(query: str, zoo: TheZoo, owner: TheOwner, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """What modules really reached on the task of a query, beside what was predicted."""
    return answer(zoo.outcomes.list(query, owner=owner, limit=limit, cursor=cursor))


@router.get("/calibration", response_model=Calibration, operation_id="show_calibration", responses=refusals())
def show_calibration(
    zoo: TheZoo,
    owner: TheOwner,
    metric: Annotated[Metric | None, Query(description="only outcomes by this metric")] = None,
    how: Annotated[How | None, Query(description="only outcomes reached in this way")] = None,
) -> Response:
    """How well each estimator has predicted the outcomes so far, the static ranker beside."""
    return answer(zoo.outcomes.calibration(owner=owner, metric=metric, how=how))
