"""Tasks in SQL."""

from sqlalchemy import delete, select

from registry.names import Digest
from registry.records import Page, Task
from storage.cursors import newest_first
from storage.records.datasets import held_by
from storage.tables import TaskRow
from storage.transaction import Transaction


class SqlTaskRecords:
    """Tasks; they belong to whoever owns the dataset."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, task: Task) -> None:
        """Record a task; no error when this id is there already."""
        new = self._transaction.insert(TaskRow).values(
            id=task.id, dataset=task.dataset, created_at=task.created_at, record=task.model_dump_json()
        )
        self._transaction.change(new.on_conflict_do_nothing())

    def get(self, task_id: str) -> Task | None:
        """One task."""
        row = self._transaction.first(select(TaskRow.record).where(TaskRow.id == task_id))
        return None if row is None else Task.model_validate_json(row[0])

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Task]:
        """Newest first, of the owner's datasets."""
        wanted = select(TaskRow.record, TaskRow.created_at, TaskRow.id)
        if owner is not None:
            wanted = wanted.where(TaskRow.dataset.in_(held_by(owner)))
        return newest_first(
            self._transaction,
            wanted,
            order=(TaskRow.created_at, TaskRow.id),
            page=(limit, cursor),
            read=Task.model_validate_json,
        )

    def of_dataset(self, digest: Digest) -> tuple[Task, ...]:
        """All tasks made from a dataset, oldest first."""
        made = select(TaskRow.record).where(TaskRow.dataset == digest)
        rows = self._transaction.rows(made.order_by(TaskRow.created_at, TaskRow.id))
        return tuple(Task.model_validate_json(record) for (record,) in rows)

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        self._transaction.change(delete(TaskRow).where(TaskRow.id == task_id))
