"""Leaving a shard out by a correction of low rank is leaving it out."""

import numpy as np
import pytest

from kernel_methods.estimators.ridge import Regression, RidgePath, ridge_gcv_at
from kernel_methods.estimators.ridge_left_out import ridge_gcv_without
from kernel_methods.statistics import TaskStatistics, merge


@pytest.mark.parametrize(("examples", "dimensions"), [(60, 200), (300, 400), (200, 64)])
@pytest.mark.parametrize("share", [1e-2, 1e-1, 10.0])
def test_the_score_without_a_shard_is_that_of_the_others(examples, dimensions, share):
    generator = np.random.default_rng(examples)
    features = np.abs(generator.normal(size=(examples, dimensions)))
    labels = generator.integers(0, 3, examples)
    features[np.arange(examples), labels] += 1.0
    features[:2] = 0.0
    parts = np.array_split(generator.permutation(examples), 10)
    shards = [TaskStatistics.of(features[part], labels[part], classes=3) for part in parts]
    total = merge(shards)
    path = RidgePath.of(total)
    strength = share * float(path.eigenvalues.sum())
    for shard in shards:
        rest = total.subtract(shard)
        slow = ridge_gcv_at(rest, strength / Regression.of(rest).trace)
        assert ridge_gcv_without(path, total, shard, strength=strength) == pytest.approx(slow, abs=1e-9)


def test_features_that_are_all_the_same_have_no_score_without_a_shard_either():
    shards = [TaskStatistics.of(np.ones((4, 50)), np.array([0, 1, 0, 1]), classes=2) for _ in range(3)]
    total = merge(shards)
    assert ridge_gcv_without(RidgePath.of(total), total, shards[0], strength=1.0) == 0.0
