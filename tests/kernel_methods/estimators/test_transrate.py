import numpy as np
import pytest
from hypothesis import given, settings

from kernel_methods.estimators.transrate import transrate
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import clustered, labelled_features
from tests.kernel_methods.estimators import slow


def statistics(features, labels, classes):
    return TaskStatistics.of(features, labels, classes=classes, class_moments=True)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_transrate_equals_its_definition(task):
    features, labels, classes = task
    fast = transrate(statistics(features, labels, classes))
    assert fast == pytest.approx(slow.transrate(slow.unit(features), labels), abs=1e-8)


@pytest.mark.parametrize("epsilon", [1e-4, 1e-2, 1.0])
@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(300, 40, 2), (300, 40, 20), (30, 100, 4)])
def test_transrate_equals_its_definition_on_larger_tasks(examples, dimensions, classes, epsilon):
    features, labels = clustered(3, examples=examples, dimensions=dimensions, classes=classes, zero_rows=5)
    fast = transrate(statistics(features, labels, classes), epsilon=epsilon)
    assert fast == pytest.approx(slow.transrate(slow.unit(features), labels, epsilon=epsilon), rel=1e-9)


def test_classes_of_one_size_weigh_alike_as_in_the_published_program():
    features = np.random.default_rng(0).standard_normal((60, 6))
    labels = np.arange(60) % 3
    rows = slow.unit(features) - slow.unit(features).mean(axis=0)

    def rate(part):
        return 0.5 * np.linalg.slogdet(np.eye(6) + part.T @ part / (len(part) * 1e-4))[1]

    evenly = rate(rows) - np.mean([rate(rows[labels == label]) for label in range(3)])
    assert transrate(statistics(features, labels, 3)) == pytest.approx(evenly, rel=1e-10)


def test_rotating_the_features_changes_nothing():
    features, labels = clustered(2, examples=100, dimensions=12, classes=3)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((12, 12)))[0]
    turned = transrate(statistics(features @ turn, labels, 3))
    assert turned == pytest.approx(transrate(statistics(features, labels, 3)), rel=1e-10)


def test_features_of_zeros_score_zero():
    assert transrate(statistics(np.zeros((6, 3)), np.arange(6) % 2, 2)) == 0.0


def test_without_class_moments_it_is_undefined():
    stats = TaskStatistics.of(np.eye(4), np.arange(4) % 2, classes=2)
    with pytest.raises(ValueError, match="undefined: TransRate needs statistics with class_moments=True"):
        transrate(stats)


def test_one_class_has_no_score():
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 1 of 3"):
        transrate(statistics(np.eye(4), np.zeros(4, np.int64), 3))


def test_no_distortion_is_refused():
    with pytest.raises(ValueError, match=r"need epsilon > 0, got 0\.0"):
        transrate(statistics(np.eye(4), np.arange(4) % 2, 2), epsilon=0.0)
