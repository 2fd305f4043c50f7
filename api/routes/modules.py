"""Modules over HTTP: publish, search, fetch, yank, delete."""

import hashlib
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.actions import MODULE, VERSION
from api.answers import answer, tagged
from api.byte_ranges import FOR_EVER, PRIVATE_FOR_EVER, REVALIDATED, Content, serve
from api.inputs import (
    JSON,
    LONGEST_PAGE,
    PAGE,
    SHAPE,
    Cursor,
    Limit,
    Services,
    TheIdentity,
    TheModule,
    TheOwner,
    TheRef,
    TheServices,
    TheVersion,
    TheZoo,
    identity_of,
    parse_json,
)
from api.openapi import UNCHANGED, answers_bytes, raw_body, refusals, sent_elsewhere, takes_headers
from api.threads import in_thread
from api.uploads import media_type
from registry.access import Identity
from registry.errors import (
    CorruptBlobError,
    InvalidArchitectureError,
    InvalidManifestError,
    InvalidModuleFileError,
    InvalidNameError,
    InvalidWeightsError,
    NotFoundError,
    ReferencedError,
    StorageFullError,
    TooLargeError,
)
from registry.frozen import Asked
from registry.manifest import ModuleManifest
from registry.names import LATEST, Digest, DigestField, ModuleRef
from registry.parts import PartDigests
from registry.records import Lineage, ModuleOverview, ModulePage, ModuleSearch, PublishedModule, TensorListing
from registry.zoo import Zoo

router = APIRouter(tags=["modules"])


class SearchParameters(ModuleSearch):
    """What to search for, and which page of it."""

    takes: Annotated[str, Field(json_schema_extra=SHAPE)] | None = None
    gives: Annotated[str, Field(json_schema_extra=SHAPE)] | None = None
    limit: Annotated[int, Field(ge=1, le=LONGEST_PAGE, description="most items of one page")] = PAGE
    cursor: Annotated[str | None, Field(max_length=1000, description="`next_cursor` of the page before")] = None
    facets: Annotated[bool, Field(description="count the values of each field over everything found")] = False


class UploadedBytes(Asked):
    """Bytes that were uploaded before, with `PUT /blobs/{digest}`."""

    digest: DigestField


class YankReason(Asked):
    """Why a version should not be used any more; null takes the yank back."""

    reason: Annotated[str, Field(min_length=1, max_length=2000, pattern="^[^\x00]*$")] | None


@router.get("/modules", response_model=ModulePage, operation_id="search_modules", responses=refusals())
def search_modules(zoo: TheZoo, search: Annotated[SearchParameters, Query()]) -> Response:
    """The newest version, not yanked, of each module that fits."""
    query = ModuleSearch(**{name: getattr(search, name) for name in ModuleSearch.model_fields})
    page = zoo.modules.search(query, limit=search.limit, cursor=search.cursor, facets=search.facets)
    return answer(page)


@router.get(
    MODULE,
    response_model=ModuleOverview,
    operation_id="show_module",
    responses=refusals(InvalidNameError, NotFoundError),
)
def show_module(module: TheModule, zoo: TheZoo, limit: Limit = LONGEST_PAGE, cursor: Cursor = None) -> Response:
    """A module with its versions, newest first, and its aliases; of many versions a page at a time."""
    return answer(zoo.modules.overview(module, limit=limit, cursor=cursor))


