import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kernel_methods.estimators.leep import leep
from kernel_methods.estimators.nce import contingency_table, nce
from tests.kernel_methods.estimators import slow


@st.composite
def predictions(draw):
    """Probabilities (n, Z), some of them 0, and labels (n,) of two classes at least."""
    examples, sources = draw(st.integers(2, 20)), draw(st.integers(1, 6))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    weights = random.random((examples, sources)) ** draw(st.sampled_from([1, 8])) * (random.random(sources) > 0.2)
    weights[:, 0] += 1e-3
    labels = random.integers(0, draw(st.integers(2, 4)), examples)
    labels[:2] = [0, 1]
    return weights / weights.sum(axis=1, keepdims=True), labels


@settings(max_examples=50, deadline=None)
@given(predictions())
def test_leep_equals_its_definition(task):
    probabilities, labels = task
    assert leep(probabilities, labels, classes=4) == pytest.approx(slow.leep(probabilities, labels), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(predictions())
def test_leep_of_certain_predictions_is_nce(task):
    probabilities, labels = task
    source = probabilities.argmax(axis=1)
    certain = np.eye(probabilities.shape[1])[source]
    table = contingency_table(source, labels, sources=probabilities.shape[1], targets=4)
    assert leep(certain, labels, classes=4) == pytest.approx(nce(table), abs=1e-12)


@settings(max_examples=50, deadline=None)
@given(predictions())
def test_leep_is_at_least_minus_the_entropy_that_a_source_without_information_leaves(task):
    probabilities, labels = task
    nothing = np.full_like(probabilities, 1.0 / probabilities.shape[1])
    shares = np.bincount(labels) / len(labels)
    entropy = -float(np.sum(shares[shares > 0] * np.log(shares[shares > 0])))
    assert leep(nothing, labels, classes=4) == pytest.approx(-entropy, abs=1e-12)


def test_blocks_change_nothing(monkeypatch):
    draw = np.random.default_rng(0)
    probabilities, labels = draw.dirichlet(np.ones(7), 50), draw.integers(0, 3, 50)
    whole = leep(probabilities, labels, classes=3)
    monkeypatch.setattr("kernel_methods.estimators.leep.ROWS_AT_ONCE", 8)
    assert leep(probabilities, labels, classes=3) == pytest.approx(whole, rel=1e-12)


def test_perfect_predictions_score_zero():
    labels = np.arange(12) % 3
    assert leep(np.eye(5)[labels], labels, classes=3) == 0.0


def test_half_precision_probabilities_need_not_add_up_to_one_exactly():
    probabilities, labels = np.array([[0.7, 0.3], [0.2, 0.8], [0.6, 0.4]]), np.array([0, 1, 0])
    rough = leep(probabilities.astype(np.float16), labels, classes=2)
    assert rough == pytest.approx(leep(probabilities, labels, classes=2), abs=1e-3)


@pytest.mark.parametrize(
    "rows", [[[2.0, 1.0], [0.0, 1.0]], [[1.5, -0.5], [0.0, 1.0]], [[np.nan, 1.0], [0.0, 1.0]], [[0.0, 0.0], [0.0, 1.0]]]
)
def test_what_are_no_probabilities_is_refused(rows):
    with pytest.raises(ValueError, match="give the softmax of the source head's outputs"):
        leep(np.array(rows), np.array([0, 1]), classes=2)


def test_one_class_has_no_score():
    with pytest.raises(ValueError, match="undefined: an estimator needs examples of two classes, got 1"):
        leep(np.eye(3), np.zeros(3, np.int64), classes=2)


def test_labels_out_of_range_are_refused():
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.1, got 0 to 2"):
        leep(np.eye(3), np.arange(3), classes=2)
