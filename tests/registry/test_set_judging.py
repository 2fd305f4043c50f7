"""Steps and gains from joint statistics: what helps, what is shown not to, what greed misses, what is undefined."""

import numpy as np
import pytest

from kernel_methods.estimators.ridge import ridge_gcv
from kernel_methods.joint import JointLayout, joint_evidence
from kernel_methods.rows import unit_rows
from kernel_methods.statistics import TaskStatistics
from registry import set_judging
from registry.errors import NotScorableError
from registry.judging import judge
from registry.manifest import FeatureMap
from registry.rankings import ScoreOptions
from registry.set_judging import Joined, find_sets, search_cost

RELU, TANH = FeatureMap(activation="relu", k_min=0.0), FeatureMap(activation="tanh", k_min=-1.0)
LABELS = np.repeat(np.arange(4), 60)
BITS = np.stack([LABELS // 2, LABELS % 2], axis=1)


def joined(
    *strengths: tuple[float, float], seed: int = 0, labels: np.ndarray = LABELS, phi: FeatureMap = RELU
) -> Joined:
    """Modules of six features, in noise: how clearly each tells the one and the other half of the label."""
    draws = np.random.default_rng(seed)
    directions = np.eye(2, 6)
    blocks = [draws.normal(size=(len(LABELS), 6)) + (BITS * strength) @ directions for strength in strengths]
    shuffled = np.stack([np.random.default_rng(number).permutation(labels) for number in range(60)])
    shards = np.array_split(np.random.default_rng(1).permutation(len(LABELS)), 10)
    evidence = joint_evidence(blocks, labels, shuffled, shards=shards, classes=4)
    return Joined(evidence, JointLayout((6,) * len(blocks)), (phi,) * len(blocks))


def test_what_adds_helps_and_what_does_not_is_the_last_step() -> None:
    found = find_sets(joined((3.0, 0.0), (1.5, 0.0), (0.0, 2.0), (0.0, 0.0)), rank_by="ridge_gcv", size=4)
    assert [set(step.members) for step in found.steps[:2]] == [{0}, {0, 2}]
    assert [step.helps for step in found.steps[:2]] == [True, True]
    assert found.steps[1].gain is not None
    assert found.steps[1].gain.estimate == pytest.approx(found.steps[1].judged.score - found.steps[0].judged.score)
    assert all(step.helps for step in found.steps[:-1])
    assert found.searched


def test_the_first_step_is_judged_as_one_module_is() -> None:
    blocks_joined = joined((2.0, 0.0), (0.0, 0.1))
    first = find_sets(blocks_joined, rank_by="ridge_gcv", size=2).steps[0]
    draws = np.random.default_rng(0)
    block = draws.normal(size=(len(LABELS), 6)) + (BITS * (2.0, 0.0)) @ np.eye(2, 6)
    alone = TaskStatistics.of(unit_rows(block)[0], LABELS, classes=4)
    assert first.judged.score == pytest.approx(ridge_gcv(alone), abs=1e-10)


def test_gains_from_noise_are_rarely_called_gains() -> None:
    called = 0
    for seed in range(40):
        found = find_sets(joined((2.0, 0.0), *[(0.0, 0.0)] * 4, seed=seed), rank_by="ridge_gcv", size=2)
        assert set(found.steps[0].members) == {0}
        called += found.steps[1].helps
    assert called <= 6


def test_shuffled_labels_are_no_better_than_chance() -> None:
    helped = 0
    for seed in range(20):
        labels = np.random.default_rng(seed).permutation(LABELS)
        found = find_sets(joined((2.0, 0.0), (0.0, 2.0), labels=labels), rank_by="nearest_class_mean", size=3)
        helped += found.steps[0].helps
    assert helped <= 3


def test_what_greed_misses_is_told_with_its_gain_over_the_last_step() -> None:
    both_weakly, first, second = (0.9, 0.9), (1.1, 0.0), (0.0, 1.1)
    for seed in range(30):
        found = find_sets(joined(both_weakly, first, second, (0.0, 0.0), seed=seed), rank_by="ridge_gcv", size=2)
        if found.best is not None:
            break
    assert found.best is not None
    assert set(found.best.members) != set(found.steps[-1].members)
    assert found.best.judged.score > found.steps[-1].judged.score
    assert found.best.gain is not None
    assert found.best.gain.estimate > 0


def test_where_every_set_would_take_long_only_steps_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    some = joined((3.0, 0.0), (0.0, 2.0), (0.0, 0.0))
    assert search_cost(some, size=2) == 3 * 12**3
    monkeypatch.setattr(set_judging, "SEARCH_COST", 1.0)
    found = find_sets(some, rank_by="ridge_gcv", size=2)
    assert (found.searched, found.best) == (False, None)


def test_the_range_of_the_joint_kernel_is_the_mean_of_the_ranges() -> None:
    some = joined((3.0, 0.0), (0.0, 2.0))
    mixed = Joined(some.evidence, some.layout, (RELU, TANH))
    assert (mixed.feature_map([0, 1]).k_min, mixed.feature_map([0, 1]).k_max) == (-0.5, 1.0)
    assert mixed.feature_map([1]).k_min == -1.0


@pytest.mark.parametrize("rank_by", ["alignment", "centred_alignment", "logme", "h_score", "raw"])
def test_every_score_can_decide(rank_by) -> None:
    some = joined((3.0, 0.0), (0.0, 2.0), (0.5, 0.5))
    found = find_sets(some, rank_by=rank_by, size=3)
    best = max(
        judge(
            set_judging.subset_evidence(some.evidence, some.layout, [place]),
            RELU,
            ScoreOptions(rank_by=rank_by, panel=(rank_by,)),
        ).score
        for place in range(3)
    )
    assert found.steps[0].judged.score == pytest.approx(best)


def test_a_score_that_is_undefined_for_all_is_told() -> None:
    labels = np.zeros(8, dtype=np.int64)
    blocks = [np.random.default_rng(seed).normal(size=(8, 3)) for seed in (0, 1)]
    shards = np.array_split(np.arange(8), 4)
    evidence = joint_evidence(blocks, labels, np.stack([labels] * 20), shards=shards, classes=2)
    with pytest.raises(NotScorableError, match="ridge_gcv cannot be told from 8 examples of 2 classes"):
        find_sets(Joined(evidence, JointLayout((3, 3)), (RELU, RELU)), rank_by="ridge_gcv", size=2)


def test_too_few_examples_for_an_interval_show_no_gain() -> None:
    labels = np.array([0, 0, 0, 1, 1, 1])
    blocks = [np.random.default_rng(seed).normal(size=(6, 3)) + labels[:, None] * 3 for seed in (0, 1)]
    shards = [np.arange(3), np.arange(3, 6)]
    evidence = joint_evidence(blocks, labels, np.stack([labels] * 20), shards=shards, classes=2)
    found = find_sets(Joined(evidence, JointLayout((3, 3)), (RELU, RELU)), rank_by="nearest_class_mean", size=2)
    assert not any(step.helps for step in found.steps)
