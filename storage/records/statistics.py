"""Which statistics are kept, in SQL."""

from collections import defaultdict
from collections.abc import Iterable, Sequence

from sqlalchemy import delete, select

from registry.names import Digest
from registry.records import KeptStatistics
from registry.standings import standing_of
from storage.tables import StandingRow, StatisticsRow
from storage.transaction import Transaction, chunks


class SqlStatisticsRecords:
    """Which statistics are kept, by module, data, preprocessing, examples and seed (all in `key`).

    Whatever changes them changes how the module stands, in the same transaction.
    """

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, *kept: KeptStatistics) -> None:
        """Record where statistics are; no error when they are there already. Those of one module go together."""
        for some in chunks(kept):
            new = self._transaction.insert(StatisticsRow).values([_columns(each) for each in some])
            self._transaction.change(new.on_conflict_do_nothing())
        self.stand(each.module for each in kept)

    def get(self, keys: Sequence[Digest]) -> dict[Digest, KeptStatistics]:
        """Those of the keys that are kept."""
        found: dict[Digest, KeptStatistics] = {}
        for some in chunks(keys):
            rows = self._transaction.rows(select(StatisticsRow.record).where(StatisticsRow.key.in_(some)))
            kept = (KeptStatistics.model_validate_json(record) for (record,) in rows)
            found |= {statistics.key: statistics for statistics in kept}
        return found

    def of_modules(self, modules: Iterable[Digest]) -> dict[Digest, tuple[KeptStatistics, ...]]:
        """Everything kept for each of the modules, by key; modules without any are left out."""
        found: dict[Digest, list[KeptStatistics]] = defaultdict(list)
        for some in chunks(dict.fromkeys(modules)):
            kept = select(StatisticsRow.record).where(StatisticsRow.module.in_(some)).order_by(StatisticsRow.key)
            for (record,) in self._transaction.rows(kept):
                statistics = KeptStatistics.model_validate_json(record)
                found[statistics.module].append(statistics)
        return {module: tuple(kept) for module, kept in found.items()}

    def remove(self, key: Digest) -> None:
        """Forget what is kept under a key; no error when it is not there."""
        forget = delete(StatisticsRow).where(StatisticsRow.key == key).returning(StatisticsRow.module)
        self.stand(Digest(module) for (module,) in self._transaction.changed(forget))

    def remove_data(self, data: Digest) -> tuple[Digest, ...]:
        """Forget everything kept for a dataset; gives the blobs that nothing refers to any more."""
        about = delete(StatisticsRow).where(StatisticsRow.data == data)
        gone = self._transaction.changed(about.returning(StatisticsRow.module, StatisticsRow.blob))
        self.stand(Digest(module) for module, _ in gone)
        freed = {Digest(blob) for _, blob in gone if blob is not None}
        return tuple(sorted(freed - self._referred(freed)))

    def stand(self, modules: Iterable[Digest]) -> None:
        """Find again how modules stand, from all that is kept for each."""
        for some in chunks(dict.fromkeys(modules)):
            kept = self.of_modules(some)
            found = {module: standing for module in some if (standing := standing_of(kept.get(module, ())))}
            self._transaction.change(
                delete(StandingRow).where(StandingRow.module.in_([module for module in some if module not in found]))
            )
            self._put(
                [
                    {"module": module, "standing": standing.mean, "data_count": standing.data_count}
                    for module, standing in found.items()
                ]
            )

    def _put(self, standings: Sequence[dict[str, str | float | int]]) -> None:
        """Record how modules stand, in place of how they stood."""
        if standings:
            new = self._transaction.insert(StandingRow).values(standings)
            self._transaction.change(
                new.on_conflict_do_update(
                    index_elements=[StandingRow.module],
                    set_={"standing": new.excluded.standing, "data_count": new.excluded.data_count},
                )
            )

    def _referred(self, blobs: set[Digest]) -> set[Digest]:
        """Those of the blobs that other statistics still refer to."""
        held: set[Digest] = set()
        for some in chunks(blobs):
            rows = self._transaction.rows(select(StatisticsRow.blob).where(StatisticsRow.blob.in_(some)))
            held |= {Digest(blob) for (blob,) in rows if blob is not None}
        return held


def _columns(kept: KeptStatistics) -> dict[str, str | None]:
    """What is kept of statistics: their record, and the columns they are found by."""
    found_by = {"key": kept.key, "module": kept.module, "data": kept.data, "blob": kept.blob}
    return {**found_by, "record": kept.model_dump_json()}
