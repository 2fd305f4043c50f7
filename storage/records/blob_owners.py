"""Who brought which bytes, in SQL."""

from sqlalchemy import delete, select

from registry.names import Digest
from storage.tables import BlobOwnerRow
from storage.transaction import Transaction


class SqlBlobOwnerRecords:
    """Who brought bytes by their digest: whoever did had them, and may have them again."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, digest: Digest, *, owner: str) -> None:
        """Record who brought bytes; no error when that is known."""
        new = self._transaction.insert(BlobOwnerRow).values(digest=digest, owner=owner)
        self._transaction.change(new.on_conflict_do_nothing())

    def has(self, digest: Digest, *, owner: str) -> bool:
        """Whether this owner brought these bytes."""
        brought = select(BlobOwnerRow.owner).where(BlobOwnerRow.digest == digest, BlobOwnerRow.owner == owner)
        return self._transaction.first(brought) is not None

    def claimed(self, digest: Digest) -> bool:
        """Whether anybody brought these bytes."""
        return self._transaction.first(select(BlobOwnerRow.owner).where(BlobOwnerRow.digest == digest)) is not None

    def remove(self, digest: Digest, *, owner: str | None) -> None:
        """Forget that this owner (None: anybody) brought these bytes."""
        gone = delete(BlobOwnerRow).where(BlobOwnerRow.digest == digest)
        self._transaction.change(gone if owner is None else gone.where(BlobOwnerRow.owner == owner))
