"""Tokens over HTTP: an admin makes, lists and revokes them; whoever holds one may ask who that is, and give it up."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import Field
from starlette.convertors import register_url_convertor
from starlette.responses import Response

from api.answers import answer
from api.inputs import PAGE, Cursor, Limit, TheIdentity, TheZoo, any_word_but
from api.openapi import refusals
from registry.access import TokenRole
from registry.errors import ForbiddenError, InvalidInputError, NotFoundError
from registry.frozen import Asked
from registry.records import Page
from registry.token_records import LONGEST_NAME, Introduction, Namespaces, NewToken, Token, TokenScope, Word

router = APIRouter(tags=["tokens"])

register_url_convertor("token", any_word_but("me"))

NOT_KEPT = {"Cache-Control": "no-store"}


class WantedToken(Asked):
    """A token to be made; its owner is whoever asks where none is named, `namespaces` null are all of them."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    role: TokenRole
    owner: Word | None = None
    namespaces: Namespaces | None = None
    expires_at: datetime | None = None


@router.post(
    "/tokens",
    status_code=201,
    response_model=NewToken,
    operation_id="create_token",
    responses=refusals(ForbiddenError, InvalidInputError),
)
def create_token(body: WantedToken, zoo: TheZoo, identity: TheIdentity) -> Response:
    """Make a token. Its secret is in this answer and nowhere else: the zoo keeps a hash of it."""
    scope = TokenScope(**{**dict(body), "owner": body.owner or identity.owner})
    made = zoo.tokens.create(scope, by=identity.owner)
    return answer(made, status=201, headers=NOT_KEPT)


@router.get("/tokens", response_model=Page[Token], operation_id="list_tokens", responses=refusals(ForbiddenError))
def list_tokens(zoo: TheZoo, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """All tokens without their secrets, newest first: whose, what for, until when, and when last used."""
    return answer(zoo.tokens.list(limit=limit, cursor=cursor), headers=NOT_KEPT)


@router.get("/tokens/me", response_model=Introduction, operation_id="show_identity", responses=refusals(NotFoundError))
def show_identity(zoo: TheZoo, identity: TheIdentity) -> Response:
    """Who you are to this zoo: by your token, or as the operator."""
    return answer(zoo.tokens.introduce(identity), headers=NOT_KEPT)


@router.delete("/tokens/{token:token}", status_code=204, operation_id="revoke_token", responses=refusals(NotFoundError))
def revoke_token(token: str, zoo: TheZoo, identity: TheIdentity) -> None:
    """End a token: any for an admin, one's own for everybody else."""
    zoo.tokens.revoke(token, identity=identity)
