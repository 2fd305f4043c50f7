import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.alignment import score_by_name
from kernel_methods.statistics import TaskStatistics, merge
from tests.kernel_methods.drawing import clustered, labelled_features, sharding


def assert_equal(one, other, *, tolerance=1e-12):
    assert one.counts.tolist() == other.counts.tolist()
    assert one.zeros.tolist() == other.zeros.tolist()
    np.testing.assert_allclose(one.class_sums, other.class_sums, atol=tolerance)
    np.testing.assert_allclose(one.second_moment, other.second_moment, atol=tolerance)
    if one.class_moments is not None:
        np.testing.assert_allclose(one.class_moments, other.class_moments, atol=tolerance)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_statistics_equal_sums_over_examples(task):
    features, labels, classes = task
    stats = TaskStatistics.of(features, labels, classes=classes, class_moments=True)
    sums, moments = np.zeros_like(stats.class_sums), np.zeros_like(stats.class_moments)
    for row, label in zip(features, labels, strict=True):
        unit = row / np.linalg.norm(row) if np.linalg.norm(row) > 0 else row
        sums[label] += unit
        moments[label] += np.outer(unit, unit)
    np.testing.assert_allclose(stats.class_sums, sums, atol=1e-12)
    np.testing.assert_allclose(stats.class_moments, moments, atol=1e-12)
    np.testing.assert_allclose(stats.second_moment, moments.sum(axis=0), atol=1e-12)
    assert stats.counts.tolist() == [int((labels == c).sum()) for c in range(classes)]
    assert stats.zeros.sum() == (np.linalg.norm(features, axis=1) == 0).sum()
    assert (stats.examples, stats.dimensions, stats.classes) == (*features.shape, classes)


@settings(max_examples=40, deadline=None)
@given(st.data(), labelled_features(), st.booleans())
def test_parts_add_up_to_the_whole(data, task, class_moments):
    features, labels, classes = task
    parts = [
        TaskStatistics.of(features[part], labels[part], classes=classes, class_moments=class_moments)
        for part in data.draw(sharding(len(labels)))
    ]
    whole = TaskStatistics.of(features, labels, classes=classes, class_moments=class_moments)
    assert_equal(merge(parts), whole)
    assert_equal(whole.subtract(parts[0]), merge(parts[1:]))


def test_more_rows_than_one_block_add_up():
    features, labels = clustered(0, examples=20_000, dimensions=3, classes=2)
    halves = [TaskStatistics.of(features[half::2], labels[half::2], classes=2) for half in range(2)]
    assert_equal(TaskStatistics.of(features, labels, classes=2), merge(halves), tolerance=1e-8)


def test_the_empty_statistics_change_nothing():
    stats = TaskStatistics.of(np.eye(3), np.array([0, 1, 1]), classes=2)
    assert_equal(stats + TaskStatistics.empty(2, 3), stats, tolerance=0.0)


def test_rows_of_any_length_and_type_become_unit_rows():
    features, labels = clustered(1, examples=30, dimensions=4, classes=3)
    stretched = (features * np.linspace(0.1, 1e6, 30)[:, None]).astype(np.float32)
    both = [TaskStatistics.of(rows, labels, classes=3) for rows in (features, stretched)]
    assert_equal(*both, tolerance=1e-5)
    assert np.trace(both[1].second_moment) == pytest.approx(30 - both[1].zeros.sum(), abs=1e-12)


@settings(max_examples=40, deadline=None)
@given(st.data(), labelled_features(), st.booleans())
def test_a_card_answers_a_merge_of_classes_exactly(data, task, class_moments):
    features, labels, classes = task
    owner = data.draw(st.permutations([i % 2 for i in range(classes)]))
    groups = [[c for c in range(classes) if owner[c] == group] for group in range(2)]
    card = TaskStatistics.of(features, labels, classes=classes, class_moments=class_moments)
    direct = TaskStatistics.of(features, np.array(owner)[labels], classes=2, class_moments=class_moments)
    assert_equal(card.merge_classes(groups), direct)


