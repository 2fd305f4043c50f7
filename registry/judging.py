"""From statistics to judged scores: the panel, the interval, the chance level, ties, the decision. NumPy only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from kernel_methods.alignment import score_by_name
from kernel_methods.evidence import Evidence
from kernel_methods.intervals import (
    Chance,
    LeftOut,
    chance_level,
    chance_of_shuffles,
    difference_of,
    jackknife_of,
    leave_one_out,
    smallest_p_value,
)
from kernel_methods.kernels import ScoreName
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics, merge
from registry.errors import NotScorableError
from registry.manifest import FeatureMap
from registry.rankings import SCORES, Decision, ScoreOptions

CONFIDENCE = 0.95
FEW_EXAMPLES = 10
"""Below so many examples of a class a score warns."""

Shards = tuple[TaskStatistics, ...]
Score = Callable[[TaskStatistics], float]


@dataclass(frozen=True, slots=True)
class Judged:
    """One module's score on one task, with its doubt.

    `left_out` is the score with each shard left out, from which two modules are compared; None where it is undefined,
    and the interval is then all that the score can be. A score of the panel that is undefined on the task is None.
    """

    score: float
    interval: tuple[float, float]
    chance: float
    p_value: float
    smallest_p_value: float
    panel: dict[ScoreName, float | None]
    n: int
    counts: tuple[int, ...]
    zeros: int
    left_out: LeftOut | None

    @property
    def beats_chance(self) -> bool:
        """Whether shuffled labels reach this score at most 5 times in 100."""
        return self.p_value <= 1.0 - CONFIDENCE


def judge(evidence: Evidence, feature_map: FeatureMap, options: ScoreOptions) -> Judged:
    """Judge one module on one task from what a pass over the task left behind.

    Raises:
        NotScorableError: the score that ranks is undefined on so few examples or classes.
    """
    total = merge(evidence.shards)
    name = options.rank_by
    try:
        score = _scorer(name, feature_map)(total)
        chance = _chance(total, evidence.shuffled, feature_map, name)
    except ValueError as error:
        raise NotScorableError(
            f"{name} cannot be told from {total.examples} examples of {total.classes} classes: {error}; give more "
            "images, or score on more `examples`"
        ) from error
    left_out = _left_out(evidence.shards, _scorer(name, feature_map))
    return Judged(
        score=score,
        interval=_interval(left_out, name),
        chance=chance.quantile,
        p_value=chance.p_value,
        smallest_p_value=smallest_p_value(total),
        panel={each: _defined(_scorer(each, feature_map), total) for each in options.panel or SCORES},
        n=total.examples,
        counts=tuple(int(count) for count in total.counts),
        zeros=int(total.zeros.sum()),
        left_out=left_out,
    )


def _chance(total: TaskStatistics, shuffled: ShuffledSums | None, feature_map: FeatureMap, name: ScoreName) -> Chance:
    """The chance level, counted where shuffles were kept, modelled where they would not fit."""
    k_min, k_max = feature_map.k_min, feature_map.k_max
    if shuffled is None:
        return chance_level(total, name=name, k_min=k_min, k_max=k_max, level=CONFIDENCE)
    return chance_of_shuffles(total, shuffled, name=name, k_min=k_min, k_max=k_max, level=CONFIDENCE)


def _left_out(shards: Shards, score: Score) -> LeftOut | None:
    """The score with each shard left out; None where one of them leaves too little for a score."""
    try:
        return leave_one_out(shards, score)
    except ValueError:
        return None


def _interval(left_out: LeftOut | None, name: ScoreName) -> tuple[float, float]:
    """The confidence interval, or, where it is unknown, the score's whole range."""
    if left_out is None:
        return _range(name)
    lowest, highest = _range(name)
    interval = jackknife_of(left_out, level=CONFIDENCE)
    return max(interval.low, lowest), min(interval.high, highest)


def _range(name: ScoreName) -> tuple[float, float]:
    """What a score can be at all: a mean squared difference of kernel values in [-1, 1], or a cosine, or a mean."""
    return (-4.0, 0.0) if name == "negative_mean_squared_error" else (-1.0, 1.0)


def _defined(score: Score, statistics: TaskStatistics) -> float | None:
    try:
        return score(statistics)
    except ValueError:
        return None


def usual_scores(evidence: Evidence, feature_map: FeatureMap) -> dict[ScoreName, float]:
    """Every score that is defined on these statistics, for the static ranker."""
    total = merge(evidence.shards)
    scores = {name: _defined(_scorer(name, feature_map), total) for name in SCORES}
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
    """What may be said of a ranking; among m modules the best must beat chance at a level m times as strict."""
    strictness = (1.0 - CONFIDENCE) / max(len(ordered), 1)
    if not ordered or min(judged.p_value for judged in ordered) > strictness:
        return "none_better_than_chance"
    return "tie" if given.count(1) > 1 else "ranked"


def _scorer(name: ScoreName, feature_map: FeatureMap) -> Score:
    """A score as a function of statistics alone."""

    def score(statistics: TaskStatistics) -> float:
        return score_by_name(name, statistics, k_min=feature_map.k_min, k_max=feature_map.k_max)

    return score
