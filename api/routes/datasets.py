"""Datasets over HTTP: upload, show, list, remove; private to whoever uploaded them."""

from functools import partial
from typing import Literal

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer
from api.inputs import JSON, PAGE, Cursor, Limit, TheDigest, TheOwner, TheServices, TheZoo, parse_json
from api.openapi import raw_body, refusals
from api.threads import in_thread
from api.uploads import media_type
from registry.datasets import AddedDataset
from registry.errors import (
    ConflictError,
    InvalidDatasetError,
    InvalidNameError,
    NotFoundError,
    StorageFullError,
    TooLargeError,
)
from registry.records import Dataset, Page
from registry.statements import DatasetStatement

router = APIRouter(tags=["datasets"])


@router.post(
    "/datasets",
    status_code=201,
    response_model=Dataset,
    operation_id="add_dataset",
    responses={
        **refusals(InvalidDatasetError, ConflictError, TooLargeError, StorageFullError),
        200: {"description": "The dataset is there already.", "model": Dataset},
    },
    openapi_extra=raw_body(
        "A zip of class folders, a parquet file with an image and a label column, or npz or safetensors arrays; as "
        "JSON, a statement of what such a file holds, whose bytes stay at home.",
        also=(JSON, DatasetStatement),
    ),
)
async def add_dataset(
    request: Request, services: TheServices, owner: TheOwner, broken: Literal["refuse", "leave_out"] = "refuse"
) -> Response:
    """Upload labelled images; broken ones are refused, or left out and named. As JSON: state what stays at home."""
    zoo = services.zoo
    if media_type(request) == JSON:
        statement = parse_json(await request.body(), DatasetStatement)
        return _added(await in_thread(partial(zoo.datasets.state, statement, owner=owner)))
    async with services.desk.body(request, limit_bytes=zoo.settings.dataset_limit_bytes) as received:
        add = partial(zoo.datasets.add, received.blob.digest, owner=owner, leave_out_broken=broken == "leave_out")
        added = await in_thread(add)
    return _added(added)


def _added(added: AddedDataset) -> Response:
    """A dataset that is there now, or was before."""
    headers = {"Location": f"/datasets/{added.dataset.digest}"}
    return answer(added.dataset, status=201 if added.created else 200, headers=headers)


@router.get("/datasets", response_model=Page[Dataset], operation_id="list_datasets", responses=refusals())
def list_datasets(zoo: TheZoo, owner: TheOwner, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """Your datasets, newest first."""
    return answer(zoo.datasets.list(owner=owner, limit=limit, cursor=cursor))


@router.get(
    "/datasets/{digest}",
    response_model=Dataset,
    operation_id="show_dataset",
    responses=refusals(InvalidNameError, NotFoundError),
)
def show_dataset(digest: TheDigest, zoo: TheZoo, owner: TheOwner) -> Response:
    """One dataset: its classes, counts and shape, and what was left out."""
    return answer(zoo.datasets.get(digest, owner=owner))


@router.delete(
    "/datasets/{digest}",
    status_code=204,
    operation_id="remove_dataset",
    responses=refusals(InvalidNameError, NotFoundError),
)
def remove_dataset(digest: TheDigest, services: TheServices, owner: TheOwner) -> None:
    """Remove a dataset with its bytes, tasks, statistics and scores."""
    services.zoo.datasets.remove(digest, owner=owner, discard=services.guests.tidy)
