import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from registry.task_map import task_map


def three_kinds(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Scores of 12 sources of 3 kinds on 12 targets: a source serves its own kind, some targets are easy."""
    generator = np.random.default_rng(seed)
    kinds = np.repeat([0, 1, 2], [3, 4, 5])
    same = kinds[:, None] == kinds[None, :]
    easy = generator.uniform(0, 0.5, size=12)
    return 0.3 * same + easy + generator.normal(0, 0.02, size=(12, 12)), kinds


def same_partition(one: tuple[int, ...], other: np.ndarray) -> bool:
    pairs = set(zip(one, other.tolist(), strict=True))
    return len(pairs) == len(set(one)) == len(set(other.tolist()))


@pytest.mark.parametrize("seed", range(5))
def test_sources_that_serve_the_same_targets_are_one_cluster(seed):
    scores, kinds = three_kinds(seed)
    assert same_partition(task_map(scores).clusters, kinds)


def test_the_level_of_a_target_does_not_matter():
    scores, _ = three_kinds(0)
    louder = scores * np.random.default_rng(1).uniform(0.2, 5, size=(1, 12))
    assert task_map(louder).clusters == task_map(scores).clusters


def test_the_level_of_a_source_does_not_matter():
    scores = np.array([[0.9, 0.8, 0.1, 0.1], [0.1, 0.1, 0.8, 0.9], [0.09, 0.08, 0.01, 0.01]])
    assert task_map(scores).clusters[0] == task_map(scores).clusters[2] != task_map(scores).clusters[1]


def test_sources_whose_profiles_do_not_correlate_stay_apart():
    scores = np.array([[1.0, 1.0, 0.0, 0.0], [1.0, 0.0, 1.0, 0.0], [0.5, 0.5, 0.5, 0.5]])
    assert sorted(task_map(scores).clusters) == [0, 1, 2]


def test_the_order_keeps_clusters_together_and_numbers_them_as_they_come():
    layout = task_map(three_kinds(1)[0])
    in_order = [layout.clusters[source] for source in layout.order]
    assert sorted(layout.order) == list(range(12))
    assert in_order == sorted(in_order)


@given(st.integers(1, 7), st.integers(1, 7), st.integers(0, 1000))
def test_any_finite_matrix_has_a_layout(sources, targets, seed):
    scores = np.random.default_rng(seed).normal(size=(sources, targets))
    layout = task_map(scores)
    assert len(layout.clusters) == sources
    assert sorted(layout.order) == list(range(sources))


@pytest.mark.parametrize("scores", [np.zeros((5, 4)), np.ones((2, 9)), np.tile(np.arange(4.0), (6, 1))])
def test_sources_that_do_not_differ_are_one_cluster(scores):
    assert set(task_map(scores).clusters) == {0}


@pytest.mark.parametrize("scores", [np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_what_is_no_finite_matrix_is_refused(scores):
    with pytest.raises(ValueError, match="finite matrix"):
        task_map(scores)
