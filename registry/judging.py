"""From statistics to judged scores: the panel, the interval, the chance level, ties, the decision. NumPy only."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from kernel_methods.alignment import score_by_name
from kernel_methods.intervals import chance_level, jackknife_interval, paired_difference
from kernel_methods.kernels import ScoreName
from kernel_methods.statistics import TaskStatistics, merge
from registry.errors import NotScorableError
from registry.manifest import FeatureMap
from registry.rankings import SCORES, Decision, ScoreOptions

CONFIDENCE = 0.95
FEW_EXAMPLES = 10
"""Below so many examples of a class a score warns."""

Shards = tuple[TaskStatistics, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """One module's score on one task, with its doubt. `shards` are read again when two scores are compared."""

    score: float
    interval: tuple[float, float]
    chance: float
    p_value: float
    panel: dict[ScoreName, float]
    n: int
    counts: tuple[int, ...]
    zeros: int
    feature_map: FeatureMap
    shards: Callable[[], Shards] = field(repr=False)


def judge(read: Callable[[], Shards], feature_map: FeatureMap, options: ScoreOptions) -> Judged:
    """Judge one module on one task from its shards of statistics.

    Raises:
        NotScorableError: too few examples or classes for a score to be defined.
    """
    shards = read()
    total = merge(shards)
    score = _scorer(options.rank_by, feature_map)
    try:
        interval = jackknife_interval(shards, score, level=CONFIDENCE)
        chance = chance_level(
            total, name=options.rank_by, k_min=feature_map.k_min, k_max=feature_map.k_max, level=CONFIDENCE
        )
        panel = {name: _scorer(name, feature_map)(total) for name in options.panel or SCORES}
    except ValueError as error:
        raise NotScorableError(f"the task cannot be scored: {error}; give more examples of each class") from error
    return Judged(
        score=interval.estimate,
        interval=(interval.low, interval.high),
        chance=chance.quantile,
        p_value=chance.p_value,
        panel=panel,
        n=total.examples,
        counts=tuple(int(count) for count in total.counts),
        zeros=int(total.zeros.sum()),
        feature_map=feature_map,
        shards=read,
    )


def usual_scores(shards: Shards, feature_map: FeatureMap) -> dict[ScoreName, float]:
    """Every score that is defined on these statistics, for the static ranker."""
    total = merge(shards)
    scores: dict[ScoreName, float] = {}
    for name in SCORES:
        try:
            scores[name] = _scorer(name, feature_map)(total)
        except ValueError:
            continue  # undefined on so little data: the static ranker has nothing to learn from it
    return scores


def ranks(ordered: Sequence[Judged], rank_by: ScoreName) -> list[int]:
    """Ranks of scores in descending order; a score that cannot be told from its group's best shares its rank."""
    given: list[int] = []
    best: Judged | None = None
    for place, judged in enumerate(ordered, start=1):
        if best is not None and tied(best, judged, rank_by):
            given.append(given[-1])
        else:
            given.append(place)
            best = judged
    return given


def tied(one: Judged, other: Judged, rank_by: ScoreName) -> bool:
    """Whether the difference of two modules, paired shard by shard, may be nothing."""
    difference = paired_difference(
        one.shards(),
        other.shards(),
        _scorer(rank_by, one.feature_map),
        _scorer(rank_by, other.feature_map),
        level=CONFIDENCE,
    )
    return difference.low <= 0.0 <= difference.high


def decide(ordered: Sequence[Judged], given: Sequence[int]) -> Decision:
    """What may be said of a ranking; among m modules the best must beat chance at a level m times as strict."""
    strictness = (1.0 - CONFIDENCE) / max(len(ordered), 1)
    if not ordered or min(judged.p_value for judged in ordered) > strictness:
        return "none_better_than_chance"
    return "tie" if given.count(1) > 1 else "ranked"


def _scorer(name: ScoreName, feature_map: FeatureMap) -> Callable[[TaskStatistics], float]:
    """A score as a function of statistics alone."""

    def score(statistics: TaskStatistics) -> float:
        return score_by_name(name, statistics, k_min=feature_map.k_min, k_max=feature_map.k_max)

    return score
