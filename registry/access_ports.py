"""What the rules of access need from outside; `registry.ports` has the rest."""

from datetime import datetime
from typing import Protocol

from registry.names import Digest
from registry.namespace_records import Namespace
from registry.records import Page
from registry.token_records import KeptToken, Token


class TokenRecords(Protocol):
    """Tokens, found by hashes of their secrets."""

    def add(self, kept: KeptToken) -> None:
        """Record a token."""

    def get(self, token_id: str) -> Token | None:
        """One token by its id."""

    def by_secret(self, hashed: str) -> Token | None:
        """The token whose secret has this hash."""

    def by_cookie(self, hashed: str) -> Token | None:
        """The token whose cookie has this hash."""

    def list(self, *, limit: int, cursor: str | None) -> Page[Token]:
        """Newest first."""

    def remove(self, token_id: str) -> bool:
        """Forget a token; False when it is not there."""

    def note_use(self, token_id: str, *, at: datetime) -> None:
        """Record when a token was used last."""

    def has_admin(self, *, at: datetime) -> bool:
        """Whether there is a token of the role admin that has not expired."""


class NamespaceRecords(Protocol):
    """Private namespaces; those that are not here are public."""

    def get(self, namespace: str) -> Namespace:
        """A namespace, private or not; also one that nothing was published in yet."""

    def all_private(self) -> tuple[Namespace, ...]:
        """Every private namespace, by name."""

    def put(self, namespace: Namespace, *, at: datetime) -> None:
        """Make a namespace what it is to be, with these members and no others."""

    def is_private(self, namespace: str) -> bool:
        """Whether not everybody may know of a namespace."""

    def in_sight(self, namespace: str) -> bool:
        """Whether a namespace is public, or private and within the sight of this unit of work."""

    def private_in_sight(self) -> tuple[str, ...]:
        """The private namespaces within the sight of this unit of work, by name."""


class BlobOwnerRecords(Protocol):
    """Who brought which bytes by their digest, and so may have them again."""

    def add(self, digest: Digest, *, owner: str) -> None:
        """Record who brought bytes; no error when that is known."""

    def has(self, digest: Digest, *, owner: str) -> bool:
        """Whether this owner brought these bytes."""

    def claimed(self, digest: Digest) -> bool:
        """Whether anybody brought these bytes."""

    def remove(self, digest: Digest, *, owner: str | None) -> None:
        """Forget that this owner (None: anybody) brought these bytes."""
