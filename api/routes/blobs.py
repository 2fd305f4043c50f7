"""Bytes over HTTP, under their own digest."""

from functools import partial

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from api.answers import answer
from api.byte_ranges import Content, serve
from api.inputs import TheDigest, TheServices, TheZoo
from api.openapi import answers_bytes, raw_body, refusals, takes_headers
from api.uploads import in_thread
from registry.errors import (
    InvalidNameError,
    NotFoundError,
    StorageFullError,
    TooLargeError,
    WrongDigestError,
)
from registry.records import BlobInfo

router = APIRouter(tags=["blobs"])

PRIVATE_FOR_EVER = "private, max-age=31536000, immutable"


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
async def put_blob(digest: TheDigest, request: Request, services: TheServices) -> Response:
    """Keep bytes under their digest; doing it again changes nothing, and wrong bytes leave nothing."""
    settings = services.zoo.settings
    limit = max(settings.module_limit_bytes, settings.dataset_limit_bytes)
    async with services.desk.body(request, limit_bytes=limit, expected=digest) as received:
        await in_thread(services.guests.keep, digest)
    return answer(received.blob, status=200 if received.known else 201, headers={"Location": f"/blobs/{digest}"})


@router.get(
    "/blobs/{digest}",
    response_class=Response,
    operation_id="fetch_blob",
    responses={**refusals(InvalidNameError, NotFoundError), **answers_bytes("The bytes.")},
    openapi_extra=takes_headers("Range", "If-Range", "If-None-Match"),
)
def fetch_blob(digest: TheDigest, request: Request, zoo: TheZoo) -> Response:
    """The bytes of a digest, whole or one range of them."""
    info = zoo.blobs.info(digest)
    content = Content(
        open=partial(zoo.blobs.open, info.digest),
        size_bytes=info.size_bytes,
        etag=info.digest,
        digest=info.digest,
        name=info.digest.removeprefix("sha256:"),
        cache=PRIVATE_FOR_EVER,
    )
    return serve(request, content)
