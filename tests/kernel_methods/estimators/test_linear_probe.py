import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.preprocessing import StandardScaler

from kernel_methods.estimators import linear_probe
from kernel_methods.estimators.linear_probe import probe_accuracy
from tests.kernel_methods.drawing import clustered, labelled_features


def seeded(seed=0):
    return np.random.default_rng(seed)


@pytest.mark.parametrize(("examples", "dimensions"), [(200, 12), (30, 60)])
@pytest.mark.parametrize("strength", [1.0, 0.01])
def test_a_fit_is_that_of_scikit_learn(examples, dimensions, strength):
    features, labels = clustered(3, examples=examples, dimensions=dimensions, classes=3)
    rows = StandardScaler().fit_transform(features)
    axes = linear_probe._Axes.of(features)
    turned, start = axes.turned(features), np.zeros((len(axes.spectrum) + 1, 3))
    weights = linear_probe._fitted(turned, labels, axes.spectrum, strength=strength, start=start)
    other = LogisticRegression(C=1.0 / (strength * examples), max_iter=5000, tol=1e-8).fit(rows, labels)
    ours = linear_probe._logits(turned, weights)
    theirs = rows @ other.coef_.T + other.intercept_
    centred = [logits - logits.mean(axis=1, keepdims=True) for logits in (ours, theirs)]
    assert np.abs(centred[0] - centred[1]).max() < 0.02 * np.abs(centred[1]).max()


def test_the_accuracy_on_digits_is_near_that_of_scikit_learn():
    features, labels = load_digits(return_X_y=True)
    features, labels = features[:600], labels[:600]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    rows = StandardScaler().fit_transform(features)
    other = cross_val_score(LogisticRegression(C=0.1, max_iter=2000), rows, labels, cv=folds).mean()
    assert probe_accuracy(features, labels, generator=seeded()) == pytest.approx(other, abs=0.015)


def test_what_can_be_told_is_told_and_noise_is_not():
    labels = np.arange(200) % 4
    noise = seeded().standard_normal((200, 30))
    assert probe_accuracy(noise + 4.0 * np.eye(30)[labels], labels, generator=seeded()) > 0.97
    assert probe_accuracy(noise, labels, generator=seeded()) < 0.4


@settings(max_examples=25, deadline=None)
@given(labelled_features(), st.integers(2, 30))
def test_every_small_task_has_an_accuracy(task, folds):
    features, labels, _ = task
    accuracy = probe_accuracy(features, labels, folds=folds, generator=seeded())
    assert 0.0 <= accuracy <= 1.0
    assert accuracy * len(labels) == pytest.approx(round(accuracy * len(labels)))


def test_one_generator_state_gives_one_accuracy():
    features, labels = clustered(0, examples=60, dimensions=10, classes=3)
    scores = {probe_accuracy(features, labels, generator=seeded(5)) for _ in range(2)}
    assert len(scores) == 1


def test_scaling_and_moving_the_features_changes_nothing():
    features, labels = clustered(0, examples=80, dimensions=10, classes=3)
    moved = features * np.arange(1, 11) - 7.0
    whole = probe_accuracy(features, labels, generator=seeded())
    assert probe_accuracy(moved, labels, generator=seeded()) == whole


def test_equal_features_give_the_share_of_the_largest_class():
    labels = np.array([0] * 30 + [1] * 10)
    assert probe_accuracy(np.ones((40, 5)), labels, generator=seeded()) == pytest.approx(0.75)


def test_classes_are_spread_evenly_over_the_folds():
    labels = np.array([0] * 23 + [1] * 7)
    dealt = linear_probe._dealt(labels, parts=5, generator=seeded())
    for label, size in ((0, 23), (1, 7)):
        counts = np.bincount(dealt[labels == label], minlength=5)
        assert counts.sum() == size
        assert counts.max() - counts.min() <= 1


@pytest.mark.parametrize(
    ("features", "labels", "folds", "message"),
    [
        (np.eye(4), np.arange(4), 1, "need at least 2 folds, got 1"),
        (np.eye(4), np.zeros(4, int), 2, "undefined: an estimator needs examples of two classes, got 1"),
        (np.eye(3), np.arange(3), 2, "undefined: a probe needs 4 examples, got 3"),
        (np.eye(4), np.arange(3), 2, r"need features \(n, d\) and labels \(n,\), got \(4, 4\) and \(3,\)"),
        (np.full((4, 2), np.inf), np.arange(4), 2, "features must be finite"),
    ],
)
def test_what_has_no_answer_is_refused(features, labels, folds, message):
    with pytest.raises(ValueError, match=message):
        probe_accuracy(features, labels, folds=folds, generator=seeded())
