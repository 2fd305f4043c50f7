"""Fewer dimensions where there are fewer examples than features: nothing that sees inner products may notice."""

import numpy as np
import pytest

from kernel_methods.compaction import compact, range_of
from kernel_methods.estimators.neo import raw_neo
from kernel_methods.estimators.ridge import ridge
from kernel_methods.evidence import Evidence
from kernel_methods.factors import factor_of
from kernel_methods.rankers import left_out, ranker_chance, ranker_score
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics, merge
from tests.kernel_methods.drawing import clustered
from tests.kernel_methods.estimators import slow
from tests.kernel_methods.test_rankers import RANKERS

ROTATABLE = [name for name in RANKERS if name != "h_score"]
RANGE = {"k_min": 0.0, "k_max": 1.0}
SIZES = [(30, 61, 2), (30, 500, 4), (100, 1000, 10), (8, 40, 2)]


def evidence_of(examples, dimensions, classes, *, twins=0, shards=4):
    """Evidence of features some of which are the same, so that they span less than there are examples."""
    features, labels = clustered(1, examples=examples, dimensions=dimensions, classes=classes, zero_rows=1)
    features[examples - twins :] = features[:twins]
    rows = slow.unit(features)
    dealt = np.stack([np.random.default_rng(seed).permutation(labels) for seed in range(20)])
    parts = [slice(part, None, shards) for part in range(shards)]
    return Evidence(
        tuple(TaskStatistics.of(rows[part], labels[part], classes=classes) for part in parts),
        ShuffledSums.of(rows, dealt, classes=classes),
    )


@pytest.mark.parametrize("name", ROTATABLE)
@pytest.mark.parametrize(("examples", "dimensions", "classes"), SIZES)
@pytest.mark.parametrize("twins", [0, 3])
def test_every_score_but_the_shrunk_h_score_is_as_it_was(name, examples, dimensions, classes, twins):
    whole = evidence_of(examples, dimensions, classes, twins=twins)
    small = compact(whole)
    assert small.shards[0].dimensions <= examples < dimensions
    before = ranker_score(name, merge(whole.shards), **RANGE)
    assert ranker_score(name, merge(small.shards), **RANGE) == pytest.approx(before, abs=1e-10)


@pytest.mark.parametrize("name", ROTATABLE)
def test_the_doubt_of_every_score_is_as_it_was(name):
    whole = evidence_of(60, 200, 3)
    small = compact(whole)
    before, after = left_out(name, whole.shards, **RANGE), left_out(name, small.shards, **RANGE)
    np.testing.assert_allclose(after.left, before.left, atol=1e-10)
    before = ranker_chance(name, merge(whole.shards), whole.shuffled, **RANGE)
    after = ranker_chance(name, merge(small.shards), small.shuffled, **RANGE)
    np.testing.assert_allclose(after[:3], before[:3], rtol=1e-6, atol=1e-10)
    np.testing.assert_allclose(after.scores, before.scores, rtol=1e-6, atol=1e-10)


def test_the_other_estimators_of_statistics_are_as_they_were():
    whole = evidence_of(60, 200, 3)
    small = compact(whole)
    assert ridge(small.shards) == pytest.approx(ridge(whole.shards), abs=1e-10)
    before = raw_neo(merge(whole.shards), **RANGE)
    assert raw_neo(merge(small.shards), **RANGE) == pytest.approx(before, abs=1e-10)


def test_counts_stay_and_class_moments_go():
    features, labels = clustered(2, examples=12, dimensions=50, classes=2)
    stats = TaskStatistics.of(features, labels, classes=3, class_moments=True)
    (small,) = compact(Evidence((stats,))).shards
    np.testing.assert_array_equal(small.counts, stats.counts)
    np.testing.assert_array_equal(small.zeros, stats.zeros)
    assert small.class_moments is None
    assert compact(Evidence((stats,))).shuffled is None


@pytest.mark.parametrize("examples", [0, 26, 400])
def test_evidence_that_would_hardly_shrink_is_itself(examples):
    features, labels = np.ones((examples, 50)), np.arange(examples) % 2
    whole = Evidence((TaskStatistics.of(features, labels, classes=2),))
    assert compact(whole) is whole


def test_features_of_zeros_keep_one_dimension():
    stats = TaskStatistics.of(np.zeros((6, 40)), np.arange(6) % 2, classes=2)
    (small,) = compact(Evidence((stats,))).shards
    assert small.dimensions == 1
    assert not small.second_moment.any()
    assert not small.class_sums.any()


@pytest.mark.parametrize(("rank", "dimensions"), [(1, 1), (1, 9), (5, 40), (40, 40), (70, 200)])
def test_a_factor_reproduces_its_moment(rank, dimensions):
    rows = np.random.default_rng(rank).normal(size=(rank, dimensions))
    moment = rows.T @ rows
    factor = factor_of(moment)
    assert factor.shape == (rank, dimensions)
    np.testing.assert_allclose(factor.T @ factor, moment, atol=1e-11 * np.trace(moment))


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_a_factor_passes_over_directions_that_are_rounding(scale):
    rows = scale * np.random.default_rng(3).normal(size=(6, 30))
    rows = np.concatenate([rows, rows[:2] + rows[2:4], 1e-9 * rows[:1]])
    factor = factor_of(rows.T @ rows)
    assert len(factor) == 6
    np.testing.assert_allclose(factor.T @ factor, rows.T @ rows, atol=1e-12 * np.trace(rows.T @ rows))


def test_the_factor_of_zeros_is_a_row_of_zeros():
    np.testing.assert_array_equal(factor_of(np.zeros((5, 5))), np.zeros((1, 5)))


@pytest.mark.parametrize(("rank", "dimensions"), [(1, 9), (5, 40), (70, 200)])
def test_a_range_is_orthonormal_and_holds_every_row(rank, dimensions):
    rows = np.random.default_rng(rank).normal(size=(rank, dimensions))
    basis = range_of(rows.T @ rows)
    np.testing.assert_allclose(basis.T @ basis, np.eye(rank), atol=1e-12)
    np.testing.assert_allclose(rows @ basis @ basis.T, rows, atol=1e-7)


def test_a_moment_that_noise_made_none_has_a_finite_factor():
    noise = np.random.default_rng(4).normal(size=(30, 30))
    assert np.all(np.isfinite(factor_of(noise + noise.T)))
    assert np.all(np.isfinite(factor_of(-np.eye(4))))
