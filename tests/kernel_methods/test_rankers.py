"""What decides a ranking: its chance level against labels that were really shuffled, and its doubt."""

from typing import get_args

import numpy as np
import pytest

from kernel_methods import shuffles
from kernel_methods.estimators.ridge import Regression, ridge_gcv
from kernel_methods.kernels import RankerName
from kernel_methods.rankers import SLOW_SHUFFLES, left_out, ranker_chance, ranker_score
from kernel_methods.shuffles import ShuffledSums, drawn_shuffles
from kernel_methods.statistics import TaskStatistics, merge
from tests.kernel_methods.drawing import clustered

RANKERS: tuple[RankerName, ...] = (
    "ridge_gcv",
    "logme",
    "h_score",
    "nearest_class_mean",
    "centred_alignment",
    "alignment",
    "upper_triangle_alignment",
    "negative_mean_squared_error",
    "raw",
)
RANGE = {"k_min": 0.0, "k_max": 1.0}


def statistics(features, labels):
    return TaskStatistics.of(features, labels, classes=int(labels.max()) + 1)


def dealt(labels, count, *, seed):
    generator = np.random.default_rng(seed)
    return np.stack([generator.permutation(labels) for _ in range(count)])


def unit(features):
    return features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)


def without_meaning(seed, *, examples, rare, dimensions=16):
    """Unit features drawn without regard to the labels, of which about so many are of the first class."""
    generator = np.random.default_rng(seed)
    features = np.maximum(generator.normal(size=(examples, dimensions)) + 0.5, 0.0)
    rare += seed % 3 - 1
    return unit(features), generator.permutation((np.arange(examples) >= rare).astype(np.int64))


def test_every_ranker_is_tested_here():
    assert set(RANKERS) == {name for kind in get_args(RankerName) for name in (get_args(kind) or (kind,))}


@pytest.mark.parametrize("name", RANKERS)
@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(80, 10, 2), (30, 50, 4)])
def test_the_chance_level_is_that_of_scores_computed_for_every_shuffle(name, examples, dimensions, classes):
    features, labels = clustered(1, examples=examples, dimensions=dimensions, classes=classes, zero_rows=2)
    shuffled = dealt(labels, SLOW_SHUFFLES, seed=2)
    sums = ShuffledSums.of(unit(features), shuffled, classes=classes)
    chance = ranker_chance(name, statistics(features, labels), sums, **RANGE)
    slow = [ranker_score(name, statistics(features, each), **RANGE) for each in shuffled]
    assert chance.mean == pytest.approx(np.mean(slow), abs=1e-8)
    assert chance.quantile == pytest.approx(np.quantile(slow, 0.95, method="higher"), abs=1e-8)


@pytest.mark.parametrize("name", ["ridge_gcv", "logme", "h_score", "nearest_class_mean"])
def test_a_score_that_shuffles_reach_has_the_share_that_reach_it(name):
    features, labels = without_meaning(3, examples=60, rare=30)
    shuffled = dealt(labels, SLOW_SHUFFLES, seed=4)
    score = ranker_score(name, statistics(features, labels), **RANGE)
    reached = sum(ranker_score(name, statistics(features, each), **RANGE) >= score for each in shuffled)
    sums = ShuffledSums.of(features, shuffled, classes=2)
    assert reached > 0
    chance = ranker_chance(name, statistics(features, labels), sums, **RANGE)
    assert chance.p_value == (1 + reached) / (1 + SLOW_SHUFFLES)


