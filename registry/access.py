"""Who asks: the owner of what they upload, what their token is for, and in which namespaces."""

from dataclasses import dataclass
from enum import StrEnum

OPERATOR_NAME = "admin"
"""Whoever holds ZOO_TOKEN, or sits at a machine whose service has no tokens."""

NOBODY_NAME = ""
"""Whoever did not say who they are; no user can be called so, and nobody owns anything under it."""


class TokenRole(StrEnum):
    """What a token is for."""

    READER = "reader"
    PUBLISHER = "publisher"
    WORKER = "worker"
    ADMIN = "admin"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who asks.

    Args:
        owner: the name under which data is kept.
        role: what may be done; None for whoever did not say who they are.
        namespaces: where it may be done; None for everywhere.
        token_id: which token said so; None where no kept token did.
    """

    owner: str
    role: TokenRole | None
    namespaces: tuple[str, ...] | None = None
    token_id: str | None = None


OPERATOR = Identity(OPERATOR_NAME, TokenRole.ADMIN)
NOBODY = Identity(NOBODY_NAME, None)
