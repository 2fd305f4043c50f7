"""Pipelines over HTTP: check, compose, fetch, predict."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.convertors import register_url_convertor
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from api.answers import answer
from api.byte_ranges import FOR_EVER, PRIVATE_FOR_EVER, Content, serve
from api.conditions import not_modified, preference_applied, preferred_wait
from api.inputs import (
    PAGE,
    REF,
    Cursor,
    Limit,
    Services,
    TheIdentity,
    TheOwner,
    TheServices,
    TheZoo,
    Word,
    any_word_but,
)
from api.openapi import answers_bytes, raw_body, refusals, says, takes_headers
from api.request_keys import TheKey
from api.threads import finally_in_thread, in_thread
from registry.dataset_file import check_images, limits_from
from registry.errors import (
    ConflictError,
    InvalidDatasetError,
    InvalidNameError,
    JobFailedError,
    KeyReusedError,
    NotFoundError,
    PipelineMisfitError,
    TooLargeError,
)
from registry.frozen import Asked
from registry.names import Digest, DigestField
from registry.rankings import PipelineCheck, PipelineFault
from registry.records import Job, JobStatus, Page, Pipeline
from registry.work import PredictResult
from registry.zoo import Zoo

router = APIRouter(tags=["pipelines"])

CHECK = "check"
register_url_convertor("pipeline", any_word_but(CHECK))

Ref = Annotated[str, Field(json_schema_extra=REF)]
REFS = Field(min_length=1, max_length=64, description="input, hidden ..., output")

Holding = Annotated[DigestField | None, Query(description="digest of a module that they hold")]


class Composition(Asked):
    """Modules that are to run one after the other."""

    name: Word
    modules: Annotated[tuple[Ref, ...], REFS]


class Trial(Asked):
    """Modules that might fit one after the other; a name is not needed yet."""

    name: str | None = None
    modules: Annotated[tuple[str, ...], REFS]


@router.post(f"/pipelines/{CHECK}", response_model=PipelineCheck, operation_id="check_pipeline", responses=refusals())
def check_pipeline(body: Trial, zoo: TheZoo) -> Response:
    """Whether modules fit one after the other, and every place where they do not."""
    found = zoo.pipelines.check(body.modules)
    faults = tuple(PipelineFault(pointer=each.pointer, detail=each.detail, code=each.code) for each in found)
    return answer(PipelineCheck(fits=not faults, faults=faults))


@router.post(
    "/pipelines",
    status_code=201,
    response_model=Pipeline,
    operation_id="compose_pipeline",
    responses={
        **refusals(PipelineMisfitError, InvalidNameError, KeyReusedError),
        200: {"description": "The pipeline is there already.", "model": Pipeline},
    },
)
def compose_pipeline(body: Composition, zoo: TheZoo, owner: TheOwner, key: TheKey) -> Response:
    """Compose modules into a pipeline, pinned to their digests."""
    composed = zoo.pipelines.compose(body.name, body.modules, by=owner, key=key)
    headers = {"Location": f"/pipelines/{composed.pipeline.id}"}
    return answer(composed.pipeline, status=201 if composed.created else 200, headers=headers)


@router.get("/pipelines", response_model=Page[Pipeline], operation_id="list_pipelines", responses=refusals())
def list_pipelines(zoo: TheZoo, limit: Limit = PAGE, cursor: Cursor = None, module: Holding = None) -> Response:
    """All pipelines, newest first; with `module`, those that hold the module with this digest."""
    return answer(zoo.pipelines.list(limit=limit, cursor=cursor, holding=module))


@router.get(
    "/pipelines/{pipeline:pipeline}",
    response_model=Pipeline,
    operation_id="show_pipeline",
    responses=refusals(NotFoundError),
)
def show_pipeline(pipeline: str, zoo: TheZoo) -> Response:
    """One pipeline: its modules and labels."""
    return answer(zoo.pipelines.get(pipeline))


@router.get(
    "/pipelines/{pipeline:pipeline}/file",
    response_class=Response,
    operation_id="fetch_pipeline_file",
    responses={**refusals(NotFoundError), **answers_bytes("One safetensors file of the whole pipeline.")},
    openapi_extra=takes_headers("Range", "If-Range", "If-None-Match"),
)
def fetch_pipeline_file(pipeline: str, request: Request, zoo: TheZoo, identity: TheIdentity) -> Response:
    """All modules of a pipeline in one safetensors file, put together as it is read, always the same bytes."""
    found = zoo.pipelines.get(pipeline)
    unchanged = not_modified(request, etag=found.id, headers={"ETag": f'"{found.id}"'})
    if unchanged is not None:
        return unchanged
    made = zoo.pipelines.measured(found)
    content = Content(
        open=partial(zoo.pipelines.open_file, found),
        size_bytes=made.size_bytes,
        etag=found.id,
        digest=made.digest,
        name=f"{found.name}.safetensors",
        cache=FOR_EVER if identity.role is None else PRIVATE_FOR_EVER,
    )
    return serve(request, content)


@router.post(
    "/pipelines/{pipeline:pipeline}/predict",
    response_model=PredictResult,
    operation_id="predict",
    responses={
        **refusals(NotFoundError, ConflictError, InvalidDatasetError, TooLargeError, JobFailedError),
        202: {"description": "Not ready yet; follow the job in `Location`.", "model": Job, "headers": says("Location")},
    },
    openapi_extra={
        **raw_body("One image, or a zip, parquet or npz file of images; labels are not needed."),
        **takes_headers("Prefer"),
    },
)
async def predict(pipeline: str, request: Request, services: TheServices, owner: TheOwner) -> Response:
    """Labels and probabilities of images. The images are gone as soon as the prediction is made."""
    settings = services.zoo.settings
    await in_thread(services.zoo.pipelines.usable, pipeline)
    seconds = preferred_wait(request, default=settings.wait_seconds, limit=settings.wait_limit_seconds)
    async with services.desk.body(request, limit_bytes=settings.dataset_limit_bytes) as received:
        job = await in_thread(partial(_submit, services, pipeline, received.blob.digest, owner=owner))
    ended = await _wait(request, services, job, seconds)
    headers = preference_applied(request, seconds)
    if ended is None:
        return answer(job, status=202, headers={**headers, "Location": f"/jobs/{job.id}"})
    return answer(_result(ended), headers=headers)


def _submit(services: Services, pipeline: str, images: Digest, *, owner: str) -> Job:
    """Check the images, so that no worker need, and queue the work. Raises InvalidDatasetError, TooLargeError."""
    zoo = services.zoo
    _check_images(zoo, images)
    return zoo.jobs.submit_prediction(zoo.pipelines.prediction(pipeline, images), owner=owner)


def _check_images(zoo: Zoo, images: Digest) -> None:
    """Read and decode every image once. Raises InvalidDatasetError, TooLargeError."""
    with zoo.blobs.open(images) as file:
        check_images(file, limits=limits_from(zoo.settings))


async def _wait(request: Request, services: Services, job: Job, seconds: float) -> Job | None:
    """The job once it has ended; None when that takes longer. When nobody waits any more, the job is cancelled."""

    def look() -> Job | None:
        present = services.zoo.jobs.get(job.id)
        return present if present.status.ended else None

    try:
        ended = await services.rooms.news.wait_or_go_on(look, seconds=seconds, request=request)
    except ClientDisconnect:
        await finally_in_thread(partial(_give_up, services, job))
        raise
    if ended is not None:
        await in_thread(services.guests.job_ended, ended)
    return ended


def _give_up(services: Services, job: Job) -> None:
    services.guests.job_ended(services.zoo.jobs.cancel(job.id))


def _result(job: Job) -> PredictResult:
    """What the worker brought. Raises JobFailedError, ConflictError when the job was cancelled."""
    if job.status is JobStatus.CANCELLED:
        raise ConflictError(f"job {job.id} was cancelled; send the images again")
    if not isinstance(job.result, PredictResult):
        raise JobFailedError(f"the prediction failed: {job.error or 'no reason was given'}")
    return job.result