def test_a_card_with_class_moments_answers_every_pair_of_classes():
    features, labels = clustered(2, examples=80, dimensions=6, classes=4)
    card = TaskStatistics.of(features, labels, classes=4, class_moments=True)
    for first, second in [(0, 1), (3, 1), (2, 3)]:
        chosen = (labels == first) | (labels == second)
        binary = (labels[chosen] == second).astype(np.int64)
        direct = TaskStatistics.of(features[chosen], binary, classes=2)
        pair = card.merge_classes([[first], [second]])
        for name in ("alignment", "centred_alignment"):
            scores = [score_by_name(name, stats, k_min=0.0, k_max=1.0) for stats in (pair, direct)]
            assert scores[0] == pytest.approx(scores[1], abs=1e-12)


def test_classes_without_examples_may_always_be_left_out():
    stats = TaskStatistics.of(np.eye(3), np.array([0, 1, 1]), classes=5)
    assert stats.merge_classes([[1], [0]]).counts.tolist() == [2, 1]


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([], "at least one class"),
        ([[0, 1], []], "at least one class"),
        ([[0, 1], [1, 2]], "named once"),
        ([[0], [3]], r"in 0\.\.2"),
        ([[0], [-1]], r"in 0\.\.2"),
        ([[0], [1]], r"classes \[2\] have examples and are in no group"),
    ],
)
def test_groups_that_are_no_merge_are_refused(groups, message):
    stats = TaskStatistics.of(np.eye(3), np.arange(3), classes=3)
    with pytest.raises(ValueError, match=message):
        stats.merge_classes(groups)


@pytest.mark.parametrize(
    ("features", "labels", "message"),
    [
        (np.zeros((2, 2, 2)), np.zeros(2, np.int64), r"need features \(n, d\)"),
        (np.zeros((2, 2)), np.zeros(3, np.int64), r"got \(2, 2\) and \(3,\)"),
        (np.zeros((2, 2)), np.zeros(2), "labels must be integers, got float64"),
        (np.zeros((2, 2)), np.array([0, 2]), r"must be in 0\.\.1, got 0\.\.2"),
        (np.zeros((2, 2)), np.array([-1, 0]), r"must be in 0\.\.1, got -1\.\.0"),
        (np.array([[1.0, np.nan]]), np.array([0]), "features must be finite, got 1 rows"),
        (np.array([[1.0, np.inf]]), np.array([0]), "features must be finite, got 1 rows"),
        (np.array([[1.0, 1e200]]), np.array([0]), "features must be finite, got 1 rows"),
        (np.zeros((2, 0)), np.zeros(2, np.int64), "both at least 1"),
    ],
)
def test_what_is_not_labelled_features_is_refused(features, labels, message):
    with pytest.raises(ValueError, match=message):
        TaskStatistics.of(features, labels, classes=2)


def test_statistics_that_do_not_match_do_not_add():
    with pytest.raises(ValueError, match=r"\(2, 3\) and \(2, 4\) do not add"):
        TaskStatistics.empty(2, 3) + TaskStatistics.empty(2, 4)
    with pytest.raises(ValueError, match="class moments"):
        TaskStatistics.empty(2, 3) + TaskStatistics.empty(2, 3, class_moments=True)
    with pytest.raises(ValueError, match="nothing to merge"):
        merge([])


def test_more_than_there_is_cannot_be_subtracted():
    one = TaskStatistics.of(np.eye(2), np.array([0, 1]), classes=2)
    with pytest.raises(ValueError, match=r"cannot take \[2, 2\] examples \(by class\) out of \[1, 1\]"):
        one.subtract(one + one)


def test_shapes_must_belong_together():
    good = TaskStatistics.empty(2, 3, class_moments=True)
    with pytest.raises(ValueError, match=r"second_moment need shape \(3, 3\)"):
        TaskStatistics(good.counts, good.zeros, good.class_sums, np.zeros((3, 4)))
    with pytest.raises(ValueError, match=r"class_moments need shape \(2, 3, 3\)"):
        TaskStatistics(good.counts, good.zeros, good.class_sums, good.second_moment, np.zeros((3, 3, 3)))


def test_statistics_are_frozen_and_leave_their_arrays_as_they_were():
    sums = np.zeros((1, 2))
    stats = TaskStatistics(np.zeros(1, np.int64), np.zeros(1, np.int64), sums, np.zeros((2, 2)))
    with pytest.raises(ValueError, match="read-only"):
        stats.class_sums[0, 0] = 1.0
    sums[0, 0] = 1.0
