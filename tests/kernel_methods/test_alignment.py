import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from kernel_methods import alignment, alignment_by_definition
from kernel_methods.statistics import TaskStatistics, merge
from tests.kernel_methods import slow_definitions as slow
from tests.kernel_methods.drawing import RANGES, clustered, labelled_features, sharding

NAMES = ["alignment", "upper_triangle_alignment", "centred_alignment", "negative_mean_squared_error", "raw"]


def unit_rows(features):
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.where(lengths > 1e-12, lengths, 1.0)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=40, deadline=None)
@given(st.data(), labelled_features(), st.sampled_from(RANGES))
def test_a_score_from_shards_equals_its_definition_in_python_floats(name, data, task, kernel_range):
    features, labels, classes = task
    k_min, k_max = kernel_range
    assume(slow.tells_pairs_apart(slow.kernel(features)))
    parts = data.draw(sharding(len(labels)))
    stats = merge([TaskStatistics.of(features[part], labels[part], classes=classes) for part in parts])
    fast = alignment.score_by_name(name, stats, k_min=k_min, k_max=k_max)
    target = slow.ideal(labels.tolist(), k_min=k_min, k_max=k_max)
    assert fast == pytest.approx(getattr(slow, name)(slow.kernel(features), target), abs=1e-10)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("examples", "dimensions"), [(300, 40), (60, 200)])
@pytest.mark.parametrize(("k_min", "k_max"), RANGES)
def test_a_score_equals_its_matrix_definition(name, examples, dimensions, k_min, k_max):
    features, labels = clustered(3, examples=examples, dimensions=dimensions, classes=6, zero_rows=9)
    stats = TaskStatistics.of(features, labels, classes=6)
    gram = alignment_by_definition.gram_matrix(unit_rows(features))
    ideal = alignment_by_definition.ideal_matrix(labels, k_min=k_min, k_max=k_max)
    fast = alignment.score_by_name(name, stats, k_min=k_min, k_max=k_max)
    assert fast == pytest.approx(alignment_by_definition.score_by_definition(name, gram, ideal), abs=1e-10)


@settings(max_examples=40, deadline=None)
@given(labelled_features())
def test_biased_centred_alignment_equals_its_definition(task):
    features, labels, classes = task
    assume(slow.tells_pairs_apart(slow.kernel(features)))
    gram = alignment_by_definition.gram_matrix(unit_rows(features))
    ideal = alignment_by_definition.ideal_matrix(labels, k_min=-1.0, k_max=1.0)
    fast = alignment.biased_centred_alignment(TaskStatistics.of(features, labels, classes=classes))
    assert fast == pytest.approx(alignment_by_definition.biased_centred_alignment(gram, ideal), abs=1e-10)


def test_centred_alignment_of_noise_is_zero_on_average_where_the_biased_one_is_not():
    debiased, biased = [], []
    for seed in range(60):
        draw = np.random.default_rng(seed)
        stats = TaskStatistics.of(draw.standard_normal((50, 200)), np.arange(50) % 5, classes=5)
        debiased.append(alignment.centred_alignment(stats))
        biased.append(alignment.biased_centred_alignment(stats))
    assert abs(np.mean(debiased)) < 3 * np.std(debiased) / np.sqrt(60)
    assert np.mean(biased) > 0.2


@pytest.mark.parametrize("name", ["alignment", "upper_triangle_alignment", "centred_alignment"])
def test_perfect_features_score_one(name):
    labels = np.array([0, 0, 0, 1, 1, 2])
    stats = TaskStatistics.of(np.eye(3)[labels], labels, classes=3)
    assert alignment.score_by_name(name, stats, k_min=0.0, k_max=1.0) == pytest.approx(1.0, abs=1e-12)


def test_perfect_features_have_no_squared_error():
    labels = np.array([0, 0, 1, 1])
    stats = TaskStatistics.of(np.array([[1.0], [1.0], [-1.0], [-1.0]]), labels, classes=2)
    assert alignment.negative_mean_squared_error(stats, k_min=-1.0, k_max=1.0) == 0.0


@pytest.mark.parametrize("name", ["alignment", "upper_triangle_alignment", "centred_alignment", "raw"])
def test_features_of_zeros_score_zero(name):
    stats = TaskStatistics.of(np.zeros((6, 3)), np.array([0, 0, 1, 1, 2, 2]), classes=3)
    assert alignment.score_by_name(name, stats, k_min=0.0, k_max=1.0) == 0.0


def test_one_zero_row_among_equal_features_says_nothing_once_centred():
    features = np.ones((8, 2))
    features[3] = 0.0
    stats = TaskStatistics.of(features, np.arange(8) % 2, classes=2)
    assert alignment.centred_alignment(stats) == 0.0


def test_equal_features_score_zero_once_centred():
    features = np.tile(np.random.default_rng(0).random(7), (500, 1)).astype(np.float32)
    stats = TaskStatistics.of(features, np.arange(500) % 3, classes=3)
    assert alignment.centred_alignment(stats) == 0.0
    assert alignment.biased_centred_alignment(stats) == 0.0


def test_centred_alignment_of_classes_of_one_example_is_zero():
    stats = TaskStatistics.of(np.random.default_rng(0).random((5, 3)), np.arange(5), classes=5)
    assert alignment.centred_alignment(stats) == 0.0


@pytest.mark.parametrize("name", NAMES)
def test_one_class_has_no_score(name):
    stats = TaskStatistics.of(np.eye(5), np.zeros(5, np.int64), classes=3)
    with pytest.raises(ValueError, match="undefined: a score needs examples of two classes, got 1 of 3"):
        alignment.score_by_name(name, stats, k_min=0.0, k_max=1.0)


@pytest.mark.parametrize("name", NAMES)
def test_no_examples_have_no_score(name):
    with pytest.raises(ValueError, match="undefined"):
        alignment.score_by_name(name, TaskStatistics.empty(2, 3), k_min=0.0, k_max=1.0)


def test_three_examples_have_no_centred_alignment():
    stats = TaskStatistics.of(np.eye(3), np.array([0, 0, 1]), classes=2)
    with pytest.raises(ValueError, match="undefined: debiased centred alignment needs 4 examples, got 3"):
        alignment.centred_alignment(stats)


def test_upper_triangle_alignment_without_a_same_class_pair_is_undefined_for_k_min_zero():
    stats = TaskStatistics.of(np.eye(3), np.arange(3), classes=3)
    with pytest.raises(ValueError, match="no class has two examples"):
        alignment.upper_triangle_alignment(stats, k_min=0.0, k_max=1.0)


@pytest.mark.parametrize("name", ["alignment", "upper_triangle_alignment", "negative_mean_squared_error", "raw"])
def test_a_range_upside_down_is_refused(name):
    stats = TaskStatistics.of(np.eye(4), np.array([0, 0, 1, 1]), classes=2)
    with pytest.raises(ValueError, match=r"k_min=1\.0 and k_max=0\.0"):
        alignment.score_by_name(name, stats, k_min=1.0, k_max=0.0)
