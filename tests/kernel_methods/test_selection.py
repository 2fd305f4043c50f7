"""Choosing a few of several: forward steps against every set, and what greed misses."""

from itertools import combinations, islice

import numpy as np
import pytest

from kernel_methods.estimators.ridge import ridge_gcv
from kernel_methods.joint import JointLayout, joint_evidence, subset
from kernel_methods.selection import best_subset, forward_selection
from kernel_methods.statistics import merge


def additive(worths: list[float]):
    """Candidates that do not depend on each other."""
    return lambda members: sum(worths[place] for place in members)


def test_forward_steps_are_the_best_sets_where_candidates_do_not_depend_on_each_other() -> None:
    worths = [0.3, 0.9, 0.1, 0.5, 0.7]
    score = additive(worths)
    steps = list(forward_selection(score, 5, size=4))
    assert [step.members for step in steps] == [(1,), (1, 4), (1, 4, 3), (1, 4, 3, 0)]
    for step in steps:
        best = best_subset(score, 5, size=len(step.members))
        assert set(best.members) == set(step.members)
        assert best.score == pytest.approx(step.score)


def test_what_greed_misses_every_set_finds() -> None:
    worth = {frozenset({0, 1}): 1.0}

    def score(members: tuple[int, ...]) -> float:
        return worth.get(frozenset(members), 0.5 if 2 in members else 0.1)

    assert [step.members for step in forward_selection(score, 3, size=2)] == [(2,), (2, 0)]
    assert best_subset(score, 3, size=2) == ((0, 1), 1.0)


def test_steps_are_made_when_they_are_asked_for() -> None:
    asked: list[tuple[int, ...]] = []

    def score(members: tuple[int, ...]) -> float:
        asked.append(members)
        return 0.0

    assert [step.members for step in islice(forward_selection(score, 4, size=3), 1)] == [(0,)]
    assert asked == [(0,), (1,), (2,), (3,)]


def test_there_are_no_more_steps_than_candidates_and_no_set_that_is_larger() -> None:
    assert len(list(forward_selection(additive([1.0, 2.0]), 2, size=4))) == 2
    with pytest.raises(ValueError, match="no set of 3 among 2"):
        best_subset(additive([1.0, 2.0]), 2, size=3)


def test_on_joint_statistics_both_find_the_module_that_adds_what_the_best_lacks() -> None:
    draws = np.random.default_rng(0)
    labels = np.repeat(np.arange(4), 50)
    rows = labels // 2, labels % 2
    noise = [draws.normal(size=(200, 6)) for _ in range(4)]
    told = [(2.0, 0), (1.2, 0), (0.8, 1), (0.0, 1)]  # how clearly, and of which half of the label
    blocks = [block + strength * rows[half][:, None] for block, (strength, half) in zip(noise, told, strict=True)]
    shards = [np.arange(200)]
    evidence = joint_evidence(blocks, labels, labels[None], shards=shards, classes=4)
    total, layout = merge(evidence.shards), JointLayout((6,) * 4)

    def score(members: tuple[int, ...]) -> float:
        return ridge_gcv(subset(total, layout, members))

    *_, pair = forward_selection(score, 4, size=2)
    slow = {chosen: score(chosen) for chosen in combinations(range(4), 2)}
    assert set(pair.members) == set(max(slow, key=slow.__getitem__)) == {0, 2}
    assert best_subset(score, 4, size=2).score == pytest.approx(pair.score)
