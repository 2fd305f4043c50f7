"""Tasks in SQL."""

from sqlalchemy import ColumnElement, delete, select

from registry.names import Digest
from registry.records import Page, Task
from storage.cursors import newest_first
from storage.records.datasets import held_by
from storage.tables import TaskOwnerRow, TaskRow
from storage.transaction import Transaction


class SqlTaskRecords:
    """Tasks; they belong to whoever made them, or the same, while they hold the dataset."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, task: Task, *, owner: str | None) -> None:
        """Record a task for an owner (None: for nobody); no error when it is there already."""
        new = self._transaction.insert(TaskRow).values(
            id=task.id, dataset=task.dataset, created_at=task.created_at, record=task.model_dump_json()
        )
        self._transaction.change(new.on_conflict_do_nothing())
        if owner is not None:
            claim = self._transaction.insert(TaskOwnerRow).values(task_id=task.id, owner=owner)
            self._transaction.change(claim.on_conflict_do_nothing())

    def get(self, task_id: str, *, owner: str | None) -> Task | None:
        """One task of this owner; an owner of None sees every one."""
        wanted = select(TaskRow.record).where(TaskRow.id == task_id)
        row = self._transaction.first(wanted if owner is None else wanted.where(_of(owner)))
        return None if row is None else Task.model_validate_json(row[0])

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Task]:
        """This owner's, newest first."""
        wanted = select(TaskRow.record, TaskRow.created_at, TaskRow.id)
        if owner is not None:
            wanted = wanted.where(_of(owner))
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

    def disown(self, dataset: Digest, *, owner: str) -> None:
        """Forget that this owner made tasks from a dataset."""
        made = select(TaskRow.id).where(TaskRow.dataset == dataset)
        mine = delete(TaskOwnerRow).where(TaskOwnerRow.owner == owner, TaskOwnerRow.task_id.in_(made))
        self._transaction.change(mine)

    def remove(self, task_id: str) -> None:
        """Forget a task."""
        self._transaction.change(delete(TaskRow).where(TaskRow.id == task_id))


def _of(owner: str) -> ColumnElement[bool]:
    """Whether a task is an owner's: one that it made, of a dataset that it holds."""
    made = select(TaskOwnerRow.task_id).where(TaskOwnerRow.owner == owner)
    return TaskRow.id.in_(made) & TaskRow.dataset.in_(held_by(owner))
