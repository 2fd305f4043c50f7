"""Uploads that may break off and go on, as tus 1.0 has them (https://tus.io/protocols/resumable-upload)."""

from collections.abc import Mapping
from contextlib import suppress
from email.utils import format_datetime
from functools import partial
from types import MappingProxyType
from typing import Annotated

from fastapi import APIRouter, Depends, Header
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.byte_ranges import repr_digest
from api.door import HEAD, SAID
from api.inputs import JSON, Services, TheOwner, TheServices, TheZoo
from api.openapi import refusals, takes_headers
from api.receiving import ALGORITHMS, BodyChecksum, receive
from api.threads import finally_in_thread, in_thread
from api.uploads import begin_stream, media_type
from registry.errors import (
    ChecksumMismatchError,
    ConflictError,
    Fault,
    GoneError,
    InvalidInputError,
    NotFoundError,
    StorageFullError,
    TooLargeError,
    TusVersionError,
    UploadLockedError,
    UploadStalledError,
    WrongDigestError,
)
from registry.upload_records import Upload

VERSION = "1.0.0"
EXTENSIONS = "creation,creation-with-upload,creation-defer-length,termination,expiration,checksum"
OCTETS = "application/offset+octet-stream"
OVERRIDE = "x-http-method-override"
MOST = 2**53
"""Numbers beyond this are no offsets."""


def speak_tus(
    request: Request, tus_resumable: Annotated[str, Header(description=f"`{VERSION}`; GET needs none")] = ""
) -> None:
    """Every answer says which tus it speaks. Raises TusVersionError where the request speaks another one, or none."""
    request.scope[SAID] = {"Tus-Resumable": VERSION}
    if request.method == "POST" and "upload" in request.path_params and OVERRIDE not in request.headers:
        raise _no_post()
    shown = request.method == "GET" and not request.scope.get(HEAD, False)
    if tus_resumable != VERSION and not shown and request.method != "OPTIONS":
        request.scope[SAID]["Tus-Version"] = VERSION
        raise TusVersionError(f"Tus-Resumable is {tus_resumable[:50]!r}; this service speaks tus {VERSION}, send that")


def _no_post() -> HTTPException:
    return HTTPException(405, "an upload takes PATCH", headers={"Allow": "GET, HEAD, PATCH, DELETE, OPTIONS"})


router = APIRouter(tags=["uploads"], dependencies=[Depends(speak_tus)])

Length = Annotated[int | None, Header(ge=0, le=MOST, description="number of bytes in all")]
Offset = Annotated[int, Header(ge=0, le=MOST, description="where the bytes of this request go")]
BODY: dict[str, object] = {
    "requestBody": {
        "required": False,
        "description": "The next bytes.",
        "content": {OCTETS: {"schema": {"type": "string", "format": "binary"}}},
    }
}


@router.options("/uploads", status_code=204, include_in_schema=False)
@router.options("/uploads/{upload}", status_code=204, include_in_schema=False)
def show_abilities(zoo: TheZoo) -> Response:
    """What of tus this service knows."""
    return Response(
        status_code=204,
        headers={
            "Tus-Version": VERSION,
            "Tus-Extension": EXTENSIONS,
            "Tus-Max-Size": str(zoo.settings.upload_limit_bytes),
            "Tus-Checksum-Algorithm": ",".join(ALGORITHMS),
        },
    )


@router.post(
    "/uploads",
    status_code=201,
    response_class=Response,
    operation_id="begin_upload",
    responses=refusals(InvalidInputError, TooLargeError, TusVersionError, StorageFullError, ChecksumMismatchError),
    openapi_extra=BODY,
)
async def begin_upload(
    request: Request,
    services: TheServices,
    owner: TheOwner,
    *,
    upload_length: Length = None,
    upload_defer_length: Annotated[int | None, Header(ge=1, le=1, description="the length is told later")] = None,
    upload_metadata: Annotated[str, Header(description="what the bytes are; `digest` is checked at the end")] = "",
) -> Response:
    """Begin an upload that may break off and go on, perhaps with its first bytes."""
    if (upload_length is None) == (upload_defer_length is None):
        raise InvalidInputError(
            "give either Upload-Length, or Upload-Defer-Length: 1",
            faults=[Fault("/header/upload-length", "give it, or Upload-Defer-Length: 1")],
        )
    brings = _brings_bytes(request)
    create = partial(services.zoo.uploads.create, owner=owner, length=upload_length, metadata=upload_metadata)
    upload = await in_thread(create)
    where = {"Location": f"/uploads/{upload.id}"}
    if brings or upload.whole:
        upload = await _begun(request, services, upload.id, owner=owner)
    return _told(upload, status=201, headers=where)


