"""What refers to bytes, in SQL: the one place that knows every column and record that does."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Select, delete, select
from sqlalchemy.orm import InstrumentedAttribute

from registry.blobs import blobs_of_work
from registry.names import Digest
from registry.records import Dataset
from storage.records.jobs import OPEN, WORK
from storage.tables import (
    DatasetRow,
    JobRow,
    PipelineModuleRow,
    StatisticsRow,
    TurnRow,
    UnreferredBlobRow,
    UploadPieceRow,
    UploadRow,
    VersionRow,
)
from storage.transaction import Transaction, chunks

IS_OPEN = JobRow.status.in_(OPEN)
NEEDS_BYTES = JobRow.kind.in_(("train", "predict"))
"""Kinds of work that name bytes which no other record does."""

Referring = tuple[InstrumentedAttribute[str] | InstrumentedAttribute[str | None], ColumnElement[bool] | None]
LASTING: tuple[Referring, ...] = (
    (VersionRow.digest, None),
    (PipelineModuleRow.digest, None),
    (StatisticsRow.blob, None),
)
PASSING: tuple[Referring, ...] = (
    (JobRow.checkpoint, IS_OPEN),
    (UploadRow.digest, None),
    (UploadPieceRow.digest, None),
)
"""Of what goes on now: minutes later it names other bytes, or none."""

REFERRING = LASTING + PASSING
"""Columns that name bytes, and in which rows they count. Datasets and open jobs name theirs inside their records."""


class SqlBlobRecords:
    """What refers to bytes, and which bytes nothing refers to."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def referred(self, blobs: Iterable[Digest]) -> set[Digest]:
        """Those of the bytes that something that is kept is made of, or that open work needs."""
        asked = set(blobs)
        found = asked & set(self._of_open_work()) if asked else set()
        for some in chunks(asked):
            for column, condition in REFERRING:
                found |= self._named(_where(select(column).where(column.in_(some)), condition))
            found |= set(self._of_datasets(select(DatasetRow.record).where(DatasetRow.digest.in_(some))))
        return found

    def every_reference(self) -> set[Digest]:
        """All bytes that something refers to, there or not."""
        return self.passing_references() | self.lasting_references()

    def lasting_references(self) -> set[Digest]:
        """All bytes that something refers to which stays."""
        return self._in(LASTING) | set(self._of_datasets(select(DatasetRow.record)))

    def passing_references(self) -> set[Digest]:
        """All bytes that jobs and uploads refer to which have not ended."""
        return self._in(PASSING) | set(self._of_open_work())

    def mark(self, blobs: Iterable[Digest], *, at: datetime) -> None:
        """Note that nothing refers to these bytes; those noted before stay noted since then."""
        for some in chunks(blobs):
            new = self._transaction.insert(UnreferredBlobRow).values([{"digest": blob, "since": at} for blob in some])
            self._transaction.change(new.on_conflict_do_nothing())

    def unmark(self, blobs: Iterable[Digest]) -> None:
        """Take such notes back; no error where there is none."""
        for some in chunks(blobs):
            self._transaction.change(delete(UnreferredBlobRow).where(UnreferredBlobRow.digest.in_(some)))

    def marked(self, blobs: Iterable[Digest]) -> set[Digest]:
        """Those of the bytes that are noted."""
        noted = select(UnreferredBlobRow.digest)
        found = (self._named(noted.where(UnreferredBlobRow.digest.in_(some))) for some in chunks(blobs))
        return set().union(*found)

    def marked_before(self, moment: datetime, *, limit: int, after: Digest | None = None) -> tuple[Digest, ...]:
        """The first bytes, by digest, that have been noted since before a moment; those after one where it is given."""
        noted = select(UnreferredBlobRow.digest).where(UnreferredBlobRow.since < moment)
        if after is not None:
            noted = noted.where(UnreferredBlobRow.digest > after)
        rows = self._transaction.rows(noted.order_by(UnreferredBlobRow.digest).limit(limit))
        return tuple(Digest(digest) for (digest,) in rows)

    def take_turn(self, name: str, *, at: datetime, next_at: datetime) -> bool:
        """Take what all processes of a service do in turn, if it is due; False where it is not. One of many wins."""
        due = select(TurnRow.next_at).where(TurnRow.name == name, TurnRow.next_at > at)
        if self._transaction.first(due) is not None:
            return False
        first = self._transaction.insert(TurnRow).values(name=name, next_at=next_at)
        taken = first.on_conflict_do_update(
            index_elements=[TurnRow.name], set_={"next_at": next_at}, where=TurnRow.next_at <= at
        )
        return bool(self._transaction.changed(taken.returning(TurnRow.name)))

    def _in(self, columns: Iterable[Referring]) -> set[Digest]:
        """All bytes that some columns name."""
        named = (_where(select(column).where(column.is_not(None)), condition) for column, condition in columns)
        return set().union(*map(self._named, named))

    def _named(self, wanted: Select[str] | Select[str | None]) -> set[Digest]:
        return {Digest(digest) for (digest,) in self._transaction.rows(wanted) if digest is not None}

    def _of_datasets(self, wanted: Select[str]) -> Iterator[Digest]:
        """The datasets whose bytes are here; those that were only stated have none."""
        for (record,) in self._transaction.rows(wanted):
            dataset = Dataset.model_validate_json(record)
            if dataset.held:
                yield dataset.digest

    def _of_open_work(self) -> Sequence[Digest]:
        """Bytes that work needs which has not ended."""
        rows = self._transaction.rows(select(JobRow.work).where(IS_OPEN, NEEDS_BYTES))
        return [blob for (work,) in rows for blob in blobs_of_work(WORK.validate_json(work))]


def _where(
    wanted: Select[str] | Select[str | None], condition: ColumnElement[bool] | None
) -> Select[str] | Select[str | None]:
    return wanted if condition is None else wanted.where(condition)
