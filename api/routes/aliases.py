"""Aliases of a module over HTTP: compare-and-swap, and the history of every move."""

from typing import Annotated

from fastapi import APIRouter, Depends, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.actions import ALIAS
from api.answers import answer, tagged
from api.byte_ranges import REVALIDATED
from api.conditions import alias_condition
from api.inputs import Moment, PathAlias, TheModule, TheOwner, TheZoo
from api.openapi import UNCHANGED, refusals, takes_headers
from registry.errors import (
    InvalidNameError,
    NotFoundError,
    PreconditionFailedError,
    PreconditionRequiredError,
)
from registry.frozen import Asked
from registry.names import ModuleName, parse_alias
from registry.records import Alias, AliasMove, Page
from registry.zoo import Zoo

router = APIRouter(tags=["aliases"])


def alias_word(alias: PathAlias) -> str:
    """The alias that a path names. Raises InvalidNameError."""
    return parse_alias(alias)


TheAlias = Annotated[str, Depends(alias_word)]


When = Annotated[Moment | None, Query(description="a moment with its time zone, such as 2026-11-01T00:00:00Z")]


class AliasTarget(Asked):
    """The version an alias is to point at."""

    version: Annotated[int, Field(ge=1, lt=2**31)]


@router.get(
    ALIAS,
    response_model=Alias,
    operation_id="show_alias",
    responses={**refusals(InvalidNameError, NotFoundError), **UNCHANGED},
    openapi_extra=takes_headers("If-None-Match"),
)
def show_alias(module: TheModule, alias: TheAlias, request: Request, zoo: TheZoo) -> Response:
    """Where an alias points; its revision is the entity tag, for `If-Match`."""
    found = zoo.modules.alias(module, alias)
    return tagged(request, found, etag=str(found.revision), cache=REVALIDATED)


@router.put(
    ALIAS,
    response_model=Alias,
    operation_id="set_alias",
    responses={
        **refusals(InvalidNameError, NotFoundError, PreconditionFailedError, PreconditionRequiredError),
        201: {"description": "The alias is new.", "model": Alias},
    },
    openapi_extra=takes_headers("If-Match", "If-None-Match"),
)
def set_alias(
    module: TheModule, alias: TheAlias, body: AliasTarget, *, request: Request, zoo: TheZoo, owner: TheOwner
) -> Response:
    """Point an alias at a version, if it is still where `If-Match` says, or new with `If-None-Match: *`."""
    condition = alias_condition(request, present=_revision(zoo, module, alias), alias=alias)
    moved = zoo.modules.set_alias(module, alias, body.version, condition=condition, by=owner)
    return answer(moved, status=201 if condition.must_be_new else 200, headers={"ETag": f'"{moved.revision}"'})


@router.delete(
    ALIAS,
    status_code=204,
    operation_id="remove_alias",
    responses=refusals(InvalidNameError, NotFoundError, PreconditionFailedError, PreconditionRequiredError),
    openapi_extra=takes_headers("If-Match"),
)
def remove_alias(module: TheModule, alias: TheAlias, request: Request, zoo: TheZoo, owner: TheOwner) -> None:
    """Take an alias away, if it is still where `If-Match` says; its history stays."""
    present = zoo.modules.alias(module, alias).revision
    condition = alias_condition(request, present=present, alias=alias)
    zoo.modules.remove_alias(module, alias, condition=condition, by=owner)


def _revision(zoo: Zoo, module: ModuleName, alias: str) -> int | None:
    """The revision an alias is at; None where there is none yet."""
    try:
        return zoo.modules.alias(module, alias).revision
    except NotFoundError:
        return None


@router.get(
    f"{ALIAS}/history",
    response_model=Page[AliasMove],
    operation_id="show_alias_history",
    responses=refusals(InvalidNameError, NotFoundError),
)
def show_alias_history(module: TheModule, alias: TheAlias, zoo: TheZoo, at: When = None) -> Response:
    """Every move of an alias, oldest first, removals too; with `at`, the one that held at that moment."""
    moves = zoo.modules.alias_history(module, alias) if at is None else (zoo.modules.alias_at(module, alias, at),)
    return answer(Page[AliasMove](items=moves))
