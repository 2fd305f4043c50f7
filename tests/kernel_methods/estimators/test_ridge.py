import numpy as np
import pytest
from hypothesis import given, settings

from kernel_methods.estimators.ridge import (
    LEAST_LEFT,
    RidgePath,
    class_sums_centred,
    ridge,
    ridge_gcv,
    ridge_gcv_at,
    shares_for,
)
from kernel_methods.statistics import TaskStatistics, merge
from tests.kernel_methods.drawing import clustered, labelled_features
from tests.kernel_methods.estimators import slow

SIZES = [(300, 12, 3), (40, 90, 3), (60, 60, 8), (200, 20, 40), (9, 30, 2)]


def indicators(labels, classes):
    return (labels[:, None] == np.arange(classes)).astype(np.float64)


def slow_gcv(features, labels, classes):
    """Every strength by n x n solves: the hat matrix, its residual and its trace; NaN where it interpolates."""
    rows, targets, n = slow.unit(features), indicators(labels, classes), len(labels)
    rows, targets = rows - rows.mean(axis=0), targets - targets.mean(axis=0)
    gram = rows @ rows.T
    scores = []
    for share in shares_for(n):
        hat = np.linalg.solve(gram + share * np.trace(gram) * np.eye(n), gram)
        left = 1.0 - (np.trace(hat) + 1.0) / n
        error = np.sum((targets - hat @ targets) ** 2) / left**2
        chance = np.sum(targets**2) / (1.0 - 1.0 / n) ** 2
        scores.append(1.0 - error / chance if left > LEAST_LEFT else np.nan)
    return np.array(scores)


def slow_held_out(parts, classes):
    """Every part predicted from the others, example by example, by d x d solves."""
    strengths = shares_for(sum(len(part[1]) for part in parts))
    errors, chance = np.zeros(len(strengths)), 0.0
    for place, (seen, seen_labels) in enumerate(parts):
        others = [part for other, part in enumerate(parts) if other != place]
        rows = slow.unit(np.concatenate([part[0] for part in others]))
        targets = indicators(np.concatenate([part[1] for part in others]), classes)
        mean, shares = rows.mean(axis=0), targets.mean(axis=0)
        moment = (rows - mean).T @ (rows - mean)
        missed = indicators(seen_labels, classes) - shares
        chance += np.sum(missed**2)
        for number, share in enumerate(strengths):
            regular = moment + share * np.trace(moment) * np.eye(rows.shape[1])
            weights = np.linalg.solve(regular, (rows - mean).T @ (targets - shares))
            errors[number] += np.sum((missed - (slow.unit(seen) - mean) @ weights) ** 2)
    return 1.0 - errors.min() / chance


def statistics(features, labels, classes):
    return TaskStatistics.of(features, labels, classes=classes)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_ridge_gcv_equals_its_definition_with_fewer_and_with_more_examples_than_dimensions(task):
    assert ridge_gcv(statistics(*task)) == pytest.approx(np.nanmax(slow_gcv(*task)), abs=1e-9)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), SIZES)
def test_every_strength_of_a_path_equals_its_definition(examples, dimensions, classes):
    features, labels = clustered(3, examples=examples, dimensions=dimensions, classes=classes, zero_rows=3)
    path = RidgePath.of(statistics(features, labels, classes))
    found = path.scores(path.regression.class_sums)
    slowly = slow_gcv(features, labels, classes)
    np.testing.assert_array_equal(np.isfinite(found), np.isfinite(slowly))
    np.testing.assert_allclose(found[np.isfinite(found)], slowly[np.isfinite(slowly)], rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), SIZES)
def test_one_strength_alone_is_that_of_the_path(examples, dimensions, classes):
    stats = statistics(*clustered(4, examples=examples, dimensions=dimensions, classes=classes), classes)
    path = RidgePath.of(stats)
    scores = path.scores(path.regression.class_sums)
    for score, share in zip(scores, path.shares, strict=True):
        if np.isfinite(score):
            assert ridge_gcv_at(stats, float(share)) == pytest.approx(score, rel=1e-9, abs=1e-10)
    assert ridge_gcv_at(stats, path.best()[1]) == pytest.approx(ridge_gcv(stats), abs=1e-10)


def test_a_strength_that_interpolates_has_a_finite_score_alone():
    stats = statistics(*clustered(4, examples=8, dimensions=60, classes=2), 2)
    assert np.isfinite(ridge_gcv_at(stats, 1e-9))


