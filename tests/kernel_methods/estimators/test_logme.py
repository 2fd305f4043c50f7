import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.stats import multivariate_normal
from sklearn.datasets import load_iris

from kernel_methods.estimators.logme import logme
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import clustered, labelled_features
from tests.kernel_methods.estimators import slow


def as_they_are(rows, labels):
    """Statistics of features that were not scaled to unit norm, as the published programs take them."""
    sums = np.stack([rows[labels == label].sum(axis=0) for label in np.unique(labels)])
    counts = np.bincount(labels)
    return TaskStatistics(counts=counts, zeros=0 * counts, class_sums=sums, second_moment=rows.T @ rows)


@settings(max_examples=30, deadline=None)
@given(labelled_features())
def test_logme_equals_its_definition_with_fewer_and_with_more_examples_than_dimensions(task):
    features, labels, classes = task
    fast = logme(TaskStatistics.of(features, labels, classes=classes))
    assert fast == pytest.approx(slow.logme(slow.unit(features), labels), abs=1e-7)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(400, 30, 2), (400, 30, 25), (40, 90, 4)])
def test_logme_equals_its_definition_on_larger_tasks(examples, dimensions, classes):
    features, labels = clustered(5, examples=examples, dimensions=dimensions, classes=classes, zero_rows=3)
    fast = logme(TaskStatistics.of(features, labels, classes=classes))
    assert fast == pytest.approx(slow.logme(slow.unit(features), labels), rel=1e-9)


def largest_log_density(rows, targets):
    """Of labels under N(0, v (I + K / ratio)), over v and ratio, by SciPy's normal law."""

    def of(log_ratio):
        covariance = np.eye(len(rows)) + rows @ rows.T / np.exp(log_ratio)
        variance = targets @ np.linalg.solve(covariance, targets) / len(rows)
        return -multivariate_normal.logpdf(targets, np.zeros(len(rows)), variance * covariance)

    return -minimize_scalar(of, bounds=(-8, 12), method="bounded", options={"xatol": 1e-8}).fun


@pytest.mark.parametrize(("examples", "dimensions"), [(60, 8), (30, 50)])
def test_the_evidence_is_the_largest_density_of_the_labels_under_the_model(examples, dimensions):
    features, labels = clustered(1, examples=examples, dimensions=dimensions, classes=2)
    densities = [largest_log_density(slow.unit(features), (labels == label).astype(np.float64)) for label in (0, 1)]
    fast = logme(TaskStatistics.of(features, labels, classes=2))
    assert fast == pytest.approx(np.mean(densities) / examples, abs=1e-9)


def test_logme_of_iris_is_the_value_that_the_published_program_gives():
    """transformer-ranker's tests state -0.16006022033609904 for iris as it is, read in single precision."""
    rows, labels = load_iris(return_X_y=True)
    assert logme(as_they_are(rows.astype(np.float32).astype(np.float64), labels)) == pytest.approx(
        -0.16006022033609904, rel=1e-6
    )


@pytest.mark.parametrize(("examples", "dimensions"), [(200, 20), (30, 60)])
def test_rotating_the_features_changes_nothing(examples, dimensions):
    features, labels = clustered(2, examples=examples, dimensions=dimensions, classes=3)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dimensions, dimensions)))[0]
    turned = logme(TaskStatistics.of(features @ turn, labels, classes=3))
    assert turned == pytest.approx(logme(TaskStatistics.of(features, labels, classes=3)), rel=1e-10)


def test_better_separated_classes_score_higher():
    scores = [
        logme(TaskStatistics.of(*clustered(0, examples=300, dimensions=20, classes=4, separation=apart), classes=4))
        for apart in (0.0, 0.3, 1.0, 3.0)
    ]
    assert scores == sorted(scores)


def test_features_that_tell_every_class_without_error_have_a_finite_score():
    labels = np.arange(60) % 3
    perfect = logme(TaskStatistics.of(np.eye(3)[labels], labels, classes=3))
    assert 4.0 < perfect < 10.0


def test_features_of_zeros_score_as_labels_without_features_do():
    labels = np.array([0, 0, 0, 1])
    noise = [-0.5 * (np.log(2 * np.pi * share) + 1) for share in (0.75, 0.25)]
    assert logme(TaskStatistics.of(np.zeros((4, 2)), labels, classes=2)) == pytest.approx(np.mean(noise))


@given(st.integers(1, 4))
def test_one_class_has_no_score(classes):
    stats = TaskStatistics.of(np.eye(4), np.zeros(4, np.int64), classes=classes)
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 1"):
        logme(stats)
