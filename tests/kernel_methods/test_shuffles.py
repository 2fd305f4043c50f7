"""Chance levels from real shuffles, against scores computed anew for every shuffle."""

import numpy as np
import pytest
import torch

from kernel_methods.accumulate import ShuffledAccumulator
from kernel_methods.alignment import score_by_name
from kernel_methods.evidence import Evidence
from kernel_methods.intervals import chance_of_shuffles
from kernel_methods.kernels import ScoreName
from kernel_methods.shuffles import ShuffledSums, shuffle_count
from kernel_methods.statistics import TaskStatistics

SCORES: list[ScoreName] = [
    "alignment",
    "upper_triangle_alignment",
    "centred_alignment",
    "negative_mean_squared_error",
    "raw",
]


def unbalanced(seed: int, *, minority: int, zeros: int, count: int = 150) -> tuple[np.ndarray, np.ndarray]:
    """Features that say nothing about the labels, some rows zero, one class small."""
    draws = np.random.default_rng(seed)
    features = np.abs(draws.normal(size=(count, 12)) + 2.0)
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    features[:zeros] = 0.0
    labels = np.zeros(count, dtype=np.int64)
    labels[draws.choice(count, minority, replace=False)] = 1
    return features, labels


def shuffles_of(labels: np.ndarray, count: int, seed: int) -> np.ndarray:
    draws = np.random.default_rng(seed)
    return np.stack([draws.permutation(labels) for _ in range(count)])


@pytest.mark.parametrize("name", SCORES)
def test_the_quantile_is_that_of_scores_computed_for_every_shuffle(name: ScoreName) -> None:
    features, labels = unbalanced(0, minority=6, zeros=3)
    shuffled = shuffles_of(labels, 99, seed=1)
    chance = chance_of_shuffles(
        TaskStatistics.of(features, labels, classes=2),
        ShuffledSums.of(features, shuffled, classes=2),
        name=name,
        k_min=0.0,
        k_max=1.0,
    )
    slow = [
        score_by_name(name, TaskStatistics.of(features, dealt, classes=2), k_min=0.0, k_max=1.0) for dealt in shuffled
    ]
    assert chance.quantile == pytest.approx(float(np.quantile(slow, 0.95, method="higher")), abs=1e-9)
    assert chance.mean == pytest.approx(float(np.mean(slow)), abs=1e-9)


@pytest.mark.parametrize(("minority", "zeros"), [(3, 2), (8, 2), (20, 2), (75, 0)])
def test_labels_that_mean_nothing_beat_chance_one_time_in_twenty(minority: int, zeros: int) -> None:
    beaten = []
    for seed in range(200):
        features, labels = unbalanced(seed, minority=minority, zeros=zeros)
        chance = chance_of_shuffles(
            TaskStatistics.of(features, labels, classes=2),
            ShuffledSums.of(features, shuffles_of(labels, 99, seed=seed + 1000), classes=2),
            name="centred_alignment",
            k_min=0.0,
            k_max=1.0,
        )
        beaten.append(chance.p_value <= 0.05)
    assert np.mean(beaten) <= 0.10


def test_classes_that_mean_something_beat_every_shuffle() -> None:
    labels = np.arange(60) % 3
    features = np.eye(3)[labels]
    chance = chance_of_shuffles(
        TaskStatistics.of(features, labels, classes=3),
        ShuffledSums.of(features, shuffles_of(labels, 50, seed=0), classes=3),
        name="centred_alignment",
        k_min=0.0,
        k_max=1.0,
    )
    assert chance.p_value < 1e-6
    assert chance.quantile < 0.2


def test_merging_classes_and_shuffling_commute() -> None:
    features, labels = unbalanced(2, minority=30, zeros=1)
    labels = labels + 2 * (np.arange(len(labels)) % 2)
    shuffled = shuffles_of(labels, 20, seed=3)
    merged = ShuffledSums.of(features, shuffled, classes=4).merge_classes([[0, 3], [1, 2]])
    place = np.array([0, 1, 1, 0])
    direct = ShuffledSums.of(features, place[shuffled], classes=2)
    np.testing.assert_allclose(merged.sums, direct.sums, atol=1e-9)
    np.testing.assert_array_equal(merged.zeros, direct.zeros)


