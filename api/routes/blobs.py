"""Bytes over HTTP, under their own digest."""

from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer, tagged
from api.byte_ranges import PRIVATE_FOR_EVER, Content, serve
from api.inputs import TheDigest, TheIdentity, TheServices, TheZoo
from api.openapi import UNCHANGED, answers_bytes, raw_body, refusals, sent_elsewhere, takes_headers
from api.threads import in_thread
from registry.errors import (
    CorruptBlobError,
    InvalidNameError,
    NotFoundError,
    StorageFullError,
    TooLargeError,
    WrongDigestError,
)
from registry.parts import PartDigests
from registry.records import BlobInfo

router = APIRouter(tags=["blobs"])


@router.put(
    "/blobs/{digest}",
    response_model=BlobInfo,
    operation_id="put_blob",
    responses={
        **refusals(InvalidNameError, WrongDigestError, TooLargeError, StorageFullError),
        201: {"description": "The bytes are new.", "model": BlobInfo},
    },
    openapi_extra=raw_body("The bytes that have this digest."),
)
async def put_blob(digest: TheDigest, request: Request, services: TheServices, identity: TheIdentity) -> Response:
    """Keep bytes under their digest; doing it again changes nothing, and wrong bytes leave nothing."""
    settings = services.zoo.settings
    limit = max(settings.module_limit_bytes, settings.dataset_limit_bytes)
    async with services.desk.body(request, limit_bytes=limit, expected=digest) as received:
        known = received.known and await in_thread(services.zoo.access.may_have, identity, digest)
        await in_thread(services.guests.keep, digest)
        await in_thread(services.zoo.access.brought, identity, digest)
    return answer(received.blob, status=200 if known else 201, headers={"Location": f"/blobs/{digest}"})


@router.get(
    "/blobs/{digest}",
    response_class=Response,
    operation_id="fetch_blob",
    responses={**refusals(InvalidNameError, NotFoundError), **answers_bytes("The bytes."), **sent_elsewhere()},
    openapi_extra=takes_headers("Range", "If-Range", "If-None-Match"),
)
def fetch_blob(digest: TheDigest, request: Request, zoo: TheZoo, identity: TheIdentity) -> Response:
    """The bytes of a digest, whole or one range of them: those one sent, or may know of."""
    zoo.access.require_bytes(identity, [digest])
    info = zoo.blobs.info(digest)
    content = Content(
        open=partial(zoo.blobs.open, info.digest),
        size_bytes=info.size_bytes,
        etag=info.digest,
        digest=info.digest,
        name=info.digest.removeprefix("sha256:"),
        cache=PRIVATE_FOR_EVER,
        link=partial(zoo.blobs.link, info.digest),
    )
    return serve(request, content)


@router.get(
    "/blobs/{digest}/parts",
    response_model=PartDigests,
    operation_id="list_blob_parts",
    responses={**refusals(InvalidNameError, NotFoundError, CorruptBlobError), **UNCHANGED},
    openapi_extra=takes_headers("If-None-Match"),
)
def list_blob_parts(digest: TheDigest, request: Request, zoo: TheZoo, identity: TheIdentity) -> Response:
    """The digest of each part of 8 MiB, so that one that was read wrong can be read again."""
    zoo.access.require_bytes(identity, [digest])
    parts = zoo.parts.of(digest)
    return tagged(request, parts, etag=f"{parts.digest};parts", cache=PRIVATE_FOR_EVER)
