"""What the labels of tasks tell of each other, with no module at all: transferability and hardness from counts.

Tasks of one dataset are merges of one label column, so how often a class of one goes with a class of another follows
from how many examples each label has: nothing is run, and no image is read.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from kernel_methods.estimators.nce import label_entropy, nce_of_cells
from registry.errors import Fault, InvalidInputError
from registry.frozen import Frozen
from registry.names import DigestField
from registry.ports import Begin, UnitOfWork
from registry.records import Dataset, Task
from registry.tasks import TaskService

MOST_RELATED_TASKS = 50

Counts = NDArray[np.int64]


class RelatedTask(Frozen):
    """A task with its examples; `hardness` is the entropy of its classes in nats, null where all are of one."""

    task: str
    classes: dict[str, tuple[str, ...]]
    n: int
    n_per_class: dict[str, int]
    hardness: float | None


class LabelRelations(Frozen):
    """What the class of one task (row, the source) tells of the class of another (column, the target).

    `nce` is minus the entropy in nats that is left of the target's class once the source's is known, over the
    examples that both have: 0 where it tells everything, minus the target's hardness where it tells nothing; null
    where these examples have fewer than two of the target's classes. `shared` counts them.
    """

    data: DigestField
    tasks: tuple[RelatedTask, ...]
    nce: tuple[tuple[float | None, ...], ...]
    shared: tuple[tuple[int, ...], ...]


class LabelRelationService:
    """The rules about relations of labels: between tasks of one dataset, all of which the asker may see."""

    def __init__(self, begin: Begin, tasks: TaskService) -> None:
        """Everything it needs from outside."""
        self._begin, self._tasks = begin, tasks

    def relate(self, names: Sequence[str], *, owner: str | None) -> LabelRelations:
        """Relate tasks to each other, each once, in the order they are named.

        Args:
            names: ids of tasks, or the dataset's digest for its own classes; 1 to 50.
            owner: whose tasks.

        Raises:
            NotFoundError: there is no such task.
            InvalidInputError: their number is none of those, or they are of different datasets.
        """
        if not 1 <= len(names) <= MOST_RELATED_TASKS:
            raise InvalidInputError(f"name 1 to {MOST_RELATED_TASKS} tasks as `task`, got {len(names)}")
        with self._begin() as work:
            found = [self._tasks.find(work, name, owner=owner) for name in names]
            dataset = _one_dataset(work, found)
        return relate_labels(list({task.id: task for task in found}.values()), dataset)


def relate_labels(tasks: Sequence[Task], dataset: Dataset) -> LabelRelations:
    """What the labels of tasks of one dataset tell of each other; see `LabelRelations`."""
    columns = [_column(task, dataset) for task in tasks]
    counts = np.array(dataset.counts, dtype=np.int64)
    pairs = [[_related_by(source, target, counts) for target in columns] for source in columns]
    return LabelRelations(
        data=dataset.digest,
        tasks=tuple(_related(task, column, counts) for task, column in zip(tasks, columns, strict=True)),
        nce=tuple(tuple(value for value, _ in row) for row in pairs),
        shared=tuple(tuple(shared for _, shared in row) for row in pairs),
    )


def _one_dataset(work: UnitOfWork, tasks: Sequence[Task]) -> Dataset:
    """The dataset of all tasks. Raises InvalidInputError naming the tasks of another one than the first task's."""
    first = tasks[0]
    faults = [
        Fault(f"/query/task/{place}", f"{task.id} is of dataset {task.dataset}, not of {first.dataset}", "other_data")
        for place, task in enumerate(tasks)
        if task.dataset != first.dataset
    ]
    dataset = work.datasets.get(first.dataset, owner=None)
    if faults or dataset is None:
        strangers = ", ".join(sorted({task.id for task in tasks if task.dataset != first.dataset}))
        raise InvalidInputError(
            f"labels are compared within one dataset, but {first.id} is of {first.dataset} and {strangers} of others; "
            "ask for each dataset by itself",
            faults=faults,
        )
    return dataset


def _column(task: Task, dataset: Dataset) -> Counts:
    """Which class of a task each label of the dataset is in, by its place; -1 where in none. Shape (labels,)."""
    class_of = {label: place for place, merged in enumerate(task.classes.values()) for label in merged}
    return np.array([class_of.get(label, -1) for label in dataset.classes], np.int64)


def _related(task: Task, column: Counts, counts: Counts) -> RelatedTask:
    names, there = tuple(task.classes), column >= 0
    of_class = np.zeros(len(names), np.int64)
    np.add.at(of_class, column[there], counts[there])
    return RelatedTask(
        task=task.id,
        classes=task.classes,
        n=int(of_class.sum()),
        n_per_class={name: int(count) for name, count in zip(names, of_class, strict=True)},
        hardness=label_entropy(of_class) if np.count_nonzero(of_class) > 1 else None,
    )


def _related_by(source: Counts, target: Counts, counts: Counts) -> tuple[float | None, int]:
    """NCE over the examples that both tasks have, None where these have fewer than two of the targets; their number.

    There are no more pairs of classes than labels, so that no table of all classes is needed.
    """
    both = (source >= 0) & (target >= 0) & (counts > 0)
    shared = counts[both].astype(np.float64)
    if len(np.unique(target[both])) < 2:
        return None, int(shared.sum())
    cells = np.unique(np.stack([source[both], target[both]]), axis=1, return_inverse=True)[1]
    of_cells, of_sources = (np.bincount(places, shared).astype(np.float64) for places in (cells, source[both]))
    return nce_of_cells(of_cells, of_sources), int(shared.sum())
