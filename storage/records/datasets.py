"""Datasets and who holds them, in SQL."""

from sqlalchemy import Select, delete, select

from registry.names import Digest
from registry.records import Dataset, Page
from storage.cursors import newest_first
from storage.tables import DatasetOwnerRow, DatasetRow
from storage.transaction import Transaction


class SqlDatasetRecords:
    """Datasets. `owner` is who uploaded; nobody else finds them."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, dataset: Dataset, *, owner: str) -> None:
        """Record a dataset for an owner; no error when it is there already."""
        new = self._transaction.insert(DatasetRow).values(
            digest=dataset.digest, created_at=dataset.created_at, record=dataset.model_dump_json()
        )
        # The update changes nothing; it keeps others from removing the row before this transaction has ended.
        self._transaction.change(
            new.on_conflict_do_update(index_elements=[DatasetRow.digest], set_={"digest": DatasetRow.digest})
        )
        held = self._transaction.insert(DatasetOwnerRow).values(dataset=dataset.digest, owner=owner)
        self._transaction.change(held.on_conflict_do_nothing())

    def get(self, digest: Digest, *, owner: str | None) -> Dataset | None:
        """One dataset; an owner of None sees every one."""
        wanted = select(DatasetRow.record).where(DatasetRow.digest == digest)
        if owner is not None:
            wanted = wanted.where(DatasetRow.digest.in_(held_by(owner)))
        row = self._transaction.first(wanted)
        return None if row is None else Dataset.model_validate_json(row[0])

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Dataset]:
        """Newest first."""
        wanted = select(DatasetRow.record, DatasetRow.created_at, DatasetRow.digest)
        if owner is not None:
            wanted = wanted.where(DatasetRow.digest.in_(held_by(owner)))
        return newest_first(
            self._transaction,
            wanted,
            order=(DatasetRow.created_at, DatasetRow.digest),
            page=(limit, cursor),
            read=Dataset.model_validate_json,
        )

    def remove(self, digest: Digest, *, owner: str | None) -> bool:
        """Remove this owner's claim (None: all); True when that was the last, and the dataset is gone."""
        here = select(DatasetRow.digest).where(DatasetRow.digest == digest).with_for_update()
        if not self._transaction.changed(here):
            return False
        claims = delete(DatasetOwnerRow).where(DatasetOwnerRow.dataset == digest)
        self._transaction.change(claims if owner is None else claims.where(DatasetOwnerRow.owner == owner))
        if self._transaction.first(select(DatasetOwnerRow.owner).where(DatasetOwnerRow.dataset == digest)):
            return False
        self._transaction.change(delete(DatasetRow).where(DatasetRow.digest == digest))
        return True


def held_by(owner: str) -> Select[str]:
    """Digests of the datasets of an owner."""
    return select(DatasetOwnerRow.dataset).where(DatasetOwnerRow.owner == owner)