def test_the_accumulator_gives_the_same_in_batches() -> None:
    features, labels = unbalanced(4, minority=20, zeros=2)
    shuffled = shuffles_of(labels, 30, seed=5)
    sums = ShuffledAccumulator(30, 2, features.shape[1], device="cpu")
    for part in np.array_split(np.arange(len(labels)), 4):
        sums.add(torch.from_numpy(features[part]), torch.from_numpy(shuffled[:, part]))
    slow, fast = ShuffledSums.of(features, shuffled, classes=2), sums.finish()
    np.testing.assert_allclose(fast.sums, slow.sums, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(fast.zeros, slow.zeros)


def evidence() -> Evidence:
    features, labels = unbalanced(6, minority=20, zeros=2)
    shards = tuple(TaskStatistics.of(features[part::2], labels[part::2], classes=2) for part in range(2))
    return Evidence(shards, ShuffledSums.of(features, shuffles_of(labels, 20, seed=7), classes=2))


def test_evidence_comes_back_from_its_bytes() -> None:
    kept = evidence()
    back = Evidence.from_bytes(kept.to_bytes(), limit_bytes=10**7)
    assert back.shuffled is not None
    assert kept.shuffled is not None
    np.testing.assert_allclose(back.shuffled.sums, kept.shuffled.sums, rtol=1e-6)
    assert back.to_bytes() == kept.to_bytes()
    assert Evidence.from_bytes(Evidence(kept.shards).to_bytes(), limit_bytes=10**7).shuffled is None


def test_evidence_of_two_sets_of_examples_adds() -> None:
    features, labels = unbalanced(8, minority=40, zeros=2)
    shuffled = shuffles_of(labels, 20, seed=9)
    parts = [np.arange(len(labels)) % 4 == part for part in range(4)]
    shards = [TaskStatistics.of(features[part], labels[part], classes=2) for part in parts]
    sums = [ShuffledSums.of(features[part], shuffled[:, part], classes=2) for part in parts]
    one = Evidence((shards[0], shards[1]), sums[0] + sums[1])
    other = Evidence((shards[2], shards[3]), sums[2] + sums[3])
    both = one + other
    np.testing.assert_allclose(both.shards[0].second_moment, (shards[0] + shards[2]).second_moment)
    assert both.shuffled is not None
    np.testing.assert_allclose(both.shuffled.sums, ShuffledSums.of(features, shuffled, classes=2).sums, atol=1e-9)
    assert (one + Evidence(other.shards)).shuffled is None
    with pytest.raises(ValueError, match="2 shards does not add to that in 1"):
        one + Evidence((shards[2],))


def test_shuffles_of_other_rows_are_refused() -> None:
    kept = evidence()
    assert kept.shuffled is not None
    for lie in (
        ShuffledSums(2.0 * kept.shuffled.sums, kept.shuffled.zeros),
        ShuffledSums(kept.shuffled.sums, kept.shuffled.zeros + 1),
        ShuffledSums(kept.shuffled.sums + 200.0 * np.array([[[1.0], [-1.0]]]), kept.shuffled.zeros),
    ):
        with pytest.raises(ValueError, match="shuffle"):
            Evidence.from_bytes(Evidence(kept.shards, lie).to_bytes(), limit_bytes=10**7)


def test_the_number_of_shuffles_is_bounded_by_memory() -> None:
    assert shuffle_count(classes=10, dimensions=512) == 200
    assert 40 <= shuffle_count(classes=50, dimensions=2048) < 200
    assert shuffle_count(classes=100, dimensions=2048) == 0
    assert shuffle_count(classes=1000, dimensions=2048) == 0
