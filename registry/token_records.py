"""Tokens: what is kept of them, and what is told."""

from datetime import datetime
from typing import Annotated

from pydantic import AfterValidator, Field

from registry.access import TokenRole
from registry.errors import InvalidNameError
from registry.frozen import Frozen
from registry.names import parse_word

LONGEST_NAME = 100
MOST_NAMESPACES = 100


def _word(text: str) -> str:
    """As `parse_word`, with the error that pydantic collects."""
    try:
        return parse_word(text, what="name")
    except InvalidNameError as error:
        raise ValueError(error.detail) from error


Word = Annotated[str, AfterValidator(_word)]
Namespaces = Annotated[tuple[Word, ...], Field(min_length=1, max_length=MOST_NAMESPACES)]


class TokenScope(Frozen):
    """What a token is called, whose it is, what it is for and until when; `namespaces` null means all of them."""

    name: Annotated[str, Field(min_length=1, max_length=LONGEST_NAME)]
    owner: Word
    role: TokenRole
    namespaces: Namespaces | None = None
    expires_at: datetime | None = None


class Token(TokenScope):
    """A token as it is told of: all of it but the secret, of which not even the zoo has more than a hash."""

    id: str
    created_at: datetime
    last_used_at: datetime | None = None


class NewToken(Token):
    """A token that was just made: the only time that the secret is shown."""

    secret: str


class KeptToken(Frozen):
    """What the zoo keeps: a token, and what it is found by."""

    token: Token
    secret_hash: str
    cookie_hash: str


class Introduction(Frozen):
    """Who one is to the zoo; `token` is null where no kept token says so, and `role` where nobody does."""

    owner: str
    role: TokenRole | None
    namespaces: tuple[str, ...] | None
    token: Token | None
