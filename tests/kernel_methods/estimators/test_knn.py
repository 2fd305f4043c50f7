import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from kernel_methods.estimators import knn
from kernel_methods.estimators.knn import knn_accuracy
from tests.kernel_methods.drawing import clustered
from tests.kernel_methods.estimators import slow


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(4, 30), st.sampled_from([5, 17, 40]), st.integers(1, 40))
def test_the_vote_equals_its_definition(seed, examples, dimensions, neighbours):
    features = np.random.default_rng(seed).standard_normal((examples, dimensions))
    labels = np.random.default_rng(seed).integers(0, 4, examples)
    labels[:2] = [0, 1]
    slowly = slow.knn(features, labels, min(neighbours, examples - 1))
    assert knn_accuracy(features, labels, neighbours=neighbours) == pytest.approx(slowly, abs=1e-12)


def test_blocks_change_nothing(monkeypatch):
    features, labels = clustered(1, examples=150, dimensions=10, classes=5, zero_rows=4)
    whole = knn_accuracy(features, labels)
    monkeypatch.setattr(knn, "VALUES_AT_ONCE", 1000)
    assert knn_accuracy(features, labels) == pytest.approx(whole, abs=1e-12)


def test_one_neighbour_on_digits_is_that_of_scikit_learn():
    features, labels = load_digits(return_X_y=True)
    features, labels = features[:400], labels[:400]
    fitted = KNeighborsClassifier(2, metric="cosine").fit(features, labels)
    nearest = fitted.kneighbors(features, return_distance=False)[:, 1]
    assert knn_accuracy(features, labels, neighbours=1) == pytest.approx(np.mean(labels[nearest] == labels))


def test_neighbours_tied_at_the_last_place_share_its_vote():
    features = np.array([[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    labels = np.array([0, 0, 0, 1])
    assert knn_accuracy(features, labels, neighbours=1) == pytest.approx(3 / 4)


def test_classes_tied_at_the_top_share_the_point():
    features = np.array([[1.0, 0.0], [1.0, 0.1], [1.0, -0.1], [0.0, 1.0]])
    labels = np.array([0, 0, 1, 1])
    assert knn_accuracy(features[:3], labels[:3], neighbours=2) == pytest.approx((0.5 + 0.5 + 0.0) / 3)


def test_features_of_zeros_leave_the_vote_to_the_larger_class():
    assert knn_accuracy(np.zeros((7, 3)), np.array([0, 0, 0, 0, 1, 1, 1]), neighbours=3) == pytest.approx(2 / 7)


def test_separate_clusters_are_told_apart():
    labels = np.arange(40) % 4
    assert knn_accuracy(np.eye(4)[labels], labels, neighbours=5) == 1.0


@pytest.mark.parametrize(
    ("features", "labels", "neighbours", "message"),
    [
        (np.eye(3), np.arange(3), 0, "need at least 1 neighbour, got 0"),
        (np.eye(3), np.zeros(3, int), 1, "undefined: an estimator needs examples of two classes, got 1"),
        (np.eye(3), np.arange(2), 1, r"need features \(n, d\) and labels \(n,\), got \(3, 3\) and \(2,\)"),
        (np.eye(3), np.arange(3.0), 1, "labels must be integers, got float64"),
        (np.full((3, 3), np.nan), np.arange(3), 1, "features must be finite"),
    ],
)
def test_what_has_no_answer_is_refused(features, labels, neighbours, message):
    with pytest.raises(ValueError, match=message):
        knn_accuracy(features, labels, neighbours=neighbours)
