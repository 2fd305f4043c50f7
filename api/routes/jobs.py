"""Jobs over HTTP: whoever wants training submits and follows them; workers claim, renew, finish, fail, release."""

from functools import partial
from typing import Annotated

from fastapi import APIRouter, Path
from pydantic import Field
from starlette.convertors import register_url_convertor
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer
from api.events import MEDIA_TYPE, Subject, follow
from api.inputs import (
    NAME,
    PAGE,
    Cursor,
    Limit,
    Services,
    TheIdentity,
    TheServices,
    TheZoo,
    any_word_but,
    read_json,
)
from api.openapi import json_body, refusals
from api.request_keys import TheKey
from api.threads import in_thread
from registry.access import Identity
from registry.access_rules import blobs_of
from registry.errors import (
    BusyError,
    ConflictError,
    ForbiddenError,
    InvalidInputError,
    InvalidNameError,
    InvalidRecipeError,
    InvalidTaskError,
    KeyReusedError,
    LeaseLostError,
    NotFoundError,
    TooLargeError,
)
from registry.frozen import Asked
from registry.names import DigestField, ModuleName
from registry.recipes import TrainingRecipe
from registry.records import Job, JobStatus, Page, Progress
from registry.work import JobResult, WorkKind

router = APIRouter(tags=["jobs"])

LONGEST_CLAIM_SECONDS = 30.0
RESULT_LIMIT_FACTOR = 64
"""What a worker brings back holds a line for each image, so it may be so much larger than other JSON."""
HOME_RESULT_LIMIT_FACTOR = 8
"""What is brought from home, by whoever may do no other job, holds a line for each module."""

CLAIM = "claim"
register_url_convertor("job", any_word_but(CLAIM))

JobId = Annotated[int, Path(ge=1, lt=2**63)]
Attempt = Annotated[int, Field(ge=1, lt=2**31, description="the attempt that the claim gave; another one is refused")]


class NewJob(Asked):
    """A training run to be queued; what it trains is published under ``namespace/name``."""

    name: Annotated[str, Field(json_schema_extra=NAME)]
    recipe: TrainingRecipe


class Claim(Asked):
    """A worker that is free, what it can do, and how long it waits for work.

    Whoever asked a query on data that stays at home names it, and gets its jobs of the kind score-here.
    """

    worker: Annotated[str, Field(min_length=1, max_length=200)]
    kinds: Annotated[tuple[WorkKind, ...], Field(min_length=1, max_length=10)]
    wait_seconds: Annotated[float, Field(ge=0)] = 0.0
    query: Annotated[str, Field(max_length=200)] | None = None


class Heartbeat(Asked):
    """A worker that is alive, how far it is, and where it put a new checkpoint; null leaves the last one."""

    attempt: Attempt
    progress: Progress = Progress()
    checkpoint: DigestField | None = None


class Finish(Asked):
    """What a worker brings back."""

    attempt: Attempt
    result: JobResult


class Failure(Asked):
    """Why a worker could not do it."""

    attempt: Attempt
    error: Annotated[str, Field(min_length=1)]


class Release(Asked):
    """A worker that gives a job back, as one does that is told to end."""

    attempt: Attempt


@router.post(
    "/jobs",
    status_code=201,
    response_model=Job,
    operation_id="submit_job",
    responses=refusals(
        ConflictError,
        ForbiddenError,
        InvalidNameError,
        InvalidRecipeError,
        InvalidTaskError,
        KeyReusedError,
        NotFoundError,
    ),
)
def submit_job(body: NewJob, zoo: TheZoo, identity: TheIdentity, key: TheKey) -> Response:
    """Queue a training run."""
    name, pairs = ModuleName.parse(body.name), body.recipe.pairs
    zoo.access.require_namespace(identity, name)
    if pairs is not None and pairs.table is not None:
        zoo.access.require_bytes(identity, [pairs.table])
    job = zoo.jobs.submit_training(name, body.recipe, owner=identity.owner, key=key)
    return answer(job, status=201, headers={"Location": f"/jobs/{job.id}"})


@router.get("/jobs", response_model=Page[Job], operation_id="list_jobs", responses=refusals())
def list_jobs(
    zoo: TheZoo,
    identity: TheIdentity,
    *,
    kind: WorkKind | None = None,
    status: JobStatus | None = None,
    limit: Limit = PAGE,
    cursor: Cursor = None,
) -> Response:
    """Your jobs, newest first, without their results, which may be long; for an admin, all."""
    owner = None if identity.is_admin else identity.owner
    return answer(zoo.jobs.list(kind=kind, status=status, owner=owner, limit=limit, cursor=cursor))


@router.get("/jobs/{job_id:job}", response_model=Job, operation_id="show_job", responses=refusals(NotFoundError))
def show_job(job_id: JobId, zoo: TheZoo, identity: TheIdentity) -> Response:
    """One job: its state, its progress, and once it has ended, its result or why it failed."""
    return answer(zoo.access.job(identity, job_id))


