"""Plans: which statistics an answer needs, which are kept already, and which work brings the rest."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from registry.frozen import Frozen
from registry.names import Digest, DigestField
from registry.rankings import SCORER, ScoreOptions
from registry.recipes import TaskSpec
from registry.records import Task
from registry.work import ScoreWork

SHARDS = 10
"""Into how many parts examples are dealt; the interval comes from leaving each out in turn."""

CHAINS_PER_WORK = 16
"""At most so many modules are scored by one job, so that progress shows and several workers can share."""


class PlannedTask(Frozen):
    """A task of the question; `labels` are the dataset's labels it uses, in the order statistics have them."""

    id: str
    dataset: DigestField
    classes: dict[str, tuple[str, ...]]
    labels: tuple[str, ...]

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """For each class of the task, which classes of the statistics are merged into it."""
        place = {label: index for index, label in enumerate(self.labels)}
        return tuple(tuple(place[label] for label in merged) for merged in self.classes.values())


class PlannedCell(Frozen):
    """One module on one task: the chain that leads to it, and the key of its statistics."""

    ref: str
    chain: tuple[DigestField, ...]
    task: int
    key: DigestField
    cached: bool

    @property
    def module(self) -> Digest:
        """Digest of the module that is scored."""
        return self.chain[-1]


class Plan(Frozen):
    """A question made exact: everything an answer depends on."""

    kind: Literal["ranking", "reusability", "map"]
    options: ScoreOptions
    top: int | None = None
    examples: int
    serial: int
    tasks: tuple[PlannedTask, ...]
    cells: tuple[PlannedCell, ...]

    @property
    def query_id(self) -> str:
        """The same question to the same zoo has the same id, whatever is cached."""
        cells = [[cell.ref, cell.key] for cell in self.cells]
        question = self.model_dump(mode="json", exclude={"cells"})
        text = json.dumps([SCORER, question, cells], sort_keys=True)
        return "query-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def planned_task(task: Task) -> PlannedTask:
    """The task with its labels in one fixed order, so that every merge of the same labels shares statistics."""
    labels = sorted({label for merged in task.classes.values() for label in merged})
    return PlannedTask(id=task.id, dataset=task.dataset, classes=task.classes, labels=tuple(labels))


def statistics_key(chain: Sequence[Digest], work: ScoreWork) -> Digest:
    """What statistics are kept under: the chain (and so its preprocessing), data, labels, examples, shards, seed."""
    labels = list(work.task.classes)
    text = json.dumps([SCORER, list(chain), work.task.dataset, labels, work.examples, work.shards, work.seed])
    return Digest("sha256:" + hashlib.sha256(text.encode()).hexdigest())


def score_work(task: PlannedTask, chains: Iterable[Sequence[Digest]], *, examples: int, seed: int) -> ScoreWork:
    """The work of scoring chains on a task's labels, each label a class of its own."""
    return ScoreWork(
        task=TaskSpec(dataset=task.dataset, classes={label: (label,) for label in task.labels}),
        chains=tuple(tuple(chain) for chain in chains),
        examples=examples,
        shards=SHARDS,
        seed=seed,
    )


def missing_work(plan: Plan, kept: Collection[Digest]) -> list[ScoreWork]:
    """The work that brings all statistics that are not kept: per task and input module, so prefixes run once."""
    shares: dict[tuple[tuple[str, ...], Digest, Digest], dict[tuple[Digest, ...], PlannedTask]] = defaultdict(dict)
    for cell in plan.cells:
        if cell.key not in kept:
            task = plan.tasks[cell.task]
            shares[task.labels, task.dataset, cell.chain[0]].setdefault(cell.chain, task)
    work = []
    for chains in shares.values():
        task = next(iter(chains.values()))
        ordered = sorted(chains)
        for start in range(0, len(ordered), CHAINS_PER_WORK):
            part = ordered[start : start + CHAINS_PER_WORK]
            work.append(score_work(task, part, examples=plan.examples, seed=plan.options.seed))
    return work
