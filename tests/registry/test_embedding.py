import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import pdist, squareform

from registry.embedding import embed_distances

seeds = st.integers(0, 10_000)


def distances_of(points: np.ndarray) -> np.ndarray:
    return squareform(pdist(points))


def scattered(n: int, dimensions: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, dimensions)) * np.linspace(2.0, 1.0, dimensions)


@given(st.integers(2, 20), seeds)
def test_points_of_a_plane_keep_their_distances_exactly(n, seed):
    wanted = distances_of(scattered(n, 2, seed))
    embedding = embed_distances(wanted)
    assert np.allclose(distances_of(np.array(embedding.coordinates)), wanted, atol=1e-6 * wanted.max())
    assert embedding.kept == pytest.approx(1.0)


@given(st.integers(3, 15), seeds)
def test_points_of_space_land_on_their_principal_components(n, seed):
    points = scattered(n, 5, seed)
    centred = points - points.mean(axis=0)
    lengths = np.linalg.svd(centred, compute_uv=False)
    embedding = embed_distances(distances_of(points))
    spread = (np.array(embedding.coordinates) ** 2).sum(axis=0)
    assert spread == pytest.approx(lengths[:2] ** 2)
    assert embedding.kept == pytest.approx((lengths[:2] ** 2).sum() / (lengths**2).sum())


@given(st.integers(2, 12), seeds)
def test_turned_and_mirrored_points_have_the_same_embedding(n, seed):
    points = scattered(n, 3, seed)
    turn, _ = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(3, 3)))
    one, other = (embed_distances(distances_of(each)).coordinates for each in (points, points @ turn + 7.0))
    assert np.allclose(one, other, atol=1e-5)


def test_the_farthest_point_of_each_axis_is_on_its_positive_side():
    places = np.array(embed_distances(distances_of(scattered(9, 4, 3))).coordinates)
    assert (np.take_along_axis(places, np.abs(places).argmax(axis=0)[None], axis=0) > 0).all()
    assert np.allclose(places.mean(axis=0), 0.0)


def test_axes_of_equal_variance_are_laid_through_the_first_points():
    corners = 1.0 - np.eye(4)
    places = np.array(embed_distances(corners).coordinates)
    assert places[0, 1] == pytest.approx(0.0)
    assert places[0, 0] > 0 < places[1, 1]
    assert embed_distances(corners).kept == pytest.approx(2 / 3)


def test_distances_that_no_space_has_count_against_what_is_kept():
    impossible = np.array([[0.0, 1, 1, 3], [1, 0, 1, 1], [1, 1, 0, 1], [3, 1, 1, 0]])
    embedding = embed_distances(impossible)
    assert np.isfinite(embedding.coordinates).all()
    assert 0.0 < embedding.kept < 1.0


@pytest.mark.parametrize("n", [1, 2, 5])
def test_points_in_one_place_are_all_kept_in_the_middle(n):
    embedding = embed_distances(np.zeros((n, n)))
    assert embedding.coordinates == ((0.0, 0.0),) * n
    assert embedding.kept == 1.0


def test_two_points_lie_on_the_first_axis():
    coordinates = embed_distances(np.array([[0.0, 3.0], [3.0, 0.0]])).coordinates
    assert np.allclose(coordinates, [[1.5, 0.0], [-1.5, 0.0]])


WRONG = (np.zeros((0, 0)), np.zeros(3), np.zeros((2, 3)), np.full((2, 2), np.nan), np.ones((2, 2)), np.eye(2) - 1)


@pytest.mark.parametrize("distances", [*WRONG, np.array([[0.0, 1.0], [2.0, 0.0]])])
def test_what_is_no_matrix_of_distances_is_refused(distances):
    with pytest.raises(ValueError, match="distances must be"):
        embed_distances(distances)
