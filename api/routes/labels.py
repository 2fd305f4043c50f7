"""Relations of labels over HTTP: what tasks of one dataset tell of each other without any module."""

from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from api.answers import answer
from api.inputs import TheOwner, TheZoo
from api.openapi import refusals
from registry.errors import InvalidInputError, NotFoundError
from registry.label_relations import MOST_RELATED_TASKS, LabelRelations

router = APIRouter(tags=["transferability"])

Tasks = Annotated[
    tuple[str, ...],
    Query(min_length=1, max_length=MOST_RELATED_TASKS, description="a task of the dataset, repeated"),
]


@router.get(
    "/transferability/labels",
    response_model=LabelRelations,
    operation_id="relate_labels",
    responses=refusals(NotFoundError, InvalidInputError),
)
def relate_labels(zoo: TheZoo, owner: TheOwner, task: Tasks) -> Response:
    """How hard tasks of one dataset are, and what the labels of each tell of every other: no module, no image."""
    return answer(zoo.labels.relate(task, owner=owner))
