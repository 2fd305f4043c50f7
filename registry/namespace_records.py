"""Namespaces: public, or for their members only."""

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from registry.frozen import Frozen
from registry.token_records import Word

MOST_MEMBERS = 1000


class Visibility(StrEnum):
    """Who may know of a namespace: everybody who may read, or its members."""

    PUBLIC = "public"
    PRIVATE = "private"


class Namespace(Frozen):
    """A namespace; `members` are the owners of tokens that may know of it where it is private."""

    namespace: str
    visibility: Visibility
    members: Annotated[tuple[Word, ...], Field(max_length=MOST_MEMBERS)] = ()
