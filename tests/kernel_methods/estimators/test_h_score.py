import numpy as np
import pytest
from hypothesis import given, settings
from sklearn.covariance import LedoitWolf
from sklearn.datasets import load_iris

from kernel_methods.centring import CentredStatistics, centre
from kernel_methods.estimators.h_score import h_score, shrinkage, spread_between
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import clustered, labelled_features
from tests.kernel_methods.estimators import slow


def centred_as_they_are(rows, labels):
    """What the shrinkage needs of features that were not scaled to unit norm."""
    apart = rows - rows.mean(axis=0)
    lengths = np.sum(apart**2, axis=1)
    counts = np.bincount(labels).astype(np.float64)
    nothing = np.zeros(len(counts))
    return CentredStatistics(
        counts=counts,
        mean=rows.mean(axis=0),
        second_moment=apart.T @ apart,
        energy=0.0,
        class_traces=nothing,
        class_projections=nothing,
        class_units=counts,
        trace=float(lengths.sum()),
        squared_diagonal=float(lengths @ lengths),
    )


def by_scikit_learn(rows, labels):
    alive = rows[:, np.any(rows != 0.0, axis=0)]
    if alive.size == 0:
        return 0.0
    fitted = LedoitWolf().fit(alive)
    return slow.h_score(alive, labels, covariance=fitted.covariance_, share=1.0 - fitted.shrinkage_)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_the_shrunk_h_score_is_that_of_scikit_learns_covariance(task):
    features, labels, classes = task
    fast = h_score(TaskStatistics.of(features, labels, classes=classes))
    assert fast == pytest.approx(by_scikit_learn(slow.unit(features), labels), abs=1e-8)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_the_shrinkage_is_that_of_scikit_learn(task):
    features, labels, classes = task
    rows = slow.unit(features)
    fast = shrinkage(centre(TaskStatistics.of(features, labels, classes=classes)))
    assert fast == pytest.approx(LedoitWolf().fit(rows).shrinkage_, abs=1e-10)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(500, 40, 2), (500, 40, 30), (30, 60, 3)])
def test_the_plain_h_score_equals_its_definition(examples, dimensions, classes):
    features, labels = clustered(4, examples=examples, dimensions=dimensions, classes=classes, zero_rows=4)
    fast = h_score(TaskStatistics.of(features, labels, classes=classes), shrink=False)
    assert fast == pytest.approx(slow.h_score(slow.unit(features), labels), rel=1e-8)


def test_the_h_score_of_iris_is_the_value_that_the_published_program_gives():
    """transformer-ranker's tests state 1.177842480406727, with class means over n - 1 and in single precision."""
    rows, labels = load_iris(return_X_y=True)
    rows = rows.astype(np.float32).astype(np.float64)
    centred = centred_as_they_are(rows, labels)
    means = np.stack([rows[labels == label].mean(axis=0) for label in range(3)]) - centred.mean
    fast = spread_between(centred.second_moment / 150, means / np.sqrt(3.0), shrinkage=shrinkage(centred))
    assert fast * 150 / 149 == pytest.approx(1.177842480406727, rel=1e-8)


def test_without_shrinking_fewer_examples_than_dimensions_say_nothing():
    draw = np.random.default_rng(0)
    stats = TaskStatistics.of(draw.standard_normal((20, 50)), np.arange(20) % 4, classes=4)
    assert h_score(stats, shrink=False) == pytest.approx(3.0)
    assert h_score(stats) < 1.0


@pytest.mark.parametrize("shrink", [True, False])
def test_classes_on_axes_of_their_own_score_one_less_than_their_number(shrink):
    labels = np.arange(4000) % 4
    stats = TaskStatistics.of(np.eye(4)[labels], labels, classes=5)
    assert h_score(stats, shrink=shrink) == pytest.approx(3.0, rel=2e-3)


@pytest.mark.parametrize("shrink", [True, False])
@pytest.mark.parametrize("value", [0.0, 1.0])
def test_equal_features_score_zero(shrink, value):
    stats = TaskStatistics.of(np.full((40, 7), value), np.arange(40) % 2, classes=2)
    assert h_score(stats, shrink=shrink) == 0.0


def test_two_opposite_vectors_are_defined_though_nothing_is_shrunk():
    labels = np.arange(10) % 2
    stats = TaskStatistics.of(np.array([[1.0, 0.0], [-1.0, 0.0]])[labels], labels, classes=2)
    assert h_score(stats) == pytest.approx(1.0)


def test_one_class_has_no_score():
    stats = TaskStatistics.of(np.eye(4), np.zeros(4, np.int64), classes=3)
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 1 of 3"):
        h_score(stats)
