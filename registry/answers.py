"""Answers: gather what the records know of a plan, judge its statistics, and write the answer down."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from kernel_methods.kernels import ScoreName
from kernel_methods.statistics import unpack
from registry.errors import NotFoundError, NotScorableError
from registry.judging import FEW_EXAMPLES, Judged, Shards, decide, judge, ranks
from registry.manifest import FeatureMap, Preprocessing
from registry.names import Digest
from registry.plans import Plan, PlannedCell, PlannedTask
from registry.ports import BlobStore, UnitOfWork
from registry.rankings import (
    SCORER,
    MapTask,
    RankedModule,
    Ranking,
    RankingRow,
    Reusability,
    ScoreFields,
    TaskMap,
)
from registry.records import Dataset, KeptStatistics, PublishedModule
from registry.task_map import task_map

Answer = Ranking | Reusability | TaskMap


@dataclass(frozen=True, slots=True)
class Evidence:
    """What the records hold for a plan, read in one transaction so that judging needs none."""

    modules: dict[Digest, PublishedModule]
    datasets: dict[Digest, Dataset]
    kept: dict[Digest, KeptStatistics]
    elsewhere: dict[Digest, tuple[KeptStatistics, ...]]


def gather(work: UnitOfWork, plan: Plan) -> Evidence:
    """Read everything a plan's answer needs. Raises NotScorableError when a module or dataset went meanwhile."""
    digests = {digest for cell in plan.cells for digest in (cell.chain[0], cell.module)}
    wanted = {task.dataset for task in plan.tasks}
    modules = {digest: found[0] for digest in digests if (found := work.modules.by_digest(digest))}
    datasets = {digest: data for digest in wanted if (data := work.datasets.get(digest, owner=None)) is not None}
    if len(modules) < len(digests) or len(datasets) < len(wanted):
        raise NotScorableError("a module or a dataset of this question was deleted meanwhile; ask again")
    scored = sorted({cell.module for cell in plan.cells})
    return Evidence(
        modules=modules,
        datasets=datasets,
        kept=work.statistics.get([cell.key for cell in plan.cells]),
        elsewhere={digest: work.statistics.of_module(digest) for digest in scored},
    )


class Answerer:
    """Turns a plan and its evidence into an answer; the same two give the same bytes."""

    def __init__(self, blobs: BlobStore) -> None:
        """Args: blobs: where statistics are."""
        self._blobs = blobs

    def answer(self, plan: Plan, evidence: Evidence) -> Answer:
        """The answer. Raises NotScorableError when a score is not defined on the task."""
        match plan.kind:
            case "ranking":
                return self.ranking(plan, evidence)
            case "reusability":
                ranking = self.ranking(plan, evidence)
                row = dict(ranking.ranking[0])
                del row["rank"]
                head = dict(ranking)
                del head["candidates"], head["ranking"]
                return Reusability.model_validate({**head, **row})
            case "map":
                return self._map(plan, evidence)

    def ranking(self, plan: Plan, evidence: Evidence) -> Ranking:
        """Modules whose statistics are there, best first."""
        cells = [cell for cell in plan.cells if cell.key in evidence.kept]
        judged = [(cell, self._judge(plan, cell, evidence)) for cell in cells]
        judged.sort(key=lambda pair: (-pair[1].score, pair[0].ref))
        ordered = [one for _, one in judged]
        given = ranks(ordered, plan.options.rank_by)
        rows = tuple(
            RankingRow(rank=rank, **dict(_fields(plan, cell, one, evidence)))
            for rank, (cell, one) in zip(given, judged, strict=True)
        )
        task = plan.tasks[0]
        return Ranking(
            query=plan.query_id,
            rank_by=plan.options.rank_by,
            decision=decide(ordered, given),
            seed=plan.options.seed,
            examples=plan.examples,
            task=task.id,
            data=task.dataset,
            classes=task.classes,
            scorer=SCORER,
            serial=plan.serial,
            candidates=len(plan.cells),
            ranking=rows[: plan.top],
        )

    def _judge(self, plan: Plan, cell: PlannedCell, evidence: Evidence) -> Judged:
        module = evidence.modules[cell.module]
        read = self._reader(evidence.kept[cell.key].blob, plan.tasks[cell.task])
        return judge(read, _feature_map(module), plan.options)

    def _reader(self, blob: Digest, task: PlannedTask) -> Callable[[], Shards]:
        """Reads shards with the task's classes merged; nothing stays in memory between two readings."""

        def read() -> Shards:
            try:
                data = self._blobs.get(blob)
            except NotFoundError as error:
                raise NotScorableError("statistics of this question were deleted meanwhile; ask again") from error
            return tuple(shard.merge_classes(task.groups) for shard in unpack(data, limit_bytes=len(data)))

        return read

    def _map(self, plan: Plan, evidence: Evidence) -> TaskMap:
        """Scores of every source on every target, in the order of the tasks."""
        size = len(plan.tasks)
        flat = [self._judge(plan, cell, evidence).score for cell in plan.cells]
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


def _fields(plan: Plan, cell: PlannedCell, judged: Judged, evidence: Evidence) -> ScoreFields:
    """One judged score as it is told."""
    task = plan.tasks[cell.task]
    preprocessing = _preprocessing(evidence.modules[cell.chain[0]])
    return ScoreFields(
        module=RankedModule(ref=cell.ref, digest=cell.module),
        score=judged.score,
        interval=judged.interval,
        chance=judged.chance,
        p_value=judged.p_value,
        panel=judged.panel,
        static=static_score(evidence.elsewhere[cell.module], task, plan.options.rank_by),
        n=judged.n,
        n_per_class=dict(zip(task.classes, judged.counts, strict=True)),
        preprocessing=preprocessing,
        warnings=tuple(_warnings(evidence, cell, task, judged)),
        cached=cell.cached,
        milliseconds=0.0 if cell.cached else evidence.kept[cell.key].milliseconds,
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


def _warnings(evidence: Evidence, cell: PlannedCell, task: PlannedTask, judged: Judged) -> list[str]:
    """What a reader of this score should know."""
    module, dataset = evidence.modules[cell.module], evidence.datasets[task.dataset]
    preprocessing = _preprocessing(evidence.modules[cell.chain[0]])
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
