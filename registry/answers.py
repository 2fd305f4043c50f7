"""Answers: gather what the records know of a plan, judge its statistics, and write the answer down."""

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from kernel_methods.evidence import Evidence
from kernel_methods.kernels import ScoreName
from registry.errors import CorruptBlobError, NotFoundError, NotScorableError
from registry.judging import CONFIDENCE, FEW_EXAMPLES, Judged, decide, judge, ranks
from registry.manifest import FeatureMap, Preprocessing
from registry.names import Digest
from registry.plans import Plan, PlannedCell, PlannedTask
from registry.ports import BlobStore, UnitOfWork
from registry.rankings import (
    SCORER,
    Decision,
    MapTask,
    NotScored,
    RankedModule,
    Ranking,
    RankingRow,
    Reusability,
    ScoreFields,
    ScoreOptions,
    TaskMap,
)
from registry.records import Dataset, KeptStatistics, PublishedModule
from registry.task_map import task_map
from registry.verification import refusal

Answer = Ranking | Reusability | TaskMap

JUDGED_REMEMBERED = 10_000


@dataclass(frozen=True, slots=True)
class Lost:
    """What jobs were to bring and will not, and why: statistics by their key, looks at modules by the module."""

    statistics: Mapping[Digest, str]
    looks: Mapping[Digest, str]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the records hold for a plan, read in one transaction so that judging needs none.

    `kept` has every cell of which something may be said: its statistics, or why there are none.
    """

    modules: dict[Digest, PublishedModule]
    datasets: dict[Digest, Dataset]
    kept: dict[Digest, KeptStatistics]
    elsewhere: dict[Digest, tuple[KeptStatistics, ...]]


def gather(work: UnitOfWork, plan: Plan, *, lost: Lost | None = None) -> Findings:
    """Read everything a plan's answer needs. Only modules that workers have verified have statistics in it.

    Args:
        work: the transaction to read in.
        plan: the question.
        lost: what will not come; None while something may come still.

    Raises:
        NotScorableError: a module or dataset went meanwhile.
    """
    digests = {digest for cell in plan.cells for digest in cell.chain}
    wanted = {task.dataset for task in plan.tasks}
    modules = {digest: found[0] for digest in digests if (found := work.modules.by_digest(digest))}
    datasets = {digest: data for digest in wanted if (data := work.datasets.get(digest, owner=None)) is not None}
    if len(modules) < len(digests) or len(datasets) < len(wanted):
        raise NotScorableError("a module or a dataset of this question was deleted meanwhile; ask again")
    kept = work.statistics.get([cell.key for cell in plan.cells])
    known = {cell.key: _known_of(cell, plan, modules, kept.get(cell.key), lost=lost) for cell in plan.cells}
    return Findings(
        modules=modules,
        datasets=datasets,
        kept={key: statistics for key, statistics in known.items() if statistics is not None},
        elsewhere={
            digest: work.statistics.of_module(digest) for digest in sorted({cell.module for cell in plan.cells})
        },
    )


def _known_of(
    cell: PlannedCell,
    plan: Plan,
    modules: Mapping[Digest, PublishedModule],
    kept: KeptStatistics | None,
    *,
    lost: Lost | None,
) -> KeptStatistics | None:
    """A cell's statistics, or why it has none; None while that is not known yet."""
    chain = [modules[digest] for digest in cell.chain]
    refused = next((module for module in chain if module.verification.refused), None)
    if refused is not None:
        return _never_made(cell, plan, refusal(refused))
    unverified = next((module for module in chain if not module.verification.verified), None)
    if kept is not None and (kept.blob is None or unverified is None):
        return kept
    if lost is None:
        return None
    if kept is None or unverified is None:
        return _never_made(cell, plan, lost.statistics.get(cell.key, "its statistics did not come; ask again"))
    return _never_made(cell, plan, _not_looked_at(unverified, lost))


def _not_looked_at(module: PublishedModule, lost: Lost) -> str:
    why = lost.looks.get(module.digest, "ask again")
    return f"no worker has built and run {module.ref} yet: {why}"


def _never_made(cell: PlannedCell, plan: Plan, reason: str) -> KeptStatistics:
    """In place of statistics that no worker brought, or that may not be used."""
    task = plan.tasks[cell.task]
    return KeptStatistics(
        key=cell.key,
        module=cell.module,
        data=task.dataset,
        labels=task.labels,
        blob=None,
        milliseconds=0.0,
        scores={},
        failure=reason,
    )


