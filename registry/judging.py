"""From statistics to judged scores: the panel, the interval, the chance level, ties, the decision. NumPy only."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kernel_methods.compaction import compact
from kernel_methods.estimators.neo import raw_neo
from kernel_methods.estimators.ridge import ridge
from kernel_methods.evidence import Evidence
from kernel_methods.intervals import Chance, LeftOut, difference_of, jackknife_of, smallest_p_value
from kernel_methods.kernels import EstimatorName, RankerName
from kernel_methods.rankers import left_out, ranker_chance, ranker_score
from kernel_methods.statistics import TaskStatistics
from registry.errors import NotScorableError
from registry.manifest import FeatureMap
from registry.measured_panel import BESIDE, measured_value
from registry.rankings import PANEL, RANKERS, Decision, ScoreOptions

CONFIDENCE = 0.95
FEW_EXAMPLES = 10
"""Below so many examples of a class a score warns."""

IN_ALL_DIMENSIONS: frozenset[EstimatorName] = frozenset({"h_score"})
"""Scores that are not the same in fewer dimensions: the shrunk H-score shrinks towards a matrix of all of them."""

COSTLY: frozenset[RankerName] = frozenset({"logme", "h_score"})
"""Scores that are not worth their time for every statistics that come in."""

RANGES: dict[RankerName, tuple[float, float]] = {
    "negative_mean_squared_error": (-4.0, 0.0),
    "nearest_class_mean": (0.0, 1.0),
    "h_score": (0.0, 1e5),
    "logme": (-1e5, 1e5),
}
"""What a score can be at all, where that is not -1 to 1: a mean square, an accuracy, C - 1 classes, nats an example."""

ROUNDING = 1e-9
FALSE_ALARM = 0.025
"""So rarely shuffled labels may make a ranking say that some module beats chance: half of what an interval may miss,
so that it also looks rare to whoever tries it a few hundred times."""

SINGLE = 1e-5
"""Sums of shuffles are kept in single precision: scores so near are equal."""


@dataclass(frozen=True, slots=True, eq=False)
class Surprise:
    """How far a score stands above those of shuffled labels, and how far each of these does, in their deviations.

    The k-th shuffle is the same for every module of a task, so that what all modules together reach by chance can be
    counted.
    """

    score: float
    shuffles: NDArray[np.float64]

    @classmethod
    def of(cls, score: float, shuffles: NDArray[np.float64]) -> Self:
        """The same for a score and those of shuffles.

        Mean and deviation are of all of them together, for by chance the score is one among the others.
        """
        together = np.append(shuffles, score)
        mean, deviation = float(together.mean()), float(together.std())
        scale = 0.0 if deviation <= ROUNDING * max(1.0, abs(mean)) else 1.0 / deviation
        return cls(scale * (score - mean), scale * (shuffles - mean))


@dataclass(frozen=True, slots=True)
class Judged:
    """One module's score on one task, with its doubt.

    `left_out` is the score with each shard left out, from which two modules are compared; None where it is undefined,
    and the interval is then all that the score can be. A score of the panel that is undefined on the task is None.
    `surprise` is None where no shuffles were kept. `own_weight` is below 1 where the score is pooled with others.
    """

    score: float
    interval: tuple[float, float]
    chance: float
    p_value: float
    smallest_p_value: float
    panel: dict[EstimatorName, float | None]
    n: int
    counts: tuple[int, ...]
    zeros: int
    left_out: LeftOut | None
    surprise: Surprise | None = None
    own_weight: float = 1.0

    @property
    def beats_chance(self) -> bool:
        """Whether shuffled labels reach this score at most 5 times in 100."""
        return self.p_value <= 1.0 - CONFIDENCE


def judge(evidence: Evidence, feature_map: FeatureMap, options: ScoreOptions) -> Judged:
    """Judge one module on one task from what a pass over the task left behind.

    Raises:
        NotScorableError: the score that ranks is undefined on so few examples or classes.
    """
    total = evidence.total
    name, small = options.rank_by, compact(evidence)
    ranked = evidence if name in IN_ALL_DIMENSIONS else small
    try:
        score = _score(name, ranked.total, feature_map)
        chance = _chance(name, ranked, feature_map)
    except (ValueError, np.linalg.LinAlgError) as error:
        raise NotScorableError(
            f"{name} cannot be told from {total.examples} examples of {total.classes} classes: {error}; give more "
            "images, or score on more `examples`"
        ) from error
    without = _left_out(name, ranked, feature_map)
    return Judged(
        score=score,
        interval=interval_of(without, name),
        chance=chance.quantile,
        p_value=chance.p_value,
        smallest_p_value=smallest_p_value(total),
        panel={
            each: score if each == name else _panel_value(each, evidence, small, feature_map)
            for each in options.panel or PANEL
        },
        n=total.examples,
        counts=tuple(int(count) for count in total.counts),
        zeros=int(total.zeros.sum()),
        left_out=without,
        surprise=None if chance.scores is None else Surprise.of(score, chance.scores),
    )


def _score(name: RankerName, total: TaskStatistics, feature_map: FeatureMap) -> float:
    """Raises ValueError where it is undefined."""
    score = ranker_score(name, total, k_min=feature_map.k_min, k_max=feature_map.k_max)
    if not np.isfinite(score):
        raise ValueError(f"undefined: it would be {score}")
    return score


def _chance(name: RankerName, evidence: Evidence, feature_map: FeatureMap) -> Chance:
    """The chance level, counted where shuffles were kept, modelled where they would not fit."""
    k_min, k_max = feature_map.k_min, feature_map.k_max
    return ranker_chance(name, evidence.total, evidence.shuffled, k_min=k_min, k_max=k_max, level=CONFIDENCE)


def _left_out(name: RankerName, evidence: Evidence, feature_map: FeatureMap) -> LeftOut | None:
    """The score with each shard left out; None where one of them leaves too little for a score."""
    k_min, k_max = feature_map.k_min, feature_map.k_max
    try:
        return left_out(name, evidence.shards, k_min=k_min, k_max=k_max, total=evidence.total)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _panel_value(name: EstimatorName, evidence: Evidence, small: Evidence, feature_map: FeatureMap) -> float | None:
    """One estimator's value, from the compact evidence where that gives the same; None where it is undefined."""
    if name in BESIDE:
        return measured_value(name, evidence, feature_map)
    held = evidence if name in IN_ALL_DIMENSIONS else small
    try:
        return _of_statistics(name, held, feature_map)
    except (ValueError, np.linalg.LinAlgError):
        return None


