"""Composed pipelines in SQL."""

from sqlalchemy import Select, select

from registry.access import Sight
from registry.names import Digest, namespaces_of
from registry.records import Page, Pipeline
from storage.cursors import newest_first
from storage.records.sight import pipeline_in_sight
from storage.tables import PipelineModuleRow, PipelineNamespaceRow, PipelineRow
from storage.transaction import Transaction


class SqlPipelineRecords:
    """Composed pipelines."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: the one all records of a unit of work share; sight: what reads may find."""
        self._transaction, self._seen = transaction, pipeline_in_sight(sight)

    def add(self, pipeline: Pipeline) -> bool:
        """Record a pipeline; False, and no change, when this id is there already."""
        new = self._transaction.insert(PipelineRow).values(
            id=pipeline.id, name=pipeline.name, created_at=pipeline.created_at, record=pipeline.model_dump_json()
        )
        if not self._transaction.changed(new.on_conflict_do_nothing().returning(PipelineRow.id)):
            return False
        parts = [
            {"pipeline_id": pipeline.id, "position": position, "digest": module.digest}
            for position, module in enumerate(pipeline.modules)
        ]
        if parts:
            self._transaction.change(self._transaction.insert(PipelineModuleRow).values(parts))
        names = namespaces_of(module.ref for module in pipeline.modules)
        rows = [{"pipeline_id": pipeline.id, "namespace": name} for name in names]
        if rows:
            self._transaction.change(self._transaction.insert(PipelineNamespaceRow).values(rows))
        return True

    def get(self, pipeline_id: str) -> Pipeline | None:
        """One pipeline."""
        row = self._transaction.first(select(PipelineRow.record).where(PipelineRow.id == pipeline_id, self._seen))
        return None if row is None else Pipeline.model_validate_json(row[0])

    def newest_named(self, name: str) -> Pipeline | None:
        """The newest pipeline of this name."""
        named = select(PipelineRow.record).where(PipelineRow.name == name, self._seen)
        row = self._transaction.first(named.order_by(PipelineRow.created_at.desc(), PipelineRow.id).limit(1))
        return None if row is None else Pipeline.model_validate_json(row[0])

    def list(self, *, limit: int, cursor: str | None, holding: Digest | None = None) -> Page[Pipeline]:
        """Newest first; those that hold a module if it is named."""
        wanted = select(PipelineRow.record, PipelineRow.created_at, PipelineRow.id)
        return newest_first(
            self._transaction,
            (wanted if holding is None else wanted.where(PipelineRow.id.in_(_holders(holding)))).where(self._seen),
            order=(PipelineRow.created_at, PipelineRow.id),
            page=(limit, cursor),
            read=Pipeline.model_validate_json,
        )

    def using(self, digest: Digest) -> tuple[Pipeline, ...]:
        """Pipelines that hold this module."""
        found = select(PipelineRow.record).where(PipelineRow.id.in_(_holders(digest)), self._seen)
        rows = self._transaction.rows(found.order_by(PipelineRow.created_at, PipelineRow.id))
        return tuple(Pipeline.model_validate_json(record) for (record,) in rows)


def _holders(module: Digest) -> Select[str]:
    """The ids of the pipelines that hold a module."""
    return select(PipelineModuleRow.pipeline_id).where(PipelineModuleRow.digest == module)
