import math

import numpy as np
import pytest
from hypothesis import given, settings

from kernel_methods.estimators.nearest_class_mean import nearest_class_mean
from kernel_methods.statistics import TaskStatistics
from tests.kernel_methods.drawing import clustered, labelled_features
from tests.kernel_methods.estimators import slow


def normal_law(margin):
    return 0.5 * math.erfc(-margin / math.sqrt(2.0))


def slow_nearest(features, labels, classes):
    """Class by class, pair by pair, from the examples."""
    rows, present = slow.unit(features), [label for label in range(classes) if np.any(labels == label)]
    means = {label: rows[labels == label].mean(axis=0) for label in present}
    scatter = np.zeros((rows.shape[1], rows.shape[1]))
    for row, label in zip(rows, labels, strict=True):
        scatter += np.outer(row - means[int(label)], row - means[int(label)])
    within = scatter / (len(labels) - len(present))
    total = 0.0
    for one in present:
        right = 1.0
        for other in present:
            if other == one:
                continue
            line = means[one] - means[other]
            few = 1.0 / np.sum(labels == one) + 1.0 / np.sum(labels == other)
            apart = max(line @ line - np.trace(within) * few, 0.0)
            variance = (line @ within @ line) / (line @ line) if line @ line > 1e-12 else 0.0
            margin = 0.5 * math.sqrt(apart / variance) if variance > 1e-12 else math.inf if apart > 1e-12 else 0.0
            right *= normal_law(margin)
        total += right * np.sum(labels == one)
    return total / len(labels)


def statistics(features, labels, classes):
    return TaskStatistics.of(features, labels, classes=classes)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_nearest_class_mean_equals_its_definition(task):
    assert nearest_class_mean(statistics(*task)) == pytest.approx(slow_nearest(*task), rel=1e-7, abs=1e-10)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(400, 30, 2), (400, 30, 25), (40, 90, 4)])
def test_nearest_class_mean_equals_its_definition_on_larger_tasks(examples, dimensions, classes):
    features, labels = clustered(5, examples=examples, dimensions=dimensions, classes=classes, zero_rows=3)
    found = nearest_class_mean(statistics(features, labels, classes))
    assert found == pytest.approx(slow_nearest(features, labels, classes), rel=1e-9)


@pytest.mark.parametrize(("examples", "dimensions"), [(300, 20), (40, 100)])
def test_rotating_the_features_changes_nothing(examples, dimensions):
    features, labels = clustered(2, examples=examples, dimensions=dimensions, classes=3)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dimensions, dimensions)))[0]
    turned = nearest_class_mean(statistics(features @ turn, labels, 3))
    assert turned == pytest.approx(nearest_class_mean(statistics(features, labels, 3)), abs=1e-10)


@pytest.mark.parametrize("separation", [0.3, 1.0, 2.0])
def test_two_classes_are_told_as_often_as_new_examples_are_by_the_true_means(separation):
    task = clustered(8, examples=8000, dimensions=24, classes=2, separation=separation)
    features, labels = slow.unit(task[0]), task[1]
    means = np.stack([features[labels == label].mean(axis=0) for label in range(2)])
    nearest = np.linalg.norm(features[:, None] - means, axis=2).argmin(axis=1)
    found = nearest_class_mean(statistics(features[:1000], labels[:1000], 2))
    assert found == pytest.approx(np.mean(nearest == labels), abs=0.04)


@pytest.mark.parametrize(("examples", "dimensions"), [(20, 100), (100, 512), (40, 6)])
def test_features_that_say_nothing_of_two_classes_are_never_taken_for_certain(examples, dimensions):
    found = []
    for seed in range(60):
        features, labels = clustered(seed, examples=examples, dimensions=dimensions, classes=2, separation=0.0)
        found.append(nearest_class_mean(statistics(features, labels, 2)))
    assert max(found) < 0.97
    assert np.mean(found) < 0.65


def test_better_separated_classes_score_higher():
    found = []
    for apart in (0.0, 0.4, 1.0, 3.0):
        features, labels = clustered(0, examples=300, dimensions=20, classes=4, separation=apart)
        found.append(nearest_class_mean(statistics(features, labels, 4)))
    assert found == sorted(found)
    assert found[-1] > 0.95


def test_means_that_coincide_are_told_by_coin():
    features = np.array([[1.0, 0.0], [0.0, 1.0]])[np.arange(24) % 2]
    labels = np.arange(24) // 2 % 3
    assert nearest_class_mean(statistics(features, labels, 3)) == pytest.approx(0.25)
    assert nearest_class_mean(statistics(np.ones((24, 2)), labels, 3)) == pytest.approx(0.25)
    assert nearest_class_mean(statistics(np.zeros((24, 2)), labels, 3)) == pytest.approx(0.25)


def test_classes_without_any_spread_are_told_always():
    labels = np.array([0] * 95 + [1] * 5)
    assert nearest_class_mean(statistics(np.eye(2)[labels], labels, 2)) == 1.0


def test_what_has_no_answer_says_so():
    with pytest.raises(ValueError, match=r"^undefined: .*examples of two classes, got 1"):
        nearest_class_mean(statistics(np.eye(3), np.zeros(3, np.int64), 2))
    with pytest.raises(ValueError, match=r"^undefined: no class has two examples"):
        nearest_class_mean(statistics(np.eye(3), np.arange(3), 3))