@pytest.mark.parametrize(
    ("name", "examples", "rare"),
    [
        ("ridge_gcv", 100, 50),
        ("ridge_gcv", 100, 5),
        ("ridge_gcv", 24, 12),
        ("nearest_class_mean", 100, 5),
        ("h_score", 24, 12),
    ],
)
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "drawn"])
def test_labels_that_mean_nothing_beat_chance_one_time_in_twenty(name, examples, rare, kept):
    p_values = []
    for seed in range(200):
        features, labels = without_meaning(seed, examples=examples, rare=rare)
        sums = ShuffledSums.of(features, dealt(labels, SLOW_SHUFFLES, seed=seed + 1000), classes=2) if kept else None
        p_values.append(ranker_chance(name, statistics(features, labels), sums, **RANGE).p_value)
    for level, most in ((0.05, 0.075), (0.01, 0.025), (0.001, 0.01)):
        assert np.mean(np.array(p_values) <= level) <= most


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "drawn"])
@pytest.mark.parametrize("name", RANKERS)
def test_classes_that_mean_something_beat_chance_by_far(name, kept):
    features, labels = clustered(5, examples=200, dimensions=30, classes=3, separation=1.5)
    sums = ShuffledSums.of(unit(features), dealt(labels, SLOW_SHUFFLES, seed=6), classes=3) if kept else None
    stats = statistics(features, labels)
    chance = ranker_chance(name, stats, sums, **RANGE)
    assert chance.p_value < 1e-3
    assert chance.mean <= chance.quantile < ranker_score(name, stats, **RANGE)


@pytest.mark.parametrize("name", RANKERS)
def test_the_same_statistics_have_the_same_chance_level(name):
    stats = statistics(*clustered(7, examples=60, dimensions=8, classes=3))
    assert ranker_chance(name, stats, None, **RANGE) == ranker_chance(name, stats, None, **RANGE)


@pytest.mark.parametrize("name", ["ridge_gcv", "logme", "h_score", "nearest_class_mean"])
def test_features_that_are_all_the_same_are_no_better_than_chance(name):
    stats = statistics(np.ones((20, 3)), np.arange(20) % 2)
    assert ranker_chance(name, stats, None, **RANGE).p_value == 1.0


@pytest.mark.parametrize("name", ["ridge_gcv", "logme", "h_score", "nearest_class_mean"])
def test_a_stranger_who_sends_one_shuffle_gets_a_chance_level_too(name):
    features, labels = clustered(8, examples=40, dimensions=6, classes=2, separation=2.0)
    sums = ShuffledSums.of(unit(features), dealt(labels, 1, seed=9), classes=2)
    assert ranker_chance(name, statistics(features, labels), sums, **RANGE).p_value == 0.5


def test_shuffles_of_other_features_are_refused():
    stats = statistics(*clustered(8, examples=40, dimensions=6, classes=2))
    others = ShuffledSums(np.zeros((3, 2, 5)), np.zeros((3, 2), np.int64))
    with pytest.raises(ValueError, match=r"shuffles of \(2, 5\) for statistics of \(2, 6\)"):
        ranker_chance("ridge_gcv", stats, others, **RANGE)


@pytest.mark.parametrize("name", RANKERS)
def test_one_class_has_no_chance_level(name):
    with pytest.raises(ValueError, match=r"^undefined: "):
        ranker_chance(name, TaskStatistics.of(np.eye(6), np.zeros(6, np.int64), classes=2), None, **RANGE)


@pytest.mark.parametrize("name", RANKERS)
def test_leaving_a_shard_out_gives_the_score_of_the_others(name):
    features, labels = clustered(10, examples=400, dimensions=12, classes=3)
    shards = [TaskStatistics.of(features[part::10], labels[part::10], classes=3) for part in range(10)]
    without = left_out(name, shards, **RANGE)
    slow = [ranker_score(name, merge(shards[:part] + shards[part + 1 :]), **RANGE) for part in range(10)]
    assert without.total == pytest.approx(ranker_score(name, merge(shards), **RANGE), abs=1e-10)
    np.testing.assert_allclose(without.left, slow, atol=2e-3 if name == "ridge_gcv" else 1e-9)


def flat(shuffled):
    return shuffled.sums.reshape(len(shuffled.sums), -1)


