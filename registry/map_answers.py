"""The answer to a question for a map: the scores of its plan, laid out."""

from collections.abc import Mapping, Sequence

import numpy as np

from registry.names import Digest
from registry.plans import Plan, PlannedCell, PlannedTask
from registry.rankings import (
    SCORER,
    MapEmbedding,
    MapSource,
    MapTarget,
    MapTask,
    RankedModule,
    TaskMap,
)
from registry.records import PublishedModule
from registry.task_map import task_map


def map_answer(plan: Plan, scores: Sequence[float], modules: Mapping[Digest, PublishedModule]) -> TaskMap:
    """Scores of every source on every target, and how the sources group.

    Args:
        plan: the question; its cells are source by source, each source with every task in turn.
        scores: the score of each cell.
        modules: every module of the cells, by digest.
    """
    matrix = np.array(scores, dtype=np.float64).reshape(-1, len(plan.tasks))
    layout = task_map(matrix)
    rows = plan.cells[:: len(plan.tasks)]
    return TaskMap(
        query=plan.query_id,
        rank_by=plan.options.rank_by,
        seed=plan.options.seed,
        examples=plan.examples,
        scorer=SCORER,
        serial=plan.serial,
        sources=tuple(
            _source(plan, cell, own, module=modules[cell.module], cluster=cluster)
            for cell, own, cluster in zip(rows, plan.own, layout.clusters, strict=True)
        ),
        targets=tuple(MapTarget(task=task.id, data=task.dataset, classes=task.classes) for task in plan.tasks),
        tasks=_square(plan, rows, layout.clusters),
        scores=tuple(tuple(float(score) for score in row) for row in matrix),
        tree=tuple(tuple(merge) for merge in layout.tree),
        order=layout.order,
        target_order=_target_order(plan, layout.order),
        clusters=layout.clusters,
        embedding=MapEmbedding(coordinates=layout.embedding.coordinates, kept=layout.embedding.kept),
    )


def _source(plan: Plan, cell: PlannedCell, own: int | None, *, module: PublishedModule, cluster: int) -> MapSource:
    """One row: what the target says that it was trained on, else what the module says."""
    ranked = RankedModule(ref=cell.ref, digest=cell.module)
    if own is not None:
        task = plan.tasks[own]
        return MapSource(module=ranked, task=task.id, data=task.dataset, classes=task.classes, cluster=cluster)
    trained = module.task
    return MapSource(
        module=ranked,
        task=None,
        data=trained.data if trained else None,
        classes={each.label: each.merged for each in trained.classes} if trained else {},
        cluster=cluster,
    )


def _square(plan: Plan, rows: Sequence[PlannedCell], clusters: Sequence[int]) -> tuple[MapTask, ...]:
    """The tasks with their modules where row and column mean the same task in every place, else none."""
    if plan.own != tuple(range(len(plan.tasks))):
        return ()
    return tuple(_map_task(*each) for each in zip(plan.tasks, rows, clusters, strict=True))


def _map_task(task: PlannedTask, cell: PlannedCell, cluster: int) -> MapTask:
    return MapTask(
        task=task.id,
        data=task.dataset,
        classes=task.classes,
        module=RankedModule(ref=cell.ref, digest=cell.module),
        cluster=cluster,
    )


def _target_order(plan: Plan, order: Sequence[int]) -> tuple[int, ...]:
    """The sources' own tasks as the sources stand, then the other tasks as they were named."""
    own = [place for row in order if (place := plan.own[row]) is not None]
    return tuple(dict.fromkeys([*own, *range(len(plan.tasks))]))
