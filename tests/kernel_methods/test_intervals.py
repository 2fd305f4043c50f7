import itertools
import math
from functools import partial

import numpy as np
import pytest

from kernel_methods.alignment import centred_alignment, score_by_name
from kernel_methods.centring import centre
from kernel_methods.intervals import Chance, chance_level, jackknife_interval, paired_difference
from kernel_methods.shuffling import Weights, shuffled_energy
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import clustered

NAMES = ["alignment", "upper_triangle_alignment", "centred_alignment", "negative_mean_squared_error", "raw"]


def population(seed, *, examples, dimensions=20, classes=3, noise=1.0):
    """A new sample of one and the same population, cut into ten shards."""
    centres = 0.5 * np.random.default_rng(0).standard_normal((classes, dimensions))
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, classes, examples)
    features = np.maximum(centres[labels] + noise * draw.standard_normal((examples, dimensions)), 0.0)
    return [TaskStatistics.of(features[i::10], labels[i::10], classes=classes) for i in range(10)]


def score_of(name):
    return partial(score_by_name, name, k_min=0.0, k_max=1.0)


def coverage(name, *, samples, examples):
    """Share of samples whose interval holds the mean score of all samples."""
    intervals = [jackknife_interval(population(seed, examples=examples), score_of(name)) for seed in range(samples)]
    truth = np.mean([interval.estimate for interval in intervals])
    return np.mean([interval.low <= truth <= interval.high for interval in intervals])


@pytest.mark.parametrize("name", ["alignment", "centred_alignment"])
def test_intervals_hold_the_true_score_about_as_often_as_they_say(name):
    assert 0.90 <= coverage(name, samples=200, examples=150) <= 0.995


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("examples", [100, 400])
def test_intervals_of_every_score_hold_the_true_score_as_often_as_they_say(name, examples):
    assert 0.93 <= coverage(name, samples=1500, examples=examples) <= 0.99


def test_the_jackknife_of_a_mean_is_the_textbook_standard_error():
    """The share of zero rows is a mean over examples; with one example a shard its error is s / sqrt(n)."""
    zero = np.array([1, 0, 0, 1, 0, 0, 0, 1])
    shards = [
        TaskStatistics.of(np.array([[1.0 - value, 0.0]]), np.array([i % 2]), classes=2) for i, value in enumerate(zero)
    ]
    interval = jackknife_interval(shards, lambda stats: stats.zeros.sum() / stats.examples)
    assert interval.estimate == 0.375
    assert interval.standard_error == pytest.approx(zero.std(ddof=1) / math.sqrt(8), abs=1e-12)
    assert interval.high - interval.estimate == pytest.approx(interval.standard_error * 2.364624, rel=1e-6)


def test_shards_of_unequal_size_count_by_their_size():
    draw = np.random.default_rng(0)
    zero = draw.random(3000) < 0.3
    cuts = np.split(np.arange(3000), [100, 300, 700, 800, 1400, 1500, 2100, 2500, 2600])
    rows = np.where(zero, 0.0, 1.0)[:, None]
    shards = [TaskStatistics.of(rows[cut], np.zeros(len(cut), np.int64), classes=1) for cut in cuts]
    interval = jackknife_interval(shards, lambda stats: stats.zeros.sum() / stats.examples)
    assert interval.standard_error == pytest.approx(math.sqrt(0.21 / 3000), rel=0.5)


def test_a_higher_level_gives_a_wider_interval_about_the_score_of_all():
    shards = population(0, examples=200)
    narrow, wide = (jackknife_interval(shards, centred_alignment, level=level) for level in (0.8, 0.99))
    assert narrow.estimate == wide.estimate == pytest.approx(centred_alignment(sum_of(shards)), abs=0.0)
    assert wide.low < narrow.low < narrow.estimate < narrow.high < wide.high


def sum_of(shards):
    total = shards[0]
    for shard in shards[1:]:
        total = total + shard
    return total


def test_empty_shards_are_passed_over():
    shards = population(0, examples=200)
    padded = [*shards[:4], TaskStatistics.empty(3, 20), *shards[4:]]
    assert jackknife_interval(padded, centred_alignment) == jackknife_interval(shards, centred_alignment)


def test_one_shard_has_no_interval():
    with pytest.raises(ValueError, match="two shards with examples, got 1 of 2"):
        jackknife_interval([population(0, examples=200)[0], TaskStatistics.empty(3, 20)], centred_alignment)


@pytest.mark.parametrize("level", [0.0, 1.0, 95.0, float("nan")])
def test_a_level_that_is_no_probability_is_refused(level):
    shards = population(0, examples=200)
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        jackknife_interval(shards, centred_alignment, level=level)
    with pytest.raises(ValueError, match=r"level must be in \(0, 1\)"):
        chance_level(shards[0], name="raw", k_min=0.0, k_max=1.0, level=level)