class StatisticsLostError(NotScorableError):
    """Kept statistics are damaged or gone; they can be made again."""

    def __init__(self, key: Digest) -> None:
        """Args: key: what they were kept under."""
        super().__init__(f"the statistics {key} are damaged or gone; ask again to have them made again")
        self.key = key


class Answerer:
    """Turns a plan and its findings into an answer; the same two give the same bytes.

    Judged scores are remembered: they are a few numbers, and reading and judging statistics is not cheap.
    """

    def __init__(self, blobs: BlobStore) -> None:
        """Args: blobs: where statistics are."""
        self._blobs = blobs
        self._judging = threading.Lock()
        self._judged = lru_cache(maxsize=JUDGED_REMEMBERED)(self._judge_statistics)

    def answer(self, plan: Plan, findings: Findings) -> Answer:
        """The answer. Raises NotScorableError when a score is not defined on the task."""
        match plan.kind:
            case "ranking":
                return self.ranking(plan, findings)
            case "reusability":
                ranking = self.ranking(plan, findings)
                parts = {**dict(ranking), **dict(ranking.ranking[0])}
                return Reusability.model_validate({name: parts[name] for name in Reusability.model_fields})
            case "map":
                return self._map(plan, findings)

    def ranking(self, plan: Plan, findings: Findings) -> Ranking:
        """Modules whose statistics are there, best first. Raises NotScorableError when none of them can be scored."""
        there = [cell for cell in plan.cells if cell.key in findings.kept]
        judged = [(cell, self._judge(plan, cell, findings)) for cell in there if _failure(cell, findings) is None]
        not_scored = tuple(
            NotScored(module=RankedModule(ref=cell.ref, digest=cell.module), reason=reason)
            for cell in there
            if (reason := _failure(cell, findings)) is not None
        )
        if not judged:
            raise NotScorableError(f"no module could be scored: {_reasons(not_scored)}")
        judged.sort(key=lambda pair: (-pair[1].score, pair[0].ref))
        ordered = [one for _, one in judged]
        given = ranks(ordered)
        rows = tuple(
            RankingRow(rank=rank, **dict(_fields(plan, cell, one, findings)))
            for rank, (cell, one) in zip(given, judged, strict=True)
        )
        return _ranking(plan, rows, decide(ordered, given), not_scored)

    def _judge(self, plan: Plan, cell: PlannedCell, findings: Findings) -> Judged:
        """One cell's score. Raises NotScorableError, StatisticsLostError."""
        kept, module = findings.kept[cell.key], findings.modules[cell.module]
        if kept.blob is None:
            raise NotScorableError(f"{cell.ref} could not be scored: {kept.failure}")
        try:
            with self._judging:
                return self._judged(kept.blob, plan.tasks[cell.task].groups, _feature_map(module), plan.options)
        except (NotFoundError, CorruptBlobError) as error:
            raise StatisticsLostError(cell.key) from error

    def _judge_statistics(
        self, blob: Digest, groups: tuple[tuple[int, ...], ...], feature_map: FeatureMap, options: ScoreOptions
    ) -> Judged:
        """Read statistics, merge the task's classes, and judge."""
        data = self._blobs.get(blob)
        left_behind = Evidence.from_bytes(data, limit_bytes=len(data))
        return judge(left_behind.merge_classes(groups), feature_map, options)

    def _map(self, plan: Plan, findings: Findings) -> TaskMap:
        """Scores of every source on every target, in the order of the tasks."""
        size = len(plan.tasks)
        flat = [self._judge(plan, cell, findings).score for cell in plan.cells]
        scores = np.array(flat, dtype=np.float64).reshape(size, size)
        layout = task_map(scores)
        sources = plan.cells[::size]
        return TaskMap(
            query=plan.query_id,
            rank_by=plan.options.rank_by,
            seed=plan.options.seed,
            examples=plan.examples,
            scorer=SCORER,
            serial=plan.serial,
            tasks=tuple(
                _map_task(task, cell, cluster)
                for task, cell, cluster in zip(plan.tasks, sources, layout.clusters, strict=True)
            ),
            scores=tuple(tuple(float(score) for score in row) for row in scores),
            order=layout.order,
        )


def _ranking(
    plan: Plan, rows: tuple[RankingRow, ...], decision: Decision, not_scored: tuple[NotScored, ...]
) -> Ranking:
    task = plan.tasks[0]
    return Ranking(
        query=plan.query_id,
        rank_by=plan.options.rank_by,
        decision=decision,
        seed=plan.options.seed,
        examples=plan.examples,
        task=task.id,
        data=task.dataset,
        classes=task.classes,
        scorer=SCORER,
        serial=plan.serial,
        candidates=len(plan.cells),
        ranking=rows[: plan.top],
        not_scored=not_scored,
    )


