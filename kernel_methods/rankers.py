"""What decides a ranking: one score by name, the same with each shard left out, and what shuffled labels would get."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import TypeGuard, get_args

import numpy as np

from kernel_methods.alignment import score_by_name
from kernel_methods.estimators.h_score import h_score
from kernel_methods.estimators.logme import logme
from kernel_methods.estimators.nearest_class_mean import nearest_class_mean
from kernel_methods.estimators.ridge import RidgePath, class_sums_centred
from kernel_methods.estimators.ridge_left_out import ridge_gcv_without
from kernel_methods.intervals import (
    Chance,
    LeftOut,
    chance_level,
    chance_of_shuffles,
    leave_one_out,
    smallest_p_value,
)
from kernel_methods.kernels import RankerName, ScoreName
from kernel_methods.shuffles import MOST_SHUFFLES, ShuffledSums, drawn_shuffles
from kernel_methods.statistics import Floats, TaskStatistics, merge

SLOW_SHUFFLES = 40
"""So many shuffles are scored where each costs as much as the score itself."""

TAIL = 0.25
"""Share of the shuffles, the largest, that say how fast the share that reaches a score falls off."""

ROUNDING = 1e-9


path_of = lru_cache(maxsize=2)(RidgePath.of)
"""A task's path, remembered: score, doubt and chance level of the same statistics need it."""


def ranker_score(name: RankerName, stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """The score of that name; larger is better.

    Raises:
        ValueError: the score is undefined for these statistics.
    """
    if _of_kernels(name):
        return score_by_name(name, stats, k_min=k_min, k_max=k_max)
    return _by_name(name)(stats)


def left_out(
    name: RankerName,
    shards: Sequence[TaskStatistics],
    *,
    k_min: float,
    k_max: float,
    total: TaskStatistics | None = None,
) -> LeftOut:
    """The score with each shard left out in turn; `total` is all of them, where that is at hand.

    That of `ridge_gcv` keeps the strength that is best for all examples, where the score hardly depends on it.

    Raises:
        ValueError: as `intervals.leave_one_out`.
    """
    if name == "ridge_gcv":
        return _ridge_left_out([shard for shard in shards if shard.examples], total)
    return leave_one_out(shards, partial(ranker_score, name, k_min=k_min, k_max=k_max))


def _ridge_left_out(shards: Sequence[TaskStatistics], total: TaskStatistics | None) -> LeftOut:
    if len(shards) < 2:
        raise ValueError(f"an interval needs two shards with examples, got {len(shards)}")
    everything = merge(shards) if total is None else total
    path = path_of(everything)
    score, share = path.best()
    sizes = np.array([shard.examples for shard in shards], np.float64)
    if not len(path.eigenvalues):
        return LeftOut(score, np.full(len(shards), score), sizes)
    strength = share * float(path.eigenvalues.sum())
    left = [ridge_gcv_without(path, everything, shard, strength=strength) for shard in shards]
    return LeftOut(score, np.array(left), sizes)


def ranker_chance(
    name: RankerName,
    stats: TaskStatistics,
    shuffled: ShuffledSums | None,
    *,
    k_min: float,
    k_max: float,
    level: float = 0.95,
) -> Chance:
    """What the score is where the labels were shuffled among the examples.

    Kept shuffles are counted. Without any, the scores of kernels have the law of `chance_level`; for the others
    class sums of shuffled labels are drawn from the normal law with their exact mean and covariance, always the same
    for the same numbers of examples.

    Args:
        name: which score.
        stats: statistics of the task's features.
        shuffled: class sums of the same features under shuffled labels, if kept.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        level: where the quantile is taken, in (0, 1).

    Raises:
        ValueError: the score is undefined for these statistics, or the shuffles have other classes.
    """
    if _of_kernels(name):
        if shuffled is None:
            return chance_level(stats, name=name, k_min=k_min, k_max=k_max, level=level)
        return chance_of_shuffles(stats, shuffled, name=name, k_min=k_min, k_max=k_max, level=level)
    count = MOST_SHUFFLES if name == "ridge_gcv" else SLOW_SHUFFLES
    dealt = shuffled or drawn_shuffles(stats, count, np.random.default_rng(stats.counts))
    score, scores = _scores_of_shuffles(name, stats, dealt)
    chance = _counted(score, scores, floor=smallest_p_value(stats), level=level)
    return chance if shuffled is not None else chance._replace(scores=None)


def _scores_of_shuffles(name: RankerName, stats: TaskStatistics, shuffled: ShuffledSums) -> tuple[float, Floats]:
    """The score, and that of every shuffle. Raises ValueError."""
    if shuffled.sums.shape[1:] != stats.class_sums.shape:
        raise ValueError(f"shuffles of {shuffled.sums.shape[1:]} for statistics of {stats.class_sums.shape}")
    if name == "ridge_gcv":
        path = path_of(stats)
        sums = class_sums_centred(shuffled.sums, path.regression)
        return path.best()[0], path.scores(sums).max(axis=-1) if len(path.eigenvalues) else np.zeros(len(sums))
    score = _by_name(name)
    dealt = zip(shuffled.sums[:SLOW_SHUFFLES], shuffled.zeros[:SLOW_SHUFFLES], strict=True)
    return score(stats), np.array(
        [score(replace(stats, class_sums=sums.astype(np.float64), zeros=zeros)) for sums, zeros in dealt]
    )


def _counted(score: float, scores: Floats, *, floor: float, level: float) -> Chance:
    """Counted among the shuffles; below what counting can tell, by how fast their tail falls off."""
    reached = int(np.count_nonzero(scores >= score - ROUNDING * max(1.0, abs(score))))
    p_value = (1 + reached) / (1 + len(scores))
    if not reached:
        p_value = min(p_value, _beyond(score, scores))
    quantile = float(np.quantile(scores, level, method="higher"))
    return Chance(float(scores.mean()), quantile, max(p_value, floor), scores)


def _beyond(score: float, scores: Floats) -> float:
    """Share of shuffles that would reach a score that none of these reached, if their tail falls off exponentially.

    With k excesses over a threshold, of sum s, a further one is above x with probability (1 + x / s)^-k: that is exact,
    for it reckons with how little k of them tell of their mean. Scores with a largest value fall off faster.

    Source:
        Knijnenburg, Wessels, Reinders, Shmulevich (2009), Fewer permutations, more accurate P-values, for the tail; its
        exponential law and the predictive distribution in place of fitted parameters are this project's own.
    """
    largest = int(TAIL * len(scores))
    if not largest:
        return 1.0
    ordered = np.sort(scores)
    threshold = float(ordered[-largest - 1])
    excess = float((ordered[-largest:] - threshold).sum())
    if excess <= ROUNDING * max(1.0, abs(score)):
        return 1.0
    share = (1 + largest) / (1 + len(scores))
    return float(share * np.exp(-largest * np.log1p((score - threshold) / excess)))


def _by_name(name: RankerName) -> Callable[[TaskStatistics], float]:
    """A score that needs no ideal kernel."""
    match name:
        case "ridge_gcv":
            return _ridge_gcv
        case "logme":
            return logme
        case "h_score":
            return h_score
        case "nearest_class_mean":
            return nearest_class_mean
        case _:
            raise ValueError(f"{name} is a score of kernels: it needs k_min and k_max")


def _of_kernels(name: RankerName) -> TypeGuard[ScoreName]:
    return name in get_args(ScoreName)


def _ridge_gcv(stats: TaskStatistics) -> float:
    """`ridge_gcv` by the remembered path."""
    return path_of(stats).best()[0]
