import numpy as np
import pytest

from kernel_methods.statistics import TaskStatistics
from trainer.measure import mean_kernels


def test_mean_kernels_equal_their_definition():
    generator = np.random.default_rng(0)
    labels = np.array([0, 0, 0, 1, 1, 2])
    features = np.abs(generator.normal(size=(6, 4)))
    features[4] = 0
    features /= np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
    same = [features[i] @ features[j] for i, j in pairs if labels[i] == labels[j]]
    different = [features[i] @ features[j] for i, j in pairs if labels[i] != labels[j]]
    found = mean_kernels(TaskStatistics.of(features, labels, classes=3))
    assert found == pytest.approx((np.mean(same), np.mean(different)))


@pytest.mark.parametrize("labels", [[0, 1, 2], [0, 0, 0]])
def test_mean_kernels_are_undefined_without_pairs_of_both_kinds(labels):
    with pytest.raises(ValueError, match="undefined"):
        mean_kernels(TaskStatistics.of(np.eye(3), np.array(labels), classes=3))
