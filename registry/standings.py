"""How a module stands before it has seen a task: its usual score over all data that it was scored on."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from kernel_methods.kernels import RankerName
from registry.names import Digest
from registry.rankings import DEFAULT_RANKER
from registry.records import KeptStatistics

ScoredTask: TypeAlias = tuple[Digest, tuple[str, ...]]
"""A dataset, and which labels of it."""


@dataclass(frozen=True, slots=True)
class ModuleStanding:
    """A module's mean score under the default ranker, and over how many data.

    Scores of different data are not one scale: whoever was scored on easy data only stands too high. It decides who
    is looked at first, never who wins.
    """

    mean: float
    data_count: int


def standing_of(kept: Sequence[KeptStatistics]) -> ModuleStanding | None:
    """A module's standing; None where the default ranker was never defined."""
    scores = scores_by_data(kept, DEFAULT_RANKER)
    if not scores:
        return None
    return ModuleStanding(float(np.mean([scores[key] for key in sorted(scores)])), len(scores))


def scores_by_data(kept: Iterable[KeptStatistics], name: RankerName) -> dict[ScoredTask, float]:
    """A module's score on each dataset and choice of labels, from the statistics with the most examples there."""
    best: dict[ScoredTask, KeptStatistics] = {}
    for statistics in kept:
        if name in statistics.scores:
            place = statistics.data, statistics.labels
            if place not in best or _weight(best[place]) < _weight(statistics):
                best[place] = statistics
    return {place: statistics.scores[name] for place, statistics in best.items()}


def _weight(statistics: KeptStatistics) -> tuple[int, str]:
    return statistics.examples, statistics.key