def test_a_module_ties_with_itself_and_beats_a_worse_one():
    good, bad = (population(1, examples=300, noise=noise) for noise in (0.5, 3.0))
    same = paired_difference(good, good, centred_alignment, centred_alignment)
    assert same == (0.0, 0.0, 0.0, 0.0)
    ahead = paired_difference(good, bad, centred_alignment, centred_alignment)
    behind = paired_difference(bad, good, centred_alignment, centred_alignment)
    assert 0.0 < ahead.low < ahead.estimate
    assert behind.high == pytest.approx(-ahead.low, abs=1e-12)


def test_a_difference_on_the_same_shards_is_surer_than_two_intervals():
    one, other = (population(2, examples=300, noise=noise) for noise in (1.0, 1.05))
    paired = paired_difference(one, other, centred_alignment, centred_alignment).standard_error
    apart = [jackknife_interval(side, centred_alignment).standard_error for side in (one, other)]
    assert paired < 0.8 * math.hypot(*apart)


def test_shards_of_other_examples_are_not_paired():
    one, other = population(0, examples=200), population(0, examples=300)
    with pytest.raises(ValueError, match="same shards"):
        paired_difference(one, other, centred_alignment, centred_alignment)


@pytest.mark.parametrize("weights", [Weights(2.0, 0.0), Weights(-0.8, 0.4)])
@pytest.mark.parametrize("labels", [[0, 0, 0, 0, 1, 1, 2], [0, 0, 0, 1, 1, 1, 2]])
def test_mean_and_variance_of_the_energy_equal_those_of_all_permutations(weights, labels):
    features, _ = clustered(0, examples=7, dimensions=3, classes=2, zero_rows=1)
    orders = itertools.permutations(labels)
    energies = []
    for order in set(orders):
        stats = TaskStatistics.of(features, np.array(order), classes=3)
        energies.append(shuffled_energy(centre(stats), weights).observed)
    expected = shuffled_energy(centre(stats), weights)
    assert expected.mean == pytest.approx(np.mean(energies), abs=1e-12)
    assert expected.variance == pytest.approx(np.var(energies), abs=1e-12)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("examples", "dimensions"), [(90, 10), (60, 100)])
def test_chance_is_what_shuffled_labels_score(name, examples, dimensions):
    features, labels = clustered(4, examples=examples, dimensions=dimensions, classes=4, zero_rows=3)
    stats = TaskStatistics.of(features, labels, classes=4)
    chance = chance_level(stats, name=name, k_min=-0.5, k_max=1.0)
    draw, scores = np.random.default_rng(0), []
    for _ in range(400):
        shuffled = TaskStatistics.of(features, draw.permutation(labels), classes=4)
        scores.append(score_of_shuffled(name, shuffled))
    assert abs(np.mean(scores) - chance.mean) < 4 * np.std(scores) / math.sqrt(400)
    assert 0.02 < np.mean(np.array(scores) > chance.quantile) < 0.09
    observed = np.mean(np.array(scores) >= score_of_shuffled(name, stats))
    assert chance.p_value == pytest.approx(observed, abs=0.08)


def score_of_shuffled(name, stats):
    return score_by_name(name, stats, k_min=-0.5, k_max=1.0)


def test_debiased_centred_alignment_is_zero_by_chance():
    features, labels = clustered(5, examples=80, dimensions=40, classes=5, zero_rows=4)
    stats = TaskStatistics.of(features, labels, classes=5)
    assert chance_level(stats, name="centred_alignment", k_min=0.0, k_max=1.0).mean == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("name", ["alignment", "centred_alignment"])
@pytest.mark.parametrize("separation", [0.0, 2.0])
def test_modules_that_know_nothing_of_the_labels_are_called_better_than_chance_one_time_in_twenty(name, separation):
    """Features with clusters that have nothing to do with the labels, and without clusters."""
    calls = []
    for seed in range(400):
        features, _ = clustered(seed, examples=60, dimensions=16, classes=4, separation=separation)
        labels = np.random.default_rng(seed + 10_000).choice(3, 60, p=[0.5, 0.3, 0.2])
        stats = TaskStatistics.of(features, labels, classes=3)
        calls.append(chance_level(stats, name=name, k_min=0.0, k_max=1.0).p_value <= 0.05)
    assert 0.02 <= np.mean(calls) <= 0.07


@pytest.mark.parametrize("name", NAMES)
def test_features_that_tell_classes_apart_are_better_than_chance(name):
    chance = chance_level(sum_of(population(0, examples=200)), name=name, k_min=0.0, k_max=1.0)
    assert chance.p_value < 1e-6
    assert chance.mean < chance.quantile < score_of(name)(sum_of(population(0, examples=200)))


@pytest.mark.parametrize("name", NAMES)
def test_features_of_zeros_are_chance(name):
    stats = TaskStatistics.of(np.zeros((6, 3)), np.array([0, 0, 1, 1, 2, 2]), classes=3)
    chance = chance_level(stats, name=name, k_min=0.0, k_max=1.0)
    assert chance == Chance(chance.mean, chance.mean, 1.0, None)


def test_three_examples_have_no_chance_level():
    stats = TaskStatistics.of(np.eye(3), np.array([0, 0, 1]), classes=2)
    with pytest.raises(ValueError, match="undefined: a chance level needs 4 examples, got 3"):
        chance_level(stats, name="alignment", k_min=0.0, k_max=1.0)
