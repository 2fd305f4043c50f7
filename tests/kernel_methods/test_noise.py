"""Calibration of noise against the slow definition, and noisy statistics that are still statistics."""

import itertools

import numpy as np
import pytest

from kernel_methods.alignment import score_by_name
from kernel_methods.noise import (
    SENSITIVITY,
    gaussian_delta,
    gaussian_mechanism,
    noise_ratio,
    noise_scale,
    on_simplex,
    with_gaussian_noise,
)
from kernel_methods.statistics import TaskStatistics, check_plausible, merge


def slow_delta(epsilon: float, ratio: float) -> float:
    """The definition: how much the density of a shifted output exceeds exp(epsilon) times the other, over the line."""
    at = np.linspace(-12 * ratio, 12 * ratio + 1, 2_000_001)
    here = np.exp(-0.5 * (at / ratio) ** 2)
    there = np.exp(-0.5 * ((at - 1) / ratio) ** 2)
    excess = np.maximum(there - np.exp(epsilon) * here, 0.0)
    return float(np.trapezoid(excess, at) / (ratio * np.sqrt(2 * np.pi)))


def unit_features(count: int, dimensions: int, *, seed: int, apart: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    draws = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    rows = draws.normal(size=(count, dimensions))
    rows[np.arange(count), labels] += apart * np.sqrt(dimensions)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True), labels


def statistics_of(count: int, dimensions: int, *, seed: int = 0, apart: float = 1.0) -> TaskStatistics:
    rows, labels = unit_features(count, dimensions, seed=seed, apart=apart)
    return TaskStatistics.of(rows, labels, classes=3)


def noisy(statistics: TaskStatistics, scale: float, *, seed: int = 0) -> TaskStatistics:
    return with_gaussian_noise(statistics, scale=scale, normal=np.random.default_rng(seed).standard_normal)


@pytest.mark.parametrize(("epsilon", "ratio"), [(0.1, 3.0), (1.0, 1.0), (1.0, 3.0), (4.0, 0.5), (10.0, 0.4)])
def test_the_delta_of_gaussian_noise_equals_its_definition(epsilon, ratio):
    assert gaussian_delta(epsilon, ratio) == pytest.approx(slow_delta(epsilon, ratio), rel=1e-5, abs=1e-13)


@pytest.mark.parametrize(
    ("epsilon", "delta"), list(itertools.product([0.01, 0.5, 1.0, 8.0, 100.0], [1e-12, 1e-6, 1e-2]))
)
def test_noise_is_just_enough(epsilon, delta):
    ratio = noise_ratio(epsilon, delta)
    assert gaussian_delta(epsilon, ratio) <= delta
    assert gaussian_delta(epsilon, 0.999 * ratio) > delta


def test_several_modules_share_the_promise():
    alone, shared = (noise_scale(epsilon=1.0, delta=1e-6, modules=modules) for modules in (1, 9))
    assert shared == pytest.approx(3 * alone)


@pytest.mark.parametrize(
    ("epsilon", "delta"), [(0.0, 1e-6), (-1.0, 1e-6), (float("nan"), 1e-6), (1.0, 0.0), (1.0, 1.0)]
)
def test_a_promise_that_nobody_can_keep_is_refused(epsilon, delta):
    with pytest.raises(ValueError, match="need epsilon"):
        noise_ratio(epsilon, delta)


def change(one: np.ndarray, other: np.ndarray) -> float:
    """How far class sums and second moment move when one image is exchanged for another of its class."""
    parts = [TaskStatistics.of(row[None, :], np.zeros(1, np.int64), classes=1) for row in (one, other)]
    sums = parts[0].class_sums - parts[1].class_sums
    moments = parts[0].second_moment - parts[1].second_moment
    return float(np.sqrt((sums**2).sum() + (moments**2).sum()))


def test_no_exchange_of_an_image_moves_statistics_further_than_the_sensitivity():
    draws = np.random.default_rng(3)
    moved = [change(*draws.normal(size=(2, 4))) for _ in range(300)]
    moved += [change(row, np.zeros(4)) for row in draws.normal(size=(20, 4))]
    assert max(moved) <= SENSITIVITY + 1e-12
    worst = change(np.array([1.0, 0.0]), np.array([-0.5, 0.75**0.5]))
    assert worst == pytest.approx(SENSITIVITY)