def _failure(cell: PlannedCell, findings: Findings) -> str | None:
    """Why a cell has no score although a worker tried, or None."""
    kept = findings.kept[cell.key]
    return (kept.failure or "no reason was given") if kept.blob is None else None


def _reasons(not_scored: Sequence[NotScored]) -> str:
    """The first reasons, for a sentence."""
    return "; ".join(f"{each.module.ref}: {each.reason}" for each in not_scored[:3])


def parse_answer(kind: str, text: str) -> Answer:
    """An answer as it was written down."""
    models: dict[str, type[Answer]] = {"ranking": Ranking, "reusability": Reusability, "map": TaskMap}
    return models[kind].model_validate_json(text)


def _map_task(task: PlannedTask, cell: PlannedCell, cluster: int) -> MapTask:
    return MapTask(
        task=task.id,
        data=task.dataset,
        classes=task.classes,
        module=RankedModule(ref=cell.ref, digest=cell.module),
        cluster=cluster,
    )


def _fields(plan: Plan, cell: PlannedCell, judged: Judged, findings: Findings) -> ScoreFields:
    """One judged score as it is told."""
    task = plan.tasks[cell.task]
    preprocessing = _preprocessing(findings.modules[cell.chain[0]])
    return ScoreFields(
        module=RankedModule(ref=cell.ref, digest=cell.module),
        score=judged.score,
        interval=judged.interval,
        chance=judged.chance,
        p_value=judged.p_value,
        panel=judged.panel,
        static=static_score(findings.elsewhere[cell.module], task, plan.options.rank_by),
        n=judged.n,
        n_per_class=dict(zip(task.classes, judged.counts, strict=True)),
        preprocessing=preprocessing,
        warnings=tuple(_warnings(findings, cell, task, judged)),
        cached=cell.cached,
        milliseconds=0.0 if cell.cached else findings.kept[cell.key].milliseconds,
    )


def static_score(kept: Sequence[KeptStatistics], task: PlannedTask, rank_by: ScoreName) -> float | None:
    """The module's mean score on other tasks: other data, or other labels of the same; None without any."""
    others = {
        (statistics.data, statistics.labels): statistics.scores[rank_by]
        for statistics in kept
        if rank_by in statistics.scores
        and (statistics.data != task.dataset or not set(statistics.labels) & set(task.labels))
    }
    return float(np.mean([others[key] for key in sorted(others)])) if others else None


def _warnings(findings: Findings, cell: PlannedCell, task: PlannedTask, judged: Judged) -> list[str]:
    """What a reader of this score should know."""
    module, dataset = findings.modules[cell.module], findings.datasets[task.dataset]
    preprocessing = _preprocessing(findings.modules[cell.chain[0]])
    said = []
    if not dataset.same_shape or dataset.shape[:2] != (preprocessing.height, preprocessing.width):
        size = f"{dataset.shape[0]} x {dataset.shape[1]}" if dataset.same_shape else "different sizes"
        said.append(f"resized: images of {size} to {preprocessing.height} x {preprocessing.width} pixels")
    if dataset.shape[2] != preprocessing.channels:
        said.append(f"colour: images with {dataset.shape[2]} channels turned to {preprocessing.colour}")
    if min(judged.counts) < FEW_EXAMPLES:
        said.append(f"few examples: the smallest class has {min(judged.counts)}")
    if module.task is not None and module.task.data == task.dataset:
        said.append("same data: the module was trained on this very dataset")
    if judged.left_out is None:
        said.append("interval unknown: leaving out a part of so few examples leaves too little for a score")
    if judged.smallest_p_value > 1 - CONFIDENCE:
        said.append("too few examples to tell from chance: shuffling their labels has too few outcomes")
    if judged.zeros:
        said.append(f"dead features: {judged.zeros} of {judged.n} examples have a zero feature vector")
    return said


def _feature_map(module: PublishedModule) -> FeatureMap:
    if module.feature_map is None:
        raise NotScorableError(f"{module.ref} has no feature map")
    return module.feature_map


def _preprocessing(module: PublishedModule) -> Preprocessing:
    if module.preprocessing is None:
        raise NotScorableError(f"{module.ref} does not say how images become its input")
    return module.preprocessing
