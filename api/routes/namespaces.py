"""Namespaces over HTTP: an admin makes them private, with members, or public again."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from api.answers import answer
from api.inputs import TheOwner, TheZoo
from api.openapi import refusals
from registry.errors import ForbiddenError, InvalidInputError, InvalidNameError
from registry.frozen import Asked
from registry.namespace_records import MOST_MEMBERS, Namespace, Visibility
from registry.records import Page
from registry.token_records import Word

router = APIRouter(tags=["namespaces"])


class WantedNamespace(Asked):
    """Who may know of a namespace: everybody, or its members, who are owners of tokens."""

    visibility: Visibility
    members: Annotated[tuple[Word, ...], Field(max_length=MOST_MEMBERS)] = ()


@router.get(
    "/namespaces",
    response_model=Page[Namespace],
    operation_id="list_private_namespaces",
    responses=refusals(ForbiddenError),
)
def list_private_namespaces(zoo: TheZoo) -> Response:
    """Every private namespace with its members."""
    return answer(zoo.namespaces.list())


@router.get(
    "/namespaces/{namespace}",
    response_model=Namespace,
    operation_id="show_namespace",
    responses=refusals(ForbiddenError, InvalidNameError),
)
def show_namespace(namespace: str, zoo: TheZoo) -> Response:
    """Who may know of a namespace; one that was never heard of is public."""
    return answer(zoo.namespaces.get(namespace))


@router.put(
    "/namespaces/{namespace}",
    response_model=Namespace,
    operation_id="set_namespace",
    responses=refusals(ForbiddenError, InvalidInputError, InvalidNameError),
)
def set_namespace(namespace: str, body: WantedNamespace, zoo: TheZoo, owner: TheOwner) -> Response:
    """Make a namespace private, with these members and no others, or public."""
    wanted = Namespace(namespace=namespace, visibility=body.visibility, members=body.members)
    return answer(zoo.namespaces.set(wanted, by=owner))