@router.get(
    "/jobs/{job_id:job}/events",
    response_class=Response,
    operation_id="follow_job",
    responses={
        **refusals(NotFoundError),
        200: {
            "description": "Events `progress`, then `done`, `failed` or `cancelled`; each holds a Job.",
            "content": {MEDIA_TYPE: {}},
        },
    },
)
async def follow_job(job_id: JobId, request: Request, services: TheServices, identity: TheIdentity) -> Response:
    """The job as server-sent events, each time it changes, until it has ended."""
    subject: Subject[Job] = Subject(
        look=partial(services.zoo.access.job, identity, job_id),
        status=lambda job: job.status.value,
        ended=lambda job: job.status.ended,
    )
    return await follow(request, services.rooms.news, subject)


@router.delete(
    "/jobs/{job_id:job}",
    response_model=Job,
    operation_id="cancel_job",
    responses=refusals(ConflictError, ForbiddenError, NotFoundError),
)
def cancel_job(job_id: JobId, services: TheServices, identity: TheIdentity) -> Response:
    """Stop a job that no question of somebody else needs; one that has ended stays as it is.

    Its worker learns of it by its next heartbeat.
    """
    present = services.zoo.access.job_to_stop(identity, job_id)
    if present.status.ended:
        return answer(present)
    job = services.zoo.jobs.cancel(job_id, by=identity.owner, for_all=identity.is_admin)
    services.job_ended(job)
    return answer(job)


@router.post(
    f"/jobs/{CLAIM}",
    response_model=Job,
    operation_id="claim_job",
    responses={
        **refusals(BusyError, ForbiddenError, InvalidInputError, NotFoundError),
        204: {"description": "There is no work."},
    },
)
async def claim_job(body: Claim, request: Request, services: TheServices, identity: TheIdentity) -> Response:
    """Give a worker the oldest free job under a lease, as soon as there is one; at most 30 seconds later, none."""
    if body.query is None:
        services.zoo.access.require_worker(identity)
    else:
        await in_thread(partial(services.zoo.queries.waiting, body.query, owner=identity.owner))
    claim = partial(
        services.zoo.jobs.claim,
        body.kinds,
        worker=body.worker,
        query=body.query,
        owner=identity.owner,
        given_up=services.job_ended,
    )
    seconds = min(body.wait_seconds, LONGEST_CLAIM_SECONDS)
    room = services.rooms.claims if body.query is None else services.rooms.news
    job = await room.wait_for(claim, seconds=seconds, request=request)
    return Response(status_code=204) if job is None else answer(job)


@router.put(
    "/jobs/{job_id:job}/heartbeat",
    response_model=Job,
    operation_id="renew_job",
    responses=refusals(NotFoundError, LeaseLostError, InvalidInputError),
)
def renew_job(job_id: JobId, body: Heartbeat, zoo: TheZoo, identity: TheIdentity) -> Response:
    """Renew a lease, say how far the job is, and keep a checkpoint, which the next worker goes on from."""
    zoo.access.require_report(identity, job_id, brought=() if body.checkpoint is None else (body.checkpoint,))
    beat = zoo.jobs.heartbeat(job_id, attempt=body.attempt, progress=body.progress, checkpoint=body.checkpoint)
    return answer(beat)


@router.post(
    "/jobs/{job_id:job}/finish",
    response_model=Job,
    operation_id="finish_job",
    responses=refusals(NotFoundError, LeaseLostError, InvalidInputError, TooLargeError),
    openapi_extra=json_body(Finish),
)
async def finish_job(job_id: JobId, request: Request, services: TheServices, identity: TheIdentity) -> Response:
    """End a job with what it brought; publishing and ending are one step."""
    await in_thread(services.zoo.access.require_report, identity, job_id)
    factor = RESULT_LIMIT_FACTOR if identity.works else HOME_RESULT_LIMIT_FACTOR
    limit = factor * services.zoo.settings.json_limit_bytes
    body = await read_json(request, Finish, limit_bytes=limit)
    return await in_thread(_finished, services, identity, job_id, body)


def _finished(services: Services, identity: Identity, job_id: int, body: Finish) -> Response:
    """End a job whose result has been read."""
    services.zoo.access.require_report(identity, job_id, brought=blobs_of(body.result))
    job = services.zoo.jobs.finish(job_id, attempt=body.attempt, result=body.result)
    services.job_ended(job)
    return answer(job)


@router.post(
    "/jobs/{job_id:job}/fail",
    response_model=Job,
    operation_id="fail_job",
    responses=refusals(NotFoundError, LeaseLostError),
)
def fail_job(job_id: JobId, body: Failure, services: TheServices, identity: TheIdentity) -> Response:
    """End a job that cannot be done."""
    services.zoo.access.require_report(identity, job_id)
    job = services.zoo.jobs.fail(job_id, attempt=body.attempt, error=body.error)
    services.job_ended(job)
    return answer(job)


@router.post(
    "/jobs/{job_id:job}/release",
    response_model=Job,
    operation_id="release_job",
    responses=refusals(NotFoundError, LeaseLostError),
)
def release_job(job_id: JobId, body: Release, zoo: TheZoo, identity: TheIdentity) -> Response:
    """Give a job back unharmed, for the next worker to claim."""
    zoo.access.require_report(identity, job_id)
    return answer(zoo.jobs.release(job_id, attempt=body.attempt))
