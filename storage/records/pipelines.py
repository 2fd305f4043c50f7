"""Composed pipelines in SQL."""

from sqlalchemy import Select, select

from registry.names import Digest
from registry.records import Page, Pipeline
from storage.cursors import newest_first
from storage.tables import PipelineModuleRow, PipelineRow
from storage.transaction import Transaction


class SqlPipelineRecords:
    """Composed pipelines."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, pipeline: Pipeline) -> None:
        """Record a pipeline; no error when this id is there already."""
        new = self._transaction.insert(PipelineRow).values(
            id=pipeline.id, name=pipeline.name, created_at=pipeline.created_at, record=pipeline.model_dump_json()
        )
        if not self._transaction.changed(new.on_conflict_do_nothing().returning(PipelineRow.id)):
            return
        parts = [
            {"pipeline_id": pipeline.id, "position": position, "digest": module.digest}
            for position, module in enumerate(pipeline.modules)
        ]
        if parts:
            self._transaction.change(self._transaction.insert(PipelineModuleRow).values(parts))

    def get(self, pipeline_id: str) -> Pipeline | None:
        """One pipeline."""
        row = self._transaction.first(select(PipelineRow.record).where(PipelineRow.id == pipeline_id))
        return None if row is None else Pipeline.model_validate_json(row[0])

    def newest_named(self, name: str) -> Pipeline | None:
        """The newest pipeline of this name."""
        named = select(PipelineRow.record).where(PipelineRow.name == name)
        row = self._transaction.first(named.order_by(PipelineRow.created_at.desc(), PipelineRow.id).limit(1))
        return None if row is None else Pipeline.model_validate_json(row[0])

    def list(self, *, limit: int, cursor: str | None, holding: Digest | None = None) -> Page[Pipeline]:
        """Newest first; those that hold a module if it is named."""
        wanted = select(PipelineRow.record, PipelineRow.created_at, PipelineRow.id)
        return newest_first(
            self._transaction,
            wanted if holding is None else wanted.where(PipelineRow.id.in_(_holders(holding))),
            order=(PipelineRow.created_at, PipelineRow.id),
            page=(limit, cursor),
            read=Pipeline.model_validate_json,
        )

    def using(self, digest: Digest) -> tuple[Pipeline, ...]:
        """Pipelines that hold this module."""
        found = select(PipelineRow.record).where(PipelineRow.id.in_(_holders(digest)))
        rows = self._transaction.rows(found.order_by(PipelineRow.created_at, PipelineRow.id))
        return tuple(Pipeline.model_validate_json(record) for (record,) in rows)


def _holders(module: Digest) -> Select[str]:
    """The ids of the pipelines that hold a module."""
    return select(PipelineModuleRow.pipeline_id).where(PipelineModuleRow.digest == module)
