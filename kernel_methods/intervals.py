"""How sure a score is: intervals from shards, and chance levels; without a second pass over the data."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, stdtrit

from kernel_methods.alignment import energy_slope, score_by_name
from kernel_methods.centring import centre
from kernel_methods.kernels import ScoreName
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.shuffling import Weights, shuffled_energy
from kernel_methods.statistics import TaskStatistics, merge

Score = Callable[[TaskStatistics], float]


class Interval(NamedTuple):
    """An estimate, the ends of its confidence interval, and its standard error."""

    estimate: float
    low: float
    high: float
    standard_error: float


class Chance(NamedTuple):
    """What shuffled labels score: mean and quantile, and the share of shuffles that score at least as much.

    `scores` are those of the shuffles that were counted, in their order; None where the law was modelled.
    """

    mean: float
    quantile: float
    p_value: float
    scores: NDArray[np.float64] | None = None


class LeftOut(NamedTuple):
    """A score of all examples, of all but each shard, and the number of examples of each shard."""

    total: float
    left: NDArray[np.float64]
    sizes: NDArray[np.float64]


def jackknife_interval(shards: Sequence[TaskStatistics], score: Score, *, level: float = 0.95) -> Interval:
    """Confidence interval of a score, by leaving out one shard after the other.

    Shards must be random parts of the examples; 10 to 30 of like size are good. The interval is symmetric
    about the score of all examples and may pass the score's range. It takes k additions and k subtractions
    of (d, d) matrices for k shards.

    Args:
        shards: statistics of disjoint random parts; parts without examples are passed over.
        score: the score of statistics.
        level: confidence, in (0, 1).

    Raises:
        ValueError: fewer than two shards have examples, ``level`` is not in (0, 1), or the score is undefined
            with one of the shards left out.

    Source:
        Busing, Meijer, van der Leeden (1999), Delete-m Jackknife for Unequal m, equations 7 to 9; Student t
        with one degree of freedom less than there are shards.
    """
    return jackknife_of(leave_one_out(shards, score), level=level)


def paired_difference(
    shards_a: Sequence[TaskStatistics],
    shards_b: Sequence[TaskStatistics],
    score_a: Score,
    score_b: Score,
    *,
    level: float = 0.95,
) -> Interval:
    """Confidence interval of score a less score b on the same examples; a tie where it holds 0.

    Args:
        shards_a: statistics of the shards under one module.
        shards_b: statistics of the same shards, in the same order, under another.
        score_a: the score of the former.
        score_b: the score of the latter.
        level: confidence, in (0, 1).

    Raises:
        ValueError: as `jackknife_interval`, or the shards do not have the same numbers of examples.
    """
    return difference_of(leave_one_out(shards_a, score_a), leave_one_out(shards_b, score_b), level=level)


def difference_of(one: LeftOut, other: LeftOut, *, level: float = 0.95) -> Interval:
    """The interval of `paired_difference`, from leave-one-out values that are there already.

    Raises:
        ValueError: the two are not of shards with the same numbers of examples.
    """
    if not np.array_equal(one.sizes, other.sizes):
        raise ValueError(f"need the same shards on both sides, got {one.sizes} and {other.sizes} examples")
    return jackknife_of(LeftOut(one.total - other.total, one.left - other.left, one.sizes), level=level)


def chance_of_shuffles(
    stats: TaskStatistics, shuffled: ShuffledSums, *, name: ScoreName, k_min: float, k_max: float, level: float = 0.95
) -> Chance:
    """What a score is where the labels were shuffled among the examples: counted, not modelled.

    Where no shuffle reaches the score, its p-value is below what counting can tell, and the law of `chance_level`
    says how far, between one over the number of ways to deal the labels and one over the number of shuffles.

    Args:
        stats: statistics of the task's features.
        shuffled: class sums of the same features under shuffled labels.
        name: which score.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        level: where the quantile is taken, in (0, 1).

    Raises:
        ValueError: as `chance_level`, or the shuffles have other classes.
    """
    if shuffled.zeros.shape[1] != stats.classes:
        raise ValueError(f"shuffles of {shuffled.zeros.shape[1]} classes for statistics of {stats.classes}")
    modelled = chance_level(stats, name=name, k_min=k_min, k_max=k_max, level=level)
    score = score_by_name(name, stats, k_min=k_min, k_max=k_max)
    slope = energy_slope(name, stats, k_min=k_min, k_max=k_max)
    centred, weights = centre(stats), _weights(name, stats.examples)
    energies = shuffled.energies(centred, weights)
    observed = shuffled_energy(centred, weights).observed
    scores = score + slope * (energies - observed)
    reached = int(np.count_nonzero(energies >= observed - 1e-9 * max(1.0, abs(observed))))
    counted = (1 + reached) / (1 + len(scores))
    p_value = counted if reached or slope == 0.0 else min(counted, modelled.p_value)
    quantile = float(np.quantile(scores, level, method="higher"))
    return Chance(float(scores.mean()), quantile, max(p_value, smallest_p_value(stats)), scores)


def chance_level(stats: TaskStatistics, *, name: ScoreName, k_min: float, k_max: float, level: float = 0.95) -> Chance:
    """What a score would be if the labels had been shuffled among the examples, without shuffling them.

    Every score is affine in one energy of the labels, whose mean and variance over all permutations are
    known exactly; quantile and p-value come from the Pearson type III (shifted gamma) law with these and the
    skewness that `shuffled_energy` gives.

    Args:
        stats: statistics of the task's features.
        name: which score.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.
        level: where the quantile is taken, in (0, 1).

    Returns:
        ``p_value`` is 1.0 where the score does not depend on the labels.

    Raises:
        ValueError: the score is undefined for these statistics, there are fewer than four examples, or
            ``level`` is not in (0, 1).
    """
    _check_level(level)
    score = score_by_name(name, stats, k_min=k_min, k_max=k_max)
    if stats.examples < 4:
        raise ValueError(f"undefined: a chance level needs 4 examples, got {stats.examples}")
    slope = energy_slope(name, stats, k_min=k_min, k_max=k_max)
    energy = shuffled_energy(centre(stats), _weights(name, stats.examples))
    mean, deviation = score + slope * (energy.mean - energy.observed), slope * math.sqrt(energy.variance)
    if deviation <= 1e-14:
        return Chance(mean, mean, 1.0)
    from scipy.stats import pearson3  # noqa: PLC0415 - 40 MB that only a chance level needs

    law = pearson3(energy.skewness, loc=mean, scale=deviation)
    return Chance(mean, float(law.ppf(level)), max(float(law.sf(score)), smallest_p_value(stats)))


def smallest_p_value(stats: TaskStatistics) -> float:
    """One over the number of ways to deal the labels that a score can tell apart, in (0, 1].

    No score can be rarer than that among shuffles. None of them depends on what classes are called, so that classes
    with as many examples may swap their names.
    """
    ways = gammaln(stats.examples + 1) - float(gammaln(stats.counts + 1).sum())
    alike = np.unique(stats.counts[stats.counts > 0], return_counts=True)[1]
    return float(np.exp(min(0.0, float(gammaln(alike + 1).sum()) - ways)))


def _weights(name: ScoreName, examples: int) -> Weights:
    if name == "centred_alignment":
        twice = 2.0 / (examples - 2.0)
        return Weights(projection=-2.0 * twice, unit=twice)
    return Weights(projection=2.0, unit=0.0)


def leave_one_out(shards: Sequence[TaskStatistics], score: Score) -> LeftOut:
    """A score with each shard left out in turn: all that intervals and differences need, in a few numbers.

    Args:
        shards: statistics of disjoint random parts; parts without examples are passed over.
        score: the score of statistics.

    Raises:
        ValueError: fewer than two shards have examples, or the score is undefined with one of them left out.
    """
    filled = [shard for shard in shards if shard.examples > 0]
    if len(filled) < 2:
        raise ValueError(f"an interval needs two shards with examples, got {len(filled)} of {len(shards)}")
    total = merge(filled)
    left = np.array([score(total.subtract(shard)) for shard in filled])
    return LeftOut(score(total), left, np.array([shard.examples for shard in filled], np.float64))


def jackknife_of(values: LeftOut, *, level: float = 0.95) -> Interval:
    """The confidence interval of `jackknife_interval`, from leave-one-out values that are there already."""
    _check_level(level)
    shares = values.sizes.sum() / values.sizes
    pseudo = shares * values.total - (shares - 1.0) * values.left
    middle = len(pseudo) * values.total - float((1.0 - 1.0 / shares) @ values.left)
    error = math.sqrt(float(np.mean((pseudo - middle) ** 2 / (shares - 1.0))))
    reach = float(stdtrit(len(pseudo) - 1, 0.5 + level / 2.0)) * error
    return Interval(values.total, values.total - reach, values.total + reach, error)


def _check_level(level: float) -> None:
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must be in (0, 1), got {level}")