@router.post(
    f"{MODULE}/versions",
    status_code=201,
    response_model=PublishedModule | ModuleManifest,
    operation_id="publish_module",
    responses={
        **refusals(
            InvalidNameError,
            InvalidModuleFileError,
            InvalidManifestError,
            InvalidArchitectureError,
            InvalidWeightsError,
            TooLargeError,
            StorageFullError,
        ),
        200: {
            "description": "These bytes are published already; or, of a dry run, the manifest.",
            "model": PublishedModule | ModuleManifest,
        },
    },
    openapi_extra=raw_body(
        "The module's safetensors file, or JSON naming bytes that were uploaded before.",
        also=(JSON, UploadedBytes),
    ),
)
async def publish_module(
    module: TheModule, request: Request, services: TheServices, owner: TheOwner, *, dry_run: bool = False
) -> Response:
    """Publish a file as the next version, or give the version that has these bytes already.

    A worker verifies it afterwards; publishing bytes again that were refused has a worker look at them again.
    Bytes first, record second: a version is visible whole or not at all, and a file that is refused is not kept.
    """
    modules = services.zoo.modules
    async with _file_of(request, services) as digest:
        if dry_run:
            return answer(await in_thread(modules.rehearse, module, digest))
        published = await in_thread(partial(modules.publish, module, digest, by=owner))
    made = published.module
    location = f"/modules/{made.namespace}/{made.name}/versions/{made.version}"
    headers = {"Location": location, "ETag": f'"{manifest_tag(made)}"'}
    return answer(made, status=201 if published.created else 200, headers=headers)


@asynccontextmanager
async def _file_of(request: Request, services: Services) -> AsyncIterator[Digest]:
    """The digest of the file that is to be published, held while the block runs."""
    if media_type(request) == JSON:
        digest = parse_json(await request.body(), UploadedBytes).digest
        await in_thread(services.zoo.access.require_bytes, identity_of(request), [digest])
        async with services.desk.held(digest):
            yield digest
        return
    limit = services.zoo.settings.module_limit_bytes
    async with services.desk.body(request, limit_bytes=limit) as received:
        yield received.blob.digest


def manifest_tag(module: PublishedModule) -> str:
    """The entity tag of a manifest as it is answered: its bytes never change, but what is said of them may.

    That is whether the version is yanked, and what workers found when they built and ran it.
    """
    said = json.dumps([module.yanked, module.verification.model_dump(mode="json")])
    return f"{module.digest};{hashlib.sha256(said.encode()).hexdigest()[:16]}"


@contextmanager
def _hidden_versions_named(zoo: Zoo, ref: ModuleRef) -> Iterator[None]:
    """Raises NotFoundError saying that every version is yanked, where that is why there is no latest one."""
    try:
        yield
    except NotFoundError as error:
        if ref.selector.alias != LATEST:
            raise
        newest = zoo.modules.overview(ref.name, limit=1).versions[0]
        raise NotFoundError(
            f"every version of {ref.name} is yanked, so there is no {LATEST} one; {ref.name}@{newest.version} can "
            f"still be fetched by its number (yanked because: {newest.yanked})"
        ) from error


@router.get(
    VERSION,
    response_model=PublishedModule,
    operation_id="show_version",
    responses={**refusals(InvalidNameError, NotFoundError), **UNCHANGED},
    openapi_extra=takes_headers("If-None-Match"),
)
def show_version(ref: TheRef, request: Request, zoo: TheZoo) -> Response:
    """The manifest of a version, named by number, digest or alias.

    It is revalidated at each use, since a version may be yanked, verified or refused; the entity tag then changes.
    """
    with _hidden_versions_named(zoo, ref):
        module = zoo.modules.get(ref)
    return tagged(request, module, etag=manifest_tag(module), cache=REVALIDATED)


@router.get(
    f"{VERSION}/file",
    response_class=Response,
    operation_id="fetch_file",
    responses={
        **refusals(InvalidNameError, NotFoundError),
        **answers_bytes("The module's safetensors file."),
        **sent_elsewhere(),
    },
    openapi_extra=takes_headers("Range", "If-Range", "If-None-Match"),
)
def fetch_file(ref: TheRef, request: Request, zoo: TheZoo, identity: TheIdentity) -> Response:
    """The bytes of a version; named by number or digest they never change."""
    with _hidden_versions_named(zoo, ref):
        module = zoo.modules.get(ref)
    content = Content(
        open=partial(zoo.blobs.open, module.digest),
        size_bytes=module.size_bytes,
        etag=module.digest,
        digest=module.digest,
        name=f"{module.namespace}-{module.name}-{module.version}.safetensors",
        cache=_lifetime(ref, identity),
        link=partial(zoo.blobs.link, module.digest),
    )
    return serve(request, content)


