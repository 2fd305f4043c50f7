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


def average_linkage(scores: np.ndarray) -> list[float]:
    """Heights of the merges by their definition: each time the two clusters nearest on average, over all pairs."""
    relative = scores / np.sqrt((scores**2).mean(axis=0))
    distances = 1.0 - np.corrcoef(relative)
    clusters = [[source] for source in range(len(scores))]
    heights = []
    while len(clusters) > 1:
        between = {
            (i, j): float(np.mean([distances[one, other] for one in clusters[i] for other in clusters[j]]))
            for i in range(len(clusters))
            for j in range(i)
        }
        i, j = min(between, key=lambda pair: between[pair])
        heights.append(between[i, j])
        clusters[j] = clusters[j] + clusters.pop(i)
    return heights


@given(st.integers(2, 9), st.integers(3, 9), st.integers(0, 1000))
def test_the_tree_is_that_of_average_linkage_and_never_falls(sources, targets, seed):
    scores = np.random.default_rng(seed).uniform(0.1, 1, size=(sources, targets))
    heights = [merge.distance for merge in task_map(scores).tree]
    assert heights == pytest.approx(average_linkage(scores), abs=1e-9)
    assert heights == sorted(heights)


@given(st.integers(1, 9), st.integers(1, 9), st.integers(0, 1000))
def test_every_source_and_merge_but_the_last_is_merged_once(sources, targets, seed):
    tree = task_map(np.random.default_rng(seed).normal(size=(sources, targets))).tree
    merged = sorted(part for merge in tree for part in (merge.left, merge.right))
    assert merged == list(range(2 * sources - 2))
    sizes = [1] * sources
    for merge in tree:
        sizes.append(sizes[merge.left] + sizes[merge.right])
    assert [merge.size for merge in tree] == sizes[sources:]


def test_the_plane_keeps_the_distances_of_profiles_where_it_can():
    scores = np.array([[1.0, 1.0, 0.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0], [2.0, 2.0, 0.0]])
    embedding = task_map(scores).embedding
    places = np.array(embedding.coordinates)
    relative = scores / np.sqrt((scores**2).mean(axis=0))
    wanted = np.sqrt(2.0 * np.maximum(1.0 - np.corrcoef(relative), 0.0))
    assert embedding.kept == pytest.approx(1.0)
    assert np.allclose(np.linalg.norm(places[:, None] - places[None], axis=-1), wanted, atol=1e-6)


def test_one_source_has_no_tree_and_lies_in_the_middle():
    layout = task_map(np.array([[0.3, 0.9, 0.1]]))
    assert layout.tree == ()
    assert (layout.embedding.coordinates, layout.embedding.kept) == (((0.0, 0.0),), 1.0)


def test_equal_profiles_are_merged_at_no_distance_and_lie_in_one_place():
    layout = task_map(np.tile(np.array([0.1, 0.7, 0.2]), (4, 1)) * np.array([[1.0], [2.0], [3.0], [0.7]]))
    assert [merge.distance for merge in layout.tree] == [0.0, 0.0, 0.0]
    assert set(layout.embedding.coordinates) == {(0.0, 0.0)}


@pytest.mark.parametrize("scores", [np.zeros((0, 3)), np.zeros(3), np.array([[np.nan, 1.0]])])
def test_what_is_no_finite_matrix_is_refused(scores):
    with pytest.raises(ValueError, match="finite matrix"):
        task_map(scores)
