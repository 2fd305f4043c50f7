"""Judged scores of one task together: own scores drawn to what the modules' scores on other tasks foretell."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from kernel_methods.intervals import LeftOut
from kernel_methods.kernels import RankerName
from kernel_methods.pooling import Pooled, pool
from kernel_methods.statistics import Floats
from registry.judging import Judged, interval_of
from registry.standings import ScoredTask


def pooled(judged: Sequence[Judged], elsewhere: Sequence[Mapping[ScoredTask, float]], name: RankerName) -> list[Judged]:
    """Scores of modules on the same examples, pooled; as they are where one of them leaves its doubt unknown.

    Chance levels stay: under shuffled labels scores elsewhere would foretell nothing, so that own scores would stay
    too.

    Args:
        judged: by the score `name`, all on the same examples.
        elsewhere: each module's scores on other tasks.
        name: the score.
    """
    own = [one.left_out for one in judged if one.left_out is not None]
    if len(own) < len(judged):
        return list(judged)
    together = pool(own, _table(elsewhere))
    return [_drawn(one, together, place, name) for place, one in enumerate(judged)]


def _table(scores: Sequence[Mapping[ScoredTask, float]]) -> Floats:
    """A row for each module, a column for each task that any of them was scored on, NaN where it was not."""
    tasks = sorted({task for of_module in scores for task in of_module})
    told = [[of_module.get(task, np.nan) for task in tasks] for of_module in scores]
    return np.array(told, np.float64).reshape(len(scores), len(tasks))


def _drawn(one: Judged, together: Pooled, place: int, name: RankerName) -> Judged:
    left: LeftOut = together.left_out[place]
    return replace(
        one,
        score=float(together.scores[place]),
        interval=interval_of(left, name),
        left_out=left,
        own_weight=float(together.weights[place]),
    )