@router.get(
    "/uploads/{upload}",
    response_model=Upload,
    operation_id="show_upload",
    responses=refusals(NotFoundError, GoneError, TusVersionError),
)
def show_upload(upload: str, zoo: TheZoo, owner: TheOwner) -> Response:
    """How far an upload is; with HEAD, in headers alone."""
    found = zoo.uploads.get(upload, owner=owner)
    length = {"Upload-Defer-Length": "1"} if found.length is None else {"Upload-Length": str(found.length)}
    said = {"Upload-Metadata": found.metadata} if found.metadata else {}
    headers = {**_headers(found), **length, **said, "Cache-Control": "no-store"}
    return Response(found.model_dump_json(), headers=headers, media_type=JSON)


@router.patch(
    "/uploads/{upload}",
    status_code=204,
    response_class=Response,
    operation_id="continue_upload",
    responses=refusals(
        NotFoundError,
        GoneError,
        ConflictError,
        UploadLockedError,
        UploadStalledError,
        TooLargeError,
        TusVersionError,
        WrongDigestError,
        ChecksumMismatchError,
        StorageFullError,
    ),
    openapi_extra={**BODY, **takes_headers("Upload-Checksum")},
)
async def continue_upload(
    upload: str,
    request: Request,
    services: TheServices,
    owner: TheOwner,
    *,
    upload_offset: Offset,
    upload_length: Length = None,
) -> Response:
    """Add the next bytes; at another offset than the one it has come to, nothing changes. The last ones complete it."""
    if media_type(request) != OCTETS:
        raise HTTPException(415, f"send bytes with Content-Type: {OCTETS}")
    found = await in_thread(partial(services.zoo.uploads.get, upload, owner=owner))
    if found.digest is None or upload_offset != found.offset:
        found = await _received(request, services, upload, owner=owner, offset=upload_offset, length=upload_length)
    else:
        begin_stream(request, limit_bytes=0)
    return _told(found, status=204)


@router.delete(
    "/uploads/{upload}",
    status_code=204,
    operation_id="end_upload",
    responses=refusals(NotFoundError, GoneError, TusVersionError),
)
def end_upload(upload: str, zoo: TheZoo, owner: TheOwner) -> None:
    """End an upload; its bytes go, unless a version or a dataset is made of them."""
    zoo.uploads.remove(upload, owner=owner)


@router.post("/uploads/{upload}", include_in_schema=False)
async def override_method(
    upload: str,
    request: Request,
    services: TheServices,
    owner: TheOwner,
    *,
    upload_offset: Annotated[int | None, Header(ge=0, le=MOST)] = None,
    upload_length: Length = None,
) -> Response:
    """The same as PATCH or DELETE, for those whose way here lets neither through."""
    method = request.headers[OVERRIDE]
    if method == "PATCH":
        if upload_offset is None:
            raise InvalidInputError(
                "the request is not valid: upload-offset is missing",
                faults=[Fault("/header/upload-offset", "upload-offset is missing", "missing")],
            )
        return await continue_upload(
            upload, request, services, owner, upload_offset=upload_offset, upload_length=upload_length
        )
    if method != "DELETE":
        raise _no_post()
    await in_thread(partial(services.zoo.uploads.remove, upload, owner=owner))
    return Response(status_code=204)


def _brings_bytes(request: Request) -> bool:
    """Whether a creation has a body. Raises HTTPException 415 for one of another type."""
    kind, length = media_type(request), request.headers.get("content-length", "0")
    if kind == OCTETS:
        return True
    if length != "0" or "transfer-encoding" in request.headers:
        raise HTTPException(415, f"send first bytes with Content-Type: {OCTETS}, or none")
    return False


async def _begun(request: Request, services: Services, upload: str, *, owner: str) -> Upload:
    """A new upload with its first bytes; without them nobody would know where it is, so it goes."""
    try:
        return await _received(request, services, upload, owner=owner, offset=0)
    except BaseException:
        with suppress(NotFoundError):
            await finally_in_thread(partial(services.zoo.uploads.remove, upload, owner=owner))
        raise


async def _received(
    request: Request, services: Services, upload: str, *, owner: str, offset: int, length: int | None = None
) -> Upload:
    """The upload with this request's bytes."""
    uploads, header = services.zoo.uploads, request.headers.get("upload-checksum")
    checksum = None if header is None else BodyChecksum(header)
    begin = partial(uploads.receive, upload, owner=owner, offset=offset, length=length, checksum=checksum)
    receiver = await in_thread(begin)
    return await receive(request, receiver, services.zoo.settings)


def _told(upload: Upload, *, status: int, headers: Mapping[str, str] = MappingProxyType({})) -> Response:
    return Response(status_code=status, headers={**_headers(upload), **headers, "Cache-Control": "no-store"})


def _headers(upload: Upload) -> dict[str, str]:
    """What every answer says of an upload: how far it is, and, once it is whole, its digest."""
    said = {"Upload-Offset": str(upload.offset), "Upload-Expires": format_datetime(upload.expires_at, usegmt=True)}
    if upload.digest is not None:
        said |= {"Upload-Digest": upload.digest, "Repr-Digest": repr_digest(upload.digest)}
    return said
