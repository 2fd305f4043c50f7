"""Plans: which statistics an answer needs, which are kept already, and which work brings the rest."""

import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Literal

from pydantic import Field

from registry.frozen import Frozen
from registry.measured_panel import beside_of
from registry.names import Digest, DigestField
from registry.noise import SharedNoise
from registry.rankings import SCORER, ScoreOptions
from registry.recipes import TaskSpec
from registry.records import Task
from registry.work import OF_EXAMPLES, SCORE_HERE, Beside, ScoreHereWork, ScoreWork

SHARDS = 10
"""Into how many parts examples are dealt; the interval comes from leaving each out in turn."""

NOISY_SHARDS = 4
"""The same where noise is added: every part gets as much of it as the whole would, so that few parts are best."""

CHAINS_PER_WORK = 16
"""At most so many modules are scored by one job, so that progress shows and several workers can share."""


class PlannedTask(Frozen):
    """A task of the question; `labels` are the dataset's labels it uses, in the order statistics have them.

    A task whose dataset the zoo does not hold is scored at home, where `noise` may be added. `beside` is what is
    measured beside statistics, which noise does not hide, so that nothing is where there is noise.
    """

    id: str
    dataset: DigestField
    classes: dict[str, tuple[str, ...]]
    labels: tuple[str, ...]
    held: bool = True
    noise: SharedNoise | None = None
    beside: tuple[Beside, ...] = ()

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """For each class of the task, which classes of the statistics are merged into it."""
        place = {label: index for index, label in enumerate(self.labels)}
        return tuple(tuple(place[label] for label in merged) for merged in self.classes.values())

    @property
    def measured_groups(self) -> tuple[tuple[int, ...], ...]:
        """The same in an order of its own, where something is measured that needs the examples."""
        asked = not OF_EXAMPLES.isdisjoint(self.beside)
        return tuple(sorted(tuple(sorted(group)) for group in self.groups)) if asked else ()

    def measuring(self, options: ScoreOptions) -> "PlannedTask":
        """The task with what a question wants measured beside statistics."""
        return self.model_copy(update={"beside": () if self.noise is not None else beside_of(options)})


class PlannedCell(Frozen):
    """One module on one task: the chain that leads to it, and the key of its statistics.

    In a plan with slices that is the key on the first; `later` has an item for each further slice that the module has
    come to: whether its statistics there were kept from before.
    """

    ref: str
    chain: tuple[DigestField, ...]
    task: int
    key: DigestField
    cached: bool
    later: tuple[bool, ...] = ()

    @property
    def module(self) -> Digest:
        """Digest of the module that is scored."""
        return self.chain[-1]


class PlannedCut(Frozen):
    """What a round of a plan decided: whoever does not reach `bar` is not among the `best`; see `halving`."""

    best: int
    bar: float | None


class Plan(Frozen):
    """A question made exact: everything an answer depends on.

    The cells of a map are source by source, each with every task in turn; `own` has the place of each source's own
    task among the tasks, None for a source without.

    A ranking of many modules goes in rounds, see `rounds`: `slices` are the ends of their examples, `cuts` what those
    that ended decided. Where nobody named candidates, they were chosen among `in_zoo` modules, at most `shortlist`.
    `pooled` says that the scores of all modules are pooled (`ridge_gcv_pooled`).
    `heads` has the source heads of those modules that have one, where they are needed. `private` are the private
    namespaces that the asker may know of: who sees other modules asks another question.
    """

    kind: Literal["ranking", "reusability", "map"]
    options: ScoreOptions
    top: int | None = None
    examples: int
    serial: int
    tasks: tuple[PlannedTask, ...]
    cells: tuple[PlannedCell, ...]
    own: tuple[int | None, ...] = ()
    start: int = 0
    slices: tuple[int, ...] = ()
    cuts: tuple[PlannedCut, ...] = ()
    in_zoo: int | None = None
    shortlist: int | None = None
    pooled: bool = False
    heads: dict[DigestField, DigestField] = Field(default_factory=dict)
    private: tuple[str, ...] = ()

    @property
    def query_id(self) -> str:
        """The same question to the same zoo has the same id, whatever is cached.

        Which candidates nobody named depends on what is known of them when the question is asked first; from then on
        they are those of the query with this id.
        """
        cells = [[cell.ref, cell.key] for cell in self.cells] if self.shortlist is None else []
        unsaid = {"cells", "cuts"} if self.private else {"cells", "cuts", "private"}
        question = self.model_dump(mode="json", exclude=unsaid)
        text = json.dumps([SCORER, question, cells], sort_keys=True)
        return "query-" + hashlib.sha256(text.encode()).hexdigest()[:24]


def planned_task(task: Task) -> PlannedTask:
    """The task with its labels in one fixed order, so that every merge of the same labels shares statistics."""
    labels = sorted({label for merged in task.classes.values() for label in merged})
    return PlannedTask(id=task.id, dataset=task.dataset, classes=task.classes, labels=tuple(labels))