@pytest.mark.parametrize("parts", [2, 5])
@pytest.mark.parametrize(("examples", "dimensions", "classes"), SIZES)
def test_ridge_equals_predicting_each_held_out_example(examples, dimensions, classes, parts):
    features, labels = clustered(5, examples=examples, dimensions=dimensions, classes=classes, zero_rows=2)
    owner = np.arange(examples) % parts
    split = [(features[owner == part], labels[owner == part]) for part in range(parts)]
    shards = [statistics(*part, classes) for part in split]
    assert ridge(shards) == pytest.approx(slow_held_out(split, classes), abs=1e-9)


def test_more_than_five_shards_are_joined_to_five_folds():
    features, labels = clustered(6, examples=200, dimensions=15, classes=3)
    twelve = [statistics(features[part::12], labels[part::12], 3) for part in range(12)]
    five = [merge(twelve[place::5]) for place in range(5)]
    assert ridge(twelve) == pytest.approx(ridge(five), abs=1e-12)
    assert ridge([*twelve, TaskStatistics.empty(3, 15)]) == pytest.approx(ridge(five), abs=1e-12)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), SIZES)
def test_rotating_the_features_changes_nothing(examples, dimensions, classes):
    features, labels = clustered(2, examples=examples, dimensions=dimensions, classes=classes)
    turn = np.linalg.qr(np.random.default_rng(0).standard_normal((dimensions, dimensions)))[0]
    parts = [np.arange(examples) % 3 == part for part in range(3)]
    straight = [statistics(features[part], labels[part], classes) for part in parts]
    turned = [statistics(features[part] @ turn, labels[part], classes) for part in parts]
    assert ridge_gcv(merge(turned)) == pytest.approx(ridge_gcv(merge(straight)), abs=1e-10)
    assert ridge(turned) == pytest.approx(ridge(straight), abs=1e-10)


def test_the_path_serves_shuffled_labels_too():
    features, labels = clustered(7, examples=50, dimensions=8, classes=3)
    dealt = np.stack([np.random.default_rng(seed).permutation(labels) for seed in range(6)])
    path = RidgePath.of(statistics(features, labels, 3))
    sums = np.stack([statistics(features, each, 3).class_sums for each in dealt])
    found = path.scores(class_sums_centred(sums, path.regression)).max(axis=-1)
    np.testing.assert_allclose(found, [ridge_gcv(statistics(features, each, 3)) for each in dealt], atol=1e-10)


@pytest.mark.parametrize(("examples", "dimensions", "classes"), [(500, 20, 4), (50, 200, 4)])
def test_better_separated_classes_score_higher(examples, dimensions, classes):
    found = []
    for apart in (0.0, 0.4, 1.0, 3.0):
        task = clustered(0, examples=examples, dimensions=dimensions, classes=classes, separation=apart)
        found.append(ridge_gcv(statistics(*task, classes)))
    assert found == sorted(found)
    assert abs(found[0]) < 0.1 < 0.8 < found[-1] <= 1.0


def test_features_that_tell_a_rare_class_score_near_one():
    labels = (np.arange(100) < 5).astype(np.int64)
    told = statistics(np.eye(2)[labels], labels, 2)
    assert 0.99 < ridge_gcv(told) <= 1.0
    shards = [statistics(np.eye(2)[labels[part::5]], labels[part::5], 2) for part in range(5)]
    assert 0.99 < ridge(shards) <= 1.0


@pytest.mark.parametrize("features", [np.zeros((12, 4)), np.ones((12, 4))], ids=["zeros", "all-equal"])
def test_flat_features_score_zero(features):
    labels = np.arange(12) % 3
    stats = statistics(features, labels, 3)
    assert ridge_gcv(stats) == 0.0
    assert ridge_gcv_at(stats, 0.1) == 0.0
    assert ridge([statistics(features[part::2], labels[part::2], 3) for part in range(2)]) == pytest.approx(0.0)


def test_what_has_no_answer_says_so():
    for labels, message in (([0, 0, 0, 0], "examples of two classes, got 1"), ([0, 1, 0], "needs 4 examples, got 3")):
        stats = statistics(np.eye(4)[: len(labels)], np.array(labels), 2)
        for score in (ridge_gcv, lambda some: ridge_gcv_at(some, 0.1)):
            with pytest.raises(ValueError, match=f"^undefined: .*{message}"):
                score(stats)
    with pytest.raises(ValueError, match=r"^undefined: holding out needs two shards with examples, got 1"):
        ridge([stats, TaskStatistics.empty(2, 4)])
    with pytest.raises(ValueError, match=r"^undefined: ridge regression needs 4 examples, got 3"):
        ridge([stats, stats])
