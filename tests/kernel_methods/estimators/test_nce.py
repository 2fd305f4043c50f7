import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import mutual_info_score

from kernel_methods.estimators.nce import contingency_table, label_entropy, nce
from tests.kernel_methods.estimators import slow

COLUMNS = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30).filter(
    lambda pairs: len({y for _, y in pairs}) > 1
)


def table_of(pairs):
    source, target = np.array(pairs).T
    return contingency_table(source, target, sources=6, targets=4)


@given(COLUMNS)
def test_nce_equals_its_definition(pairs):
    source, target = zip(*pairs, strict=True)
    assert nce(table_of(pairs)) == pytest.approx(slow.nce(source, target), abs=1e-12)


@given(COLUMNS)
def test_what_the_source_tells_is_the_mutual_information_of_scikit_learn(pairs):
    table = table_of(pairs)
    assert nce(table) + label_entropy(table) == pytest.approx(mutual_info_score(*zip(*pairs, strict=True)), abs=1e-12)


@given(COLUMNS)
def test_nce_lies_between_minus_the_entropy_and_zero(pairs):
    table = table_of(pairs)
    assert -label_entropy(table) - 1e-12 <= nce(table) <= 0.0
    assert label_entropy(table) <= math.log(np.count_nonzero(table.any(axis=0))) + 1e-12


@given(COLUMNS, COLUMNS)
def test_tables_add(some, others):
    assert np.array_equal(table_of(some) + table_of(others), table_of(some + others))


def test_a_source_that_tells_the_target_scores_zero_and_one_that_does_not_its_entropy():
    assert nce(np.array([[5, 0], [0, 3], [2, 0]])) == 0.0
    assert nce(np.array([[5, 5], [3, 3]])) == pytest.approx(-math.log(2))


def test_the_entropy_of_a_label_column_needs_no_source():
    assert label_entropy(np.array([4, 4, 0])) == pytest.approx(math.log(2))
    assert label_entropy(np.array([[4, 0], [0, 4]])) == pytest.approx(math.log(2))


def test_one_target_label_has_no_score():
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 1 of 2"):
        nce(np.array([[5, 0], [2, 0]]))


@pytest.mark.parametrize("table", [np.zeros((0, 2), int), np.zeros((2, 0), int), np.zeros((2, 2), int)])
def test_no_examples_have_no_score(table):
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 0"):
        nce(table)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (np.ones((2, 2)), "need a table"),
        (np.ones(2, int), "need a table"),
        (np.array([[1, -1], [1, 1]]), "counts must be at least 0, got -1"),
    ],
)
def test_what_is_no_table_of_counts_is_refused(table, message):
    with pytest.raises(ValueError, match=message):
        nce(table)


@pytest.mark.parametrize(
    ("source", "target", "message"),
    [
        ([0, 1], [0], r"need two label columns of shape \(n,\), got \(2,\) and \(1,\)"),
        ([0, 2], [0, 1], r"source labels must be in 0\.\.1, got 0 to 2"),
        ([0, 1], [-1, 1], r"target labels must be in 0\.\.1, got -1 to 1"),
    ],
)
def test_label_columns_that_do_not_fit_are_refused(source, target, message):
    with pytest.raises(ValueError, match=message):
        contingency_table(np.array(source), np.array(target), sources=2, targets=2)
