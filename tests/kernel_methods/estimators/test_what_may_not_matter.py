"""What no estimator may depend on: how examples were dealt to shards, their order, features that are all zero."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.estimators.h_score import h_score
from kernel_methods.estimators.knn import knn_accuracy
from kernel_methods.estimators.leep import leep
from kernel_methods.estimators.linear_probe import probe_accuracy
from kernel_methods.estimators.logme import logme
from kernel_methods.estimators.nce import contingency_table, nce
from kernel_methods.estimators.nearest_class_mean import nearest_class_mean
from kernel_methods.estimators.neo import negative_mean_squared_error_neo, raw_neo
from kernel_methods.estimators.ridge import ridge_gcv
from kernel_methods.estimators.transrate import transrate
from kernel_methods.statistics import TaskStatistics, merge
from tests.kernel_methods.drawing import clustered, labelled_features, sharding

OF_STATISTICS = {
    "ridge_gcv": ridge_gcv,
    "nearest_class_mean": nearest_class_mean,
    "logme": logme,
    "h_score": h_score,
    "transrate": transrate,
    "raw_neo": lambda stats: raw_neo(stats, k_min=0.0, k_max=1.0),
    "negative_mean_squared_error_neo": lambda stats: negative_mean_squared_error_neo(stats, k_min=-1.0, k_max=1.0),
}


def statistics(features, labels, classes):
    return TaskStatistics.of(features, labels, classes=classes, class_moments=True)


def of_features(name, features, labels, classes):
    """Any estimator of labelled features; a source head is made of the features where one is needed."""
    if name in OF_STATISTICS:
        return OF_STATISTICS[name](statistics(features, labels, classes))
    if name == "knn":
        return knn_accuracy(features, labels, neighbours=3)
    if name == "linear_probe":
        return probe_accuracy(features, labels, generator=np.random.default_rng(0))
    head = np.abs(features) + 1e-3 * (np.arange(features.shape[1]) == 0)
    if name == "leep":
        return leep(head / head.sum(axis=1, keepdims=True), labels, classes=classes)
    table = contingency_table(head.argmax(axis=1), labels, sources=head.shape[1], targets=classes)
    return nce(table)


EVERY = [*OF_STATISTICS, "knn", "linear_probe", "leep", "nce"]
EXACT = [name for name in EVERY if name != "linear_probe"]


@pytest.mark.parametrize("name", OF_STATISTICS)
@settings(max_examples=40, deadline=None)
@given(st.data(), labelled_features())
def test_any_sharding_gives_the_same(name, data, task):
    features, labels, classes = task
    parts = data.draw(sharding(len(labels)))
    shards = [statistics(features[part], labels[part], classes) for part in parts]
    whole = OF_STATISTICS[name](statistics(features, labels, classes))
    assert OF_STATISTICS[name](merge(shards)) == pytest.approx(whole, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", OF_STATISTICS)
@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(3000, 40, 10), (200, 60, 40), (40, 90, 3)])
def test_random_shards_of_a_real_size_give_the_same_to_ten_digits(name, examples, dimensions, classes):
    features, labels = clustered(8, examples=examples, dimensions=dimensions, classes=classes, zero_rows=7)
    owner = np.random.default_rng(0).integers(0, 20, examples)
    shards = [statistics(features[owner == part], labels[owner == part], classes) for part in range(20)]
    whole = OF_STATISTICS[name](statistics(features, labels, classes))
    assert OF_STATISTICS[name](merge(shards)) == pytest.approx(whole, rel=1e-10)


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=20, deadline=None)
@given(labelled_features(), st.integers(1, 30))
def test_features_that_are_all_zero_change_nothing(name, task, added):
    features, labels, classes = task
    wider = np.hstack([features, np.zeros((len(labels), added))])
    whole = of_features(name, features, labels, classes)
    assert of_features(name, wider, labels, classes) == pytest.approx(whole, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=20, deadline=None)
@given(labelled_features(), st.integers(0, 2**32 - 1))
def test_the_order_of_the_examples_changes_nothing(name, task, seed):
    features, labels, classes = task
    order = np.random.default_rng(seed).permutation(len(labels))
    whole = of_features(name, features, labels, classes)
    assert of_features(name, features[order], labels[order], classes) == pytest.approx(whole, rel=1e-8, abs=1e-10)


def test_the_order_of_the_examples_only_redraws_the_folds_of_a_probe():
    features, labels = clustered(0, examples=300, dimensions=20, classes=3, separation=0.7)
    scores = []
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(300)
        scores.append(of_features("linear_probe", features[order], labels[order], 3))
    assert max(scores) - min(scores) < 0.05


@pytest.mark.parametrize("name", EVERY)
@settings(max_examples=10, deadline=None)
@given(labelled_features())
def test_classes_without_examples_are_passed_over(name, task):
    features, labels, classes = task
    whole = of_features(name, features, labels, classes)
    assert of_features(name, features, labels + 2, classes + 5) == pytest.approx(whole, rel=1e-8, abs=1e-10)


@pytest.mark.parametrize("name", EVERY)
def test_one_class_is_undefined(name):
    with pytest.raises(ValueError, match=r"^undefined: "):
        of_features(name, np.eye(6), np.ones(6, np.int64), 3)


def noisy(stats, *, size):
    """Statistics with noise added, as a user may who sends nothing else; moments may lose what makes them moments."""
    draw = np.random.default_rng(0)

    noise = size * draw.standard_normal(stats.class_moments.shape)
    moments = stats.class_moments + noise + np.swapaxes(noise, 1, 2)
    return TaskStatistics(
        counts=stats.counts,
        zeros=stats.zeros,
        class_sums=stats.class_sums + size * draw.standard_normal(stats.class_sums.shape),
        second_moment=moments.sum(axis=0),
        class_moments=moments,
    )


@pytest.mark.parametrize("name", OF_STATISTICS)
@pytest.mark.parametrize("size", [1e-6, 0.1, 3.0])
@pytest.mark.parametrize("examples", [20, 500])
def test_statistics_with_noise_added_still_have_a_finite_score(name, size, examples):
    features, labels = clustered(1, examples=examples, dimensions=40, classes=3)
    assert np.isfinite(OF_STATISTICS[name](noisy(statistics(features, labels, 3), size=size)))
