"""Tasks: a dataset and what its labels mean."""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from registry.audit import note
from registry.errors import Fault, InvalidTaskError, NotFoundError
from registry.key_records import RequestKey
from registry.names import Digest, parse_digest
from registry.ports import Begin, Clock, UnitOfWork
from registry.recipes import TaskSpec
from registry.records import Dataset, Page, Task
from registry.request_keys import Made, once


@dataclass(frozen=True, slots=True)
class CreatedTask:
    """A task, and whether this call made it."""

    task: Task
    created: bool


class TaskService:
    """The rules about tasks: every class is made of labels the dataset has, no label is in two classes."""

    def __init__(self, begin: Begin, clock: Clock) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock = begin, clock

    def create(self, spec: TaskSpec, *, owner: str, key: RequestKey | None = None) -> CreatedTask:
        """Make a task. Raises NotFoundError for the dataset, InvalidTaskError naming every wrong class."""
        now = self._clock()
        with self._begin() as work:
            create = partial(self._create, work, spec, owner=owner, at=now)
            made = once(work, key, create, model=Task, at=now, about=spec.dataset)
        return CreatedTask(made.model, created=made.created)

    def _create(self, work: UnitOfWork, spec: TaskSpec, *, owner: str, at: datetime) -> Made[Task]:
        made = keep_task(work, make_task(_dataset(work, spec.dataset, owner), spec.classes), owner=owner, at=at)
        if made.created:
            note(work, "add_task", made.task.id, at=at, by=owner)
        return Made(made.task, created=made.created)

    def get(self, text: str, *, owner: str | None) -> Task:
        """A task by its id, or a dataset's own classes by the dataset's digest. Raises NotFoundError."""
        with self._begin() as work:
            return self.find(work, text, owner=owner)

    def find(self, work: UnitOfWork, text: str, *, owner: str | None) -> Task:
        """The same within a transaction."""
        if text.startswith("sha256:"):
            dataset = _dataset(work, parse_digest(text), owner)
            return keep_task(work, make_task(dataset, {}), owner=owner, at=self._clock()).task
        task = work.tasks.get(text, owner=owner)
        if task is None:
            raise NotFoundError(f"there is no task {text[:200]!r}; make one with POST /tasks")
        return task

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Task]:
        """This owner's tasks, newest first."""
        with self._begin() as work:
            return work.tasks.list(owner=owner, limit=limit, cursor=cursor)


@dataclass(frozen=True, slots=True)
class DraftTask:
    """A task that is right, but not kept yet."""

    id: str
    dataset: Digest
    classes: dict[str, tuple[str, ...]]
    counts: dict[str, int]


def make_task(dataset: Dataset, classes: Mapping[str, tuple[str, ...]]) -> DraftTask:
    """Check a task against its dataset; without classes, each of the dataset's own stands for itself.

    Raises:
        InvalidTaskError: a class names a label that is not there, or that another class has, or fewer than two remain.
    """
    merges = dict(classes) or {label: (label,) for label in dataset.classes}
    faults = _faults(dataset, merges)
    if faults:
        raise InvalidTaskError(f"the task does not fit the dataset: {faults[0].detail}", faults=faults)
    of_label = dict(zip(dataset.classes, dataset.counts, strict=True))
    counts = {name: sum(of_label[label] for label in merged) for name, merged in merges.items()}
    return DraftTask(task_id(dataset.digest, merges), dataset.digest, merges, counts)


def keep_task(work: UnitOfWork, draft: DraftTask, *, owner: str | None, at: datetime) -> CreatedTask:
    """Record a task that was checked for its owner (None: for nobody), or give the one that is there.

    For an owner it is new where only others have made it.
    """
    mine, known = (work.tasks.get(draft.id, owner=each) for each in (owner, None))
    if mine is not None:
        return CreatedTask(mine, created=False)
    fresh = Task(id=draft.id, dataset=draft.dataset, classes=draft.classes, counts=draft.counts, created_at=at)
    task = known or fresh
    work.tasks.add(task, owner=owner)
    return CreatedTask(task, created=True)


def task_id(dataset: Digest, classes: Mapping[str, tuple[str, ...]]) -> str:
    """The id of a task: the same dataset and classes, in any order, give the same id."""
    canonical = {name: sorted(merged) for name, merged in classes.items()}
    text = json.dumps([dataset, canonical], sort_keys=True, ensure_ascii=True)
    return "task-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def _faults(dataset: Dataset, classes: Mapping[str, tuple[str, ...]]) -> list[Fault]:
    """Everything wrong with a task, each where it stands."""
    known = set(dataset.classes)
    uses = Counter(label for merged in classes.values() for label in merged)
    faults = []
    for name, merged in classes.items():
        if "\x00" in name:
            faults.append(Fault(f"/classes/{name}", f"the class {name!r} has NUL in its name; leave it out"))
        for index, label in enumerate(merged):
            pointer = f"/classes/{name}/{index}"
            if label not in known:
                faults.append(Fault(pointer, f"the dataset has no label {label!r}; it has {_listed(dataset)}"))
            elif uses[label] > 1:
                faults.append(Fault(pointer, f"label {label!r} is named {uses[label]} times; name it once"))
    if len(classes) < 2:
        faults.append(Fault("/classes", f"a task needs at least two classes, got {len(classes)}"))
    return faults


def _listed(dataset: Dataset) -> str:
    """The first labels of a dataset, for a sentence."""
    shown = ", ".join(dataset.classes[:12])
    return shown if len(dataset.classes) <= 12 else f"{shown}, and {len(dataset.classes) - 12} more"


def _dataset(work: UnitOfWork, digest: Digest, owner: str | None) -> Dataset:
    dataset = work.datasets.get(digest, owner=owner)
    if dataset is None:
        raise NotFoundError(f"there is no dataset {digest}; upload it with POST /datasets")
    return dataset
