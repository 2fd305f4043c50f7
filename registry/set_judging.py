"""From joint statistics to steps: what each further module adds, how sure that is, and what greed has missed."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import comb

import numpy as np

from kernel_methods.compaction import compact
from kernel_methods.evidence import Evidence
from kernel_methods.intervals import Interval, difference_of
from kernel_methods.joint import JointLayout, dead_modules, subset, subset_evidence
from kernel_methods.kernels import RankerName
from kernel_methods.rankers import ranker_score
from kernel_methods.selection import Chosen, SetScore, best_subset, forward_selection
from registry.errors import NotScorableError
from registry.judging import CONFIDENCE, IN_ALL_DIMENSIONS, Judged, judge
from registry.manifest import FeatureMap
from registry.rankings import ScoreOptions

SEARCH_COST = 1e10
"""Every set is looked at where the cubes of their dimensions add up to no more: that takes some ten seconds."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Modules side by side on one task: their evidence, whose dimensions are whose, and every module's phi."""

    evidence: Evidence
    layout: JointLayout
    feature_maps: tuple[FeatureMap, ...]

    def feature_map(self, chosen: Sequence[int]) -> FeatureMap:
        """The range of the joint kernel, which is the mean of the modules' kernels."""
        maps = [self.feature_maps[place] for place in chosen]
        bounds = {name: float(np.mean([getattr(phi, name) for phi in maps])) for name in ("k_min", "k_max")}
        return maps[0].model_copy(update=bounds)


@dataclass(frozen=True, slots=True)
class JudgedSet:
    """Some modules side by side, judged as one module; `gain` over another set is None where it is unknown."""

    members: tuple[int, ...]
    judged: Judged
    gain: Interval | None
    helps: bool


@dataclass(frozen=True, slots=True)
class FoundSets:
    """The steps, and the best set as large as the last of them where it is another; `searched`: all were looked at."""

    steps: tuple[JudgedSet, ...]
    best: JudgedSet | None
    searched: bool


def find_sets(joined: Joined, *, rank_by: RankerName, size: int) -> FoundSets:
    """Add modules one by one as long as that helps; the first step that is not shown to help is the last.

    A step's gain is of the best of several candidates, so that its interval is as much wider as holds the confidence
    for all of them (Bonferroni). The first step is held against chance in the same way.

    Args:
        joined: the candidates side by side, two at least, in classes of the task.
        rank_by: the score.
        size: of the largest set.

    Raises:
        NotScorableError: the score is undefined on so few examples or classes.
    """
    score = _scores(joined, rank_by)
    steps: list[JudgedSet] = []
    for step in forward_selection(score, joined.layout.modules, size=size):
        if step.score == -np.inf:
            break
        steps.append(_judged_step(joined, step, steps[-1] if steps else None, rank_by=rank_by))
        if not steps[-1].helps:
            break
    if not steps:
        judge(joined.evidence, joined.feature_map(range(joined.layout.modules)), _options(rank_by))
        raise NotScorableError(f"{rank_by} is undefined for every one of the candidates on this task")
    last = steps[-1]
    searched = len(last.members) == 1 or search_cost(joined, size=len(last.members)) <= SEARCH_COST
    best = _missed(joined, score, last, rank_by=rank_by) if searched else None
    return FoundSets(tuple(steps), best, searched)


def search_cost(joined: Joined, *, size: int) -> float:
    """What looking at every set of one size costs at most: the cubes of their dimensions, added up."""
    examples = sum(shard.examples for shard in joined.evidence.shards)
    widest = sorted(joined.layout.features)[-size:]
    return float(comb(joined.layout.modules, size)) * min(sum(widest), examples) ** 3


def _options(rank_by: RankerName) -> ScoreOptions:
    """The score alone: the panel of a set is not asked for."""
    return ScoreOptions(rank_by=rank_by, panel=(rank_by,))


def _scores(joined: Joined, rank_by: RankerName) -> SetScore:
    """The score of any set, worked out once; below everything where it is undefined."""
    total = joined.evidence.total
    dead = dead_modules(total, joined.layout)

    @cache
    def of(members: tuple[int, ...]) -> float:
        evidence = Evidence((subset(total, joined.layout, members, dead=dead),))
        held = evidence if rank_by in IN_ALL_DIMENSIONS else compact(evidence)
        phi = joined.feature_map(members)
        try:
            return ranker_score(rank_by, held.shards[0], k_min=phi.k_min, k_max=phi.k_max)
        except (ValueError, np.linalg.LinAlgError):
            return -np.inf

    return lambda members: of(tuple(sorted(members)))


def _judged_step(joined: Joined, step: Chosen, before: JudgedSet | None, *, rank_by: RankerName) -> JudgedSet:
    judged = _judge(joined, step.members, rank_by)
    tried = joined.layout.modules + 1 - len(step.members)
    if before is None:
        return JudgedSet(step.members, judged, None, helps=judged.p_value <= (1.0 - CONFIDENCE) / tried)
    gain = _gain(judged, before.judged, tried=tried)
    return JudgedSet(step.members, judged, gain, helps=gain is not None and gain.low > 0.0)


def _missed(joined: Joined, score: SetScore, last: JudgedSet, *, rank_by: RankerName) -> JudgedSet | None:
    """The best set as large as the last step's where it is another one, with its gain over that."""
    size = len(last.members)
    best = best_subset(score, joined.layout.modules, size=size)
    if set(best.members) == set(last.members) or best.score <= score(last.members):
        return None
    judged = _judge(joined, best.members, rank_by)
    gain = _gain(judged, last.judged, tried=comb(joined.layout.modules, size) - 1)
    return JudgedSet(best.members, judged, gain, helps=gain is not None and gain.low > 0.0)


def _judge(joined: Joined, members: Sequence[int], rank_by: RankerName) -> Judged:
    evidence = subset_evidence(joined.evidence, joined.layout, members)
    return judge(evidence, joined.feature_map(members), _options(rank_by))


def _gain(one: Judged, other: Judged, *, tried: int) -> Interval | None:
    """How much more a set scores than another, for the best of so many that were tried; None where it is unknown."""
    if one.left_out is None or other.left_out is None:
        return None
    return difference_of(one.left_out, other.left_out, level=1.0 - (1.0 - CONFIDENCE) / tried)
