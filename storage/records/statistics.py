"""Which statistics are kept, in SQL."""

from collections.abc import Sequence

from sqlalchemy import delete, select

from registry.names import Digest
from registry.records import KeptStatistics
from storage.tables import StatisticsRow
from storage.transaction import Transaction, chunks


class SqlStatisticsRecords:
    """Which statistics are kept, by module, data, preprocessing, examples and seed (all in `key`)."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, kept: KeptStatistics) -> None:
        """Record where statistics are; no error when they are there already."""
        new = self._transaction.insert(StatisticsRow).values(
            key=kept.key, module=kept.module, data=kept.data, blob=kept.blob, record=kept.model_dump_json()
        )
        self._transaction.change(new.on_conflict_do_nothing())

    def get(self, keys: Sequence[Digest]) -> dict[Digest, KeptStatistics]:
        """Those of the keys that are kept."""
        found: dict[Digest, KeptStatistics] = {}
        for some in chunks(keys):
            rows = self._transaction.rows(select(StatisticsRow.record).where(StatisticsRow.key.in_(some)))
            kept = (KeptStatistics.model_validate_json(record) for (record,) in rows)
            found |= {statistics.key: statistics for statistics in kept}
        return found

    def of_module(self, module: Digest) -> tuple[KeptStatistics, ...]:
        """Everything kept for a module, by key."""
        kept = select(StatisticsRow.record).where(StatisticsRow.module == module).order_by(StatisticsRow.key)
        return tuple(KeptStatistics.model_validate_json(record) for (record,) in self._transaction.rows(kept))

    def uses_blob(self, blob: Digest) -> bool:
        """Whether statistics are kept in these bytes."""
        return self._transaction.first(select(StatisticsRow.key).where(StatisticsRow.blob == blob).limit(1)) is not None

    def remove(self, key: Digest) -> None:
        """Forget what is kept under a key; no error when it is not there."""
        self._transaction.change(delete(StatisticsRow).where(StatisticsRow.key == key))

    def remove_data(self, data: Digest) -> tuple[Digest, ...]:
        """Forget everything kept for a dataset; gives the blobs that nothing refers to any more."""
        forget = delete(StatisticsRow).where(StatisticsRow.data == data).returning(StatisticsRow.blob)
        freed = {Digest(blob) for (blob,) in self._transaction.changed(forget) if blob is not None}
        return tuple(sorted(freed - self._referred(freed)))

    def _referred(self, blobs: set[Digest]) -> set[Digest]:
        """Those of the blobs that other statistics still refer to."""
        held: set[Digest] = set()
        for some in chunks(blobs):
            rows = self._transaction.rows(select(StatisticsRow.blob).where(StatisticsRow.blob.in_(some)))
            held |= {Digest(blob) for (blob,) in rows if blob is not None}
        return held
