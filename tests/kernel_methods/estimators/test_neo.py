import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.estimators.neo import negative_mean_squared_error_neo, raw_neo
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods import slow_definitions
from tests.kernel_methods.drawing import RANGES, labelled_features


def statistics(features, labels, classes):
    return TaskStatistics.of(features, labels, classes=classes, class_moments=True)


@settings(max_examples=40, deadline=None)
@given(labelled_features(), st.sampled_from(RANGES))
def test_the_neo_scores_equal_their_n_by_n_definitions(task, kernel_range):
    features, labels, classes = task
    k_min, k_max = kernel_range
    stats, gram = statistics(features, labels, classes), slow_definitions.kernel(features)
    raw = slow_definitions.raw_neo(gram, labels)
    assert raw_neo(stats, k_min=k_min, k_max=k_max) == pytest.approx(raw, abs=1e-12)
    squared = slow_definitions.negative_mean_squared_error_neo(gram, labels, k_min)
    fast = negative_mean_squared_error_neo(stats, k_min=k_min, k_max=k_max)
    assert fast == pytest.approx(squared, abs=1e-12)


def test_classes_on_axes_of_their_own_are_perfect():
    labels = np.arange(9) % 3
    stats = statistics(np.eye(3)[labels], labels, 3)
    assert raw_neo(stats, k_min=0.0, k_max=1.0) == 0.0
    assert negative_mean_squared_error_neo(stats, k_min=0.0, k_max=1.0) == 0.0


def test_two_opposite_classes_are_perfect_for_tanh():
    labels = np.arange(8) % 2
    stats = statistics(np.array([[1.0], [-1.0]])[labels], labels, 2)
    assert raw_neo(stats, k_min=-1.0, k_max=1.0) == 1.0
    assert negative_mean_squared_error_neo(stats, k_min=-1.0, k_max=1.0) == 0.0


def test_dead_features_look_perfect_for_relu_which_is_why_neo_is_no_ranking_by_itself():
    stats = statistics(np.zeros((6, 3)), np.arange(6) % 2, 2)
    assert raw_neo(stats, k_min=0.0, k_max=1.0) == 0.0
    assert negative_mean_squared_error_neo(stats, k_min=0.0, k_max=1.0) == 0.0


def test_the_squared_error_needs_class_moments():
    stats = TaskStatistics.of(np.eye(4), np.arange(4) % 2, classes=2)
    with pytest.raises(ValueError, match="undefined: the squared error of different-class pairs needs class_moments"):
        negative_mean_squared_error_neo(stats, k_min=0.0, k_max=1.0)


@pytest.mark.parametrize("score", [raw_neo, negative_mean_squared_error_neo])
def test_one_class_has_no_different_class_pairs(score):
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 1 of 2"):
        score(statistics(np.eye(4), np.zeros(4, np.int64), 2), k_min=0.0, k_max=1.0)


@pytest.mark.parametrize("score", [raw_neo, negative_mean_squared_error_neo])
def test_a_range_that_is_none_is_refused(score):
    with pytest.raises(ValueError, match="need finite k_min < k_max"):
        score(statistics(np.eye(4), np.arange(4) % 2, 2), k_min=1.0, k_max=1.0)
