"""Tokens over HTTP: who one is, and, for an admin, making, listing and revoking them."""

from collections.abc import Sequence
from datetime import datetime

from client.connection import Call, Connection
from registry.access import TokenRole
from registry.frozen import Frozen
from registry.records import Page
from registry.token_records import Introduction, NewToken, Token


class _WantedToken(Frozen):
    name: str
    role: TokenRole
    owner: str | None
    namespaces: tuple[str, ...] | None
    expires_at: datetime | None


class Tokens:
    """Tokens of the zoo."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def me(self) -> Introduction:
        """Who one is to the zoo. Raises InvalidTokenError, UnauthenticatedError."""
        return self._connection.ask(Call("GET", "/tokens/me"), Introduction)

    def create(
        self,
        name: str,
        role: TokenRole,
        *,
        owner: str | None = None,
        namespaces: Sequence[str] | None = None,
        expires_at: datetime | None = None,
    ) -> NewToken:
        """A new token, whose secret is told this once.

        Args:
            name: what it is called in lists.
            role: what it is for.
            owner: whose it is; by default the caller's.
            namespaces: where it may publish, and which private ones it may see; None for all that the owner may.
            expires_at: until when; None for ever.

        Raises:
            ForbiddenError: the caller is no admin.
            InvalidInputError: it could never be used.
        """
        wanted = _WantedToken(
            name=name,
            role=role,
            owner=owner,
            namespaces=None if namespaces is None else tuple(namespaces),
            expires_at=expires_at,
        )
        return self._connection.ask(Call("POST", "/tokens", body=wanted), NewToken)

    def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Token]:
        """One page of tokens, newest first. Raises ForbiddenError unless the caller is an admin."""
        return self._connection.ask(Call("GET", "/tokens", params={"limit": limit, "cursor": cursor}), Page[Token])

    def revoke(self, token_id: str) -> None:
        """End a token. Raises NotFoundError."""
        self._connection.send(Call("DELETE", f"/tokens/{token_id}"))