@pytest.mark.parametrize("scale", [1e-9, 0.1, 3.0, 1000.0])
@pytest.mark.parametrize(("count", "dimensions"), [(4, 5), (60, 5), (60, 40), (600, 12)])
def test_noisy_statistics_are_still_statistics(count, dimensions, scale):
    found = noisy(statistics_of(count, dimensions), scale)
    check_plausible(found)
    assert np.linalg.eigvalsh(found.second_moment).min() >= -1e-9 * count
    between = found.class_sums.T @ (found.class_sums / found.counts[:, None])
    assert np.linalg.eigvalsh(found.second_moment - between).min() >= -1e-9 * count
    assert np.array_equal(found.second_moment, found.second_moment.T)


def test_next_to_no_noise_changes_next_to_nothing():
    exact = statistics_of(300, 8)
    found = noisy(exact, 1e-7)
    assert np.allclose(found.class_sums, exact.class_sums, atol=1e-5)
    assert np.allclose(found.second_moment, exact.second_moment, atol=1e-5)


def test_noise_alone_is_not_taken_for_classes_that_lie_apart():
    scores = []
    for seed in range(20):
        found = noisy(statistics_of(60, 32, seed=seed), 200.0, seed=seed)
        scores.append(np.abs(found.class_sums).max())
    assert sum(score > 0 for score in scores) <= 1


@pytest.mark.parametrize("scale", [0.6, 4.0, 15.0])
def test_what_all_classes_share_does_not_set_them_apart(scale):
    draws = np.random.default_rng(int(scale))
    for _ in range(5):
        rows = np.maximum(draws.normal(size=(400, 24)) + 0.5, 0.0)
        labels = draws.permutation(np.arange(400) % 4)
        shards = [TaskStatistics.of(rows[part::4], labels[part::4], classes=4) for part in range(4)]
        drawn = [with_gaussian_noise(shard, scale=scale, normal=draws.standard_normal) for shard in shards]
        score = score_by_name("centred_alignment", merge(drawn), k_min=0.0, k_max=1.0)
        assert score < 0.02


def test_with_many_examples_the_score_is_found_again():
    exact = statistics_of(6000, 16)
    score, found = (
        score_by_name("centred_alignment", each, k_min=0.0, k_max=1.0) for each in (exact, noisy(exact, 10.0))
    )
    assert found == pytest.approx(score, abs=0.03)


def test_classes_without_examples_stay_without_sums_and_zero_rows_are_not_told():
    rows, labels = unit_features(90, 6, seed=1)
    rows[:5] = 0.0
    exact = TaskStatistics.of(rows, labels, classes=5)
    found = noisy(exact, 0.5)
    assert np.array_equal(found.counts, exact.counts)
    assert np.all(found.class_sums[3:] == 0.0)
    assert found.zeros.sum() == 0
    check_plausible(found)


def test_the_noise_is_as_strong_as_is_said():
    exact = TaskStatistics.of(*unit_features(90, 60, seed=0), classes=4)
    sums, moment = gaussian_mechanism(exact, scale=2.0, normal=np.random.default_rng(0).standard_normal)
    added = moment - exact.second_moment
    assert np.array_equal(moment, moment.T)
    assert np.diag(added).std() == pytest.approx(2.0, rel=0.3)
    assert added[np.triu_indices(60, 1)].std() == pytest.approx(2.0 * 0.5**0.5, rel=0.1)
    assert (sums - exact.class_sums)[:3].std() == pytest.approx(2.0, rel=0.2)
    assert np.all(sums[3] == 0.0)


def test_without_a_scale_there_is_no_noise_to_add():
    with pytest.raises(ValueError, match="scale above 0"):
        noisy(statistics_of(6, 3), 0.0)


def test_the_nearest_point_of_the_simplex_is_nearest():
    draws = np.random.default_rng(5)
    values = draws.normal(size=6)
    nearest = on_simplex(values, total=2.0)
    assert nearest.min() >= 0.0
    assert nearest.sum() == pytest.approx(2.0)
    others = 2.0 * draws.dirichlet(np.ones(6), size=5000)
    assert np.linalg.norm(nearest - values) <= np.linalg.norm(others - values, axis=1).min()