def _lifetime(ref: ModuleRef, identity: Identity) -> str:
    """For how long what a reference means may be kept, and by whom: an alias moves, numbers and digests do not.

    What somebody gets who said who they are may be for them alone, so no cache on the way may keep it for others.
    """
    lifetime = FOR_EVER if identity.role is None else PRIVATE_FOR_EVER
    return lifetime if ref.selector.alias is None else REVALIDATED


@router.get(
    f"{VERSION}/parts",
    response_model=PartDigests,
    operation_id="list_file_parts",
    responses={**refusals(InvalidNameError, NotFoundError, CorruptBlobError), **UNCHANGED},
    openapi_extra=takes_headers("If-None-Match"),
)
def list_file_parts(ref: TheRef, request: Request, zoo: TheZoo, identity: TheIdentity) -> Response:
    """The digest of each part of 8 MiB of a version's file, so that one that was read wrong can be read again."""
    with _hidden_versions_named(zoo, ref):
        parts = zoo.parts.of(zoo.modules.get(ref).digest)
    return tagged(request, parts, etag=f"{parts.digest};parts", cache=_lifetime(ref, identity))


@router.get(
    f"{VERSION}/tensors",
    response_model=TensorListing,
    operation_id="list_tensors",
    responses={**refusals(InvalidNameError, NotFoundError), **UNCHANGED},
    openapi_extra=takes_headers("If-None-Match"),
)
def list_tensors(ref: TheRef, request: Request, zoo: TheZoo, identity: TheIdentity) -> Response:
    """The header of a version's file as JSON: type, shape and place of each tensor."""
    with _hidden_versions_named(zoo, ref):
        listing = zoo.modules.tensors(ref)
    return tagged(request, listing, etag=f"{listing.digest};tensors", cache=_lifetime(ref, identity))


@router.get(
    f"{VERSION}/lineage",
    response_model=Lineage,
    operation_id="show_lineage",
    responses=refusals(InvalidNameError, NotFoundError),
)
def show_lineage(ref: TheRef, zoo: TheZoo, limit: Limit = LONGEST_PAGE, cursor: Cursor = None) -> Response:
    """All a version stands on, a page of all that stands on it, nearest first, and the pipelines that hold it."""
    with _hidden_versions_named(zoo, ref):
        return answer(zoo.modules.lineage(ref, limit=limit, cursor=cursor))


@router.put(
    f"{VERSION}/yank",
    response_model=PublishedModule,
    operation_id="yank_version",
    responses=refusals(InvalidNameError, NotFoundError),
)
def yank_version(module: TheModule, version: TheVersion, body: YankReason, zoo: TheZoo, owner: TheOwner) -> Response:
    """Hide a version from searches and `latest`; it is still fetched when named."""
    return answer(zoo.modules.yank(module, version, body.reason, by=owner))


@router.delete(
    f"{VERSION}/yank",
    response_model=PublishedModule,
    operation_id="unyank_version",
    responses=refusals(InvalidNameError, NotFoundError),
)
def unyank_version(module: TheModule, version: TheVersion, zoo: TheZoo, owner: TheOwner) -> Response:
    """Show a yanked version again."""
    return answer(zoo.modules.yank(module, version, None, by=owner))


@router.delete(
    VERSION,
    status_code=204,
    operation_id="delete_version",
    responses=refusals(InvalidNameError, NotFoundError, ReferencedError),
)
def delete_version(module: TheModule, version: TheVersion, zoo: TheZoo, owner: TheOwner) -> None:
    """Remove a version that nothing refers to; its number is not given again."""
    zoo.modules.delete(module, version, by=owner)
