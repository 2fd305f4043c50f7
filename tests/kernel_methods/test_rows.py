import numpy as np
import pytest

from kernel_methods.rows import ROWS_IN_CACHE, RowSums, unit_rows
from kernel_methods.statistics import ROWS_AT_ONCE, TaskStatistics
from tests.kernel_methods.drawing import clustered


def test_rows_become_unit_rows_and_zero_rows_stay():
    features = np.random.default_rng(1).standard_normal((ROWS_IN_CACHE + 5, 7))
    features[[0, -1]] = [[1e-13] * 7, [0.0] * 7]
    kept = features.copy()
    rows, is_zero = unit_rows(features)
    assert np.flatnonzero(is_zero).tolist() == [0, ROWS_IN_CACHE + 4]
    assert np.linalg.norm(rows[~is_zero], axis=1) == pytest.approx(1.0, abs=1e-15)
    assert np.array_equal(rows[is_zero], np.zeros((2, 7)))
    assert np.array_equal(features, kept)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e200])
def test_a_row_that_is_not_finite_is_found_wherever_it_is(value):
    features = np.ones((2 * ROWS_IN_CACHE, 3))
    features[-1, 1] = value
    with pytest.raises(ValueError, match="features must be finite, got 1 rows that are not"):
        unit_rows(features)


@pytest.mark.parametrize("class_moments", [False, True])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_statistics_of_many_blocks_are_sums_over_the_rows(class_moments, dtype):
    features, labels = clustered(2, examples=2 * ROWS_AT_ONCE + 3, dimensions=9, classes=4, zero_rows=5)
    features = features.astype(dtype)
    stats = TaskStatistics.of(features, labels, classes=4, class_moments=class_moments)
    rows, is_zero = unit_rows(features)
    assert np.array_equal(stats.second_moment, stats.second_moment.T)
    assert stats.second_moment == pytest.approx(rows.T @ rows, abs=1e-10)
    for label in range(4):
        members = rows[labels == label]
        assert stats.counts[label] == len(members)
        assert stats.zeros[label] == np.sum(is_zero[labels == label])
        assert stats.class_sums[label] == pytest.approx(members.sum(axis=0), abs=1e-10)
        if stats.class_moments is not None:
            assert stats.class_moments[label] == pytest.approx(members.T @ members, abs=1e-10)


@pytest.mark.parametrize(("classes", "dimensions"), [(0, 3), (3, 0)])
def test_sums_need_a_class_and_a_dimension(classes, dimensions):
    with pytest.raises(ValueError, match="both at least 1"):
        RowSums(classes, dimensions, rows_at_once=1, by_class=False)