@pytest.mark.parametrize(("examples", "dimensions", "counts"), [(60, 3, (30, 20, 10)), (12, 20, (6, 6))])
def test_drawn_sums_have_the_mean_and_the_covariance_of_shuffled_ones(examples, dimensions, counts):
    features = unit(np.abs(np.random.default_rng(11).normal(size=(examples, dimensions))))
    labels = np.repeat(np.arange(len(counts)), counts)
    stats = statistics(features, labels)
    centred = features - features.mean(axis=0)
    sizes = np.array(counts, np.float64)
    between = (np.diag(sizes) - np.outer(sizes, sizes) / examples) / (examples - 1)
    exact = np.kron(between, centred.T @ centred)
    draws = flat(drawn_shuffles(stats, 20_000, np.random.default_rng(12)))
    really = flat(ShuffledSums.of(features, dealt(labels, 20_000, seed=13), classes=len(counts)))
    scale = np.abs(exact).max()
    for sums in (draws, really):
        np.testing.assert_allclose(sums.mean(axis=0), np.outer(sizes, features.mean(axis=0)).ravel(), atol=0.05)
        np.testing.assert_allclose(np.cov(sums.T), exact, atol=0.05 * scale)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(10, 40, 2), (30, 30, 7), (16, 15, 3)])
def test_drawn_sums_explain_no_more_than_there_is(examples, dimensions, classes):
    features, labels = clustered(14, examples=examples, dimensions=dimensions, classes=classes)
    stats = statistics(features, labels)
    regression = Regression.of(stats)
    values, directions = np.linalg.eigh(regression.second_moment)
    spans = values > 1e-10
    centred = drawn_shuffles(stats, 50, np.random.default_rng(15)).sums - np.outer(regression.counts, regression.mean)
    explained = ((centred @ directions[:, spans]) ** 2 / values[spans]).sum(axis=(1, 2))
    assert np.all(explained <= regression.spread * (1.0 + 1e-9))
    if spans.sum() == examples - 1:
        np.testing.assert_allclose(explained, regression.spread, rtol=1e-9)


def test_drawn_sums_deal_all_rows():
    stats = statistics(*clustered(16, examples=50, dimensions=30, classes=3, zero_rows=3))
    drawn = drawn_shuffles(stats, 25, np.random.default_rng(17))
    np.testing.assert_allclose(drawn.sums.sum(axis=1), np.tile(stats.class_sums.sum(axis=0), (25, 1)), atol=1e-9)
    assert drawn.zeros.sum(axis=1).tolist() == [3] * 25


@pytest.mark.parametrize(("limit_bytes", "drawn"), [(1 << 30, 40), (15 * 8 * 12, 15), (8, 10)])
def test_drawn_sums_are_few_where_they_are_large(monkeypatch, limit_bytes, drawn):
    monkeypatch.setattr(shuffles, "DRAWN_BYTES", limit_bytes)
    stats = statistics(*clustered(16, examples=50, dimensions=4, classes=3))
    assert len(drawn_shuffles(stats, 40, np.random.default_rng(18)).sums) == drawn


@pytest.mark.parametrize("examples", [0, 1, 3])
def test_labels_of_one_class_cannot_be_shuffled(examples):
    one = TaskStatistics.of(np.eye(3)[:examples], np.zeros(examples, np.int64), classes=2)
    with pytest.raises(ValueError, match=r"^undefined: a score needs examples of two classes"):
        drawn_shuffles(one, 10, np.random.default_rng(0))


def test_sums_in_single_precision_give_the_same_chance_level():
    features, labels = clustered(19, examples=300, dimensions=40, classes=5)
    stats = statistics(features, labels)
    exact = ShuffledSums.of(unit(features), dealt(labels, 60, seed=20), classes=5)
    rounded = ShuffledSums(exact.sums.astype(np.float32), exact.zeros)
    for name in RANKERS:
        found = ranker_chance(name, stats, rounded, **RANGE)
        assert found.quantile == pytest.approx(ranker_chance(name, stats, exact, **RANGE).quantile, abs=1e-4)
    assert ridge_gcv(stats) > found.mean