def _of_statistics(name: EstimatorName, evidence: Evidence, feature_map: FeatureMap) -> float | None:
    """Raises ValueError where it is undefined."""
    if name == "ridge":
        return ridge(evidence.shards)
    if name == "raw_neo":
        return raw_neo(evidence.total, k_min=feature_map.k_min, k_max=feature_map.k_max)
    ranker = next((each for each in RANKERS if each == name), None)
    return None if ranker is None else _score(ranker, evidence.total, feature_map)


def interval_of(without: LeftOut | None, name: RankerName) -> tuple[float, float]:
    """The confidence interval, or, where it is unknown, the score's whole range."""
    lowest, highest = RANGES.get(name, (-1.0, 1.0))
    if without is None:
        return lowest, highest
    interval = jackknife_of(without, level=CONFIDENCE)
    return max(interval.low, lowest), min(interval.high, highest)


def usual_scores(evidence: Evidence, feature_map: FeatureMap) -> dict[RankerName, float]:
    """Every score that is defined on these statistics and cheap, for the static ranker."""
    small = compact(evidence)
    scores = {name: _panel_value(name, evidence, small, feature_map) for name in RANKERS if name not in COSTLY}
    return {name: score for name, score in scores.items() if score is not None}


def ranks(ordered: Sequence[Judged]) -> list[int]:
    """Ranks of scores in descending order; a score that cannot be told from its group's best shares its rank.

    One that does not beat chance never shares a rank with one that does.
    """
    given: list[int] = []
    best: Judged | None = None
    for place, judged in enumerate(ordered, start=1):
        if best is not None and best.beats_chance == judged.beats_chance and tied(best, judged):
            given.append(given[-1])
        else:
            given.append(place)
            best = judged
    return given


def tied(one: Judged, other: Judged) -> bool:
    """Whether the difference of two modules, paired shard by shard, may be nothing."""
    if one.left_out is None or other.left_out is None:
        return True
    difference = difference_of(one.left_out, other.left_out, level=CONFIDENCE)
    return difference.low <= 0.0 <= difference.high


def decide(ordered: Sequence[Judged], given: Sequence[int]) -> Decision:
    """What may be said of a ranking: whether shuffled labels would give some module as surprising a score."""
    if not ordered or chance_of_any(ordered) > FALSE_ALARM:
        return "none_better_than_chance"
    return "tie" if given.count(1) > 1 else "ranked"


def chance_of_any(judged: Sequence[Judged]) -> float:
    """How often the most surprising of all modules' scores under shuffled labels reaches the most surprising here.

    Counted among the shuffles, so that modules that are alike do not count twice, and never below what one module by
    itself has; where a module's shuffles were not kept, the smallest p-value times the number of modules.

    Source:
        Westfall, Young (1993), Resampling-Based Multiple Testing: the single-step maximum.
    """
    surprises = [one.surprise for one in judged if one.surprise is not None]
    of_one = min(one.p_value for one in judged)
    if len(surprises) < len(judged):
        return min(1.0, len(judged) * of_one)
    count = min(len(surprise.shuffles) for surprise in surprises)
    largest = np.max([surprise.shuffles[:count] for surprise in surprises], axis=0)
    best = max(surprise.score for surprise in surprises)
    counted = float(1 + np.count_nonzero(largest >= best - SINGLE * max(1.0, abs(best)))) / (1 + count)
    return max(counted, of_one)