def statistics_key(chain: Sequence[Digest], work: ScoreWork) -> Digest:
    """What statistics are kept under: the chain (and so its preprocessing), data, labels, examples, shards, seed.

    Those with noise or with something beside them have keys of their own, so that nobody takes them for others.
    """
    return keys_under(work)(chain)


def keys_under(work: ScoreWork) -> Callable[[Sequence[Digest]], Digest]:
    """The `statistics_key` of any chain under one work; what all chains have in common is hashed once."""
    labels = list(work.task.classes)
    parts = [SCORER, work.task.dataset, labels, work.start, work.examples, work.shards, work.seed]
    if isinstance(work, ScoreHereWork) and work.noise is not None:
        parts.append(["noise", work.noise.epsilon, work.noise.delta, work.noise.modules])
    if work.beside:
        parts.append(["beside", *work.beside, [list(group) for group in work.groups]])
    shared = hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def key(chain: Sequence[Digest]) -> Digest:
        head = work.heads.get(chain[-1])
        chain = chain if head is None else [*chain, head]
        return Digest("sha256:" + hashlib.sha256("\n".join([shared, *chain]).encode()).hexdigest())

    return key


def keys_brought(work: ScoreWork) -> tuple[Callable[[Sequence[Digest]], Digest], ...]:
    """Under which keys what one work brings of a chain can be kept: also as usual statistics, which it holds too."""
    if not work.beside:
        return (keys_under(work),)
    usual = work.model_copy(update={"beside": (), "groups": (), "heads": {}})
    return keys_under(work), keys_under(usual)


def planned_cells(plan: Plan, wanted: Iterable[tuple[str, tuple[Digest, ...], int]]) -> tuple[PlannedCell, ...]:
    """Cells under the keys that their statistics have on the examples of a plan.

    Args:
        plan: the question, its cells left aside.
        wanted: reference, chain and place of the task of each.
    """
    makers: dict[int, Callable[[Sequence[Digest]], Digest]] = {}
    cells = []
    for ref, chain, task in wanted:
        if task not in makers:
            share = work_on(plan, plan.tasks[task], [chain])
            makers[task] = keys_under(share.model_copy(update={"heads": plan.heads}))
        cells.append(PlannedCell(ref=ref, chain=chain, task=task, key=makers[task](chain), cached=False))
    return tuple(cells)


def work_on(plan: Plan, task: PlannedTask, chains: Iterable[Sequence[Digest]]) -> ScoreWork:
    """The work of scoring chains on a task, on the examples of a plan."""
    work = score_work(task, chains, examples=plan.examples, seed=plan.options.seed)
    update = {"start": plan.start, "heads": _heads_of(plan, work.chains)}
    return work if plan.start == 0 and not plan.heads else work.model_copy(update=update)


def _heads_of(plan: Plan, chains: Iterable[Sequence[Digest]]) -> dict[Digest, Digest]:
    """The source heads of the modules that these chains lead to."""
    scored = sorted({chain[-1] for chain in chains} & plan.heads.keys()) if plan.heads else ()
    return {module: plan.heads[module] for module in scored}


def score_work(task: PlannedTask, chains: Iterable[Sequence[Digest]], *, examples: int, seed: int) -> ScoreWork:
    """The work of scoring chains on a task's labels, each label a class of its own; at home where the images are."""
    work = ScoreWork(
        task=TaskSpec(dataset=task.dataset, classes={label: (label,) for label in task.labels}),
        chains=tuple(tuple(chain) for chain in chains),
        examples=examples,
        shards=SHARDS if task.noise is None else NOISY_SHARDS,
        seed=seed,
        beside=task.beside,
        groups=task.measured_groups,
    )
    at_home = {**dict(work), "kind": SCORE_HERE, "noise": task.noise}
    return work if task.held else ScoreHereWork.model_validate(at_home)


def missing_work(plan: Plan, kept: Collection[Digest]) -> list[ScoreWork]:
    """The work that brings all statistics that are not kept: per task and input module, so prefixes run once."""
    shares: dict[tuple[object, ...], dict[tuple[Digest, ...], PlannedTask]] = defaultdict(dict)
    for cell in plan.cells:
        if cell.key not in kept:
            task = plan.tasks[cell.task]
            shares[task.labels, task.dataset, task.measured_groups, cell.chain[0]].setdefault(cell.chain, task)
    work = []
    made: dict[str, ScoreWork] = {}
    for chains in shares.values():
        task = next(iter(chains.values()))
        ordered = sorted(chains)
        if task.id not in made:
            made[task.id] = work_on(plan, task, ordered[:1])
        for start in range(0, len(ordered), CHAINS_PER_WORK):
            part = tuple(ordered[start : start + CHAINS_PER_WORK])
            work.append(made[task.id].model_copy(update={"chains": part, "heads": _heads_of(plan, part)}))
    return work
