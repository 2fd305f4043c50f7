"""Points in a plane whose distances are those of a distance matrix, as nearly as a plane allows."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

DIMENSIONS = 2
EQUAL = 1e-9
"""Eigenvalues that differ by less than this share of the largest are one: their axes may turn into each other."""

NOTHING = 1e-12
"""Axes with less than this share of the largest eigenvalue hold rounding only."""


@dataclass(frozen=True, slots=True)
class Embedding:
    """A place in the plane for every point, and the share of the distances' variance that the plane keeps."""

    coordinates: tuple[tuple[float, float], ...]
    kept: float


def embed_distances(distances: NDArray[np.float64]) -> Embedding:
    """Classical multidimensional scaling into two dimensions, the same for the same distances to the last sign.

    The axes are those of most variance. Each axis is turned so that the point farthest along it (the first of those
    equally far) is on the positive side. Axes of equal variance, which the method leaves free to turn, are laid
    through the points that reach farthest into their plane, the first of those equally far.

    Args:
        distances: distance of every pair of points. Shape (n, n), finite, symmetric, not negative, zero diagonal.

    Returns:
        Coordinates in the unit of the distances, with their mean at (0, 0). `kept` is the sum of the two largest
        eigenvalues over the sum of the sizes of all, in [0, 1]; 1 where all points are in one place.

    Raises:
        ValueError: ``distances`` is no such matrix, or holds no point.

    Source:
        Torgerson (1952), Multidimensional Scaling: I. Theory and Method, equations 6 to 9; the share kept is that of
        Mardia, Kent, Bibby (1979), Multivariate Analysis, equation 14.4.7.
    """
    _check(distances)
    n = len(distances)
    if n == 1:
        return Embedding(((0.0, 0.0),), 1.0)
    centring = np.eye(n) - 1.0 / n
    products = -0.5 * centring @ distances**2 @ centring
    values, vectors = np.linalg.eigh((products + products.T) / 2)
    values, vectors = values[::-1], vectors[:, ::-1]
    total = float(np.abs(values).sum())
    if total == 0.0:
        return Embedding(((0.0, 0.0),) * n, 1.0)
    held = np.where(values > NOTHING * values[0], values, 0.0)[:DIMENSIONS]
    places = _settled_axes(values, vectors) * np.sqrt(held)
    return Embedding(tuple((float(x), float(y)) for x, y in places), float(held.sum()) / total)


def _settled_axes(values: NDArray[np.float64], vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The first two eigenvectors, free of the choices that a solver makes: signs, and turns among equal eigenvalues.

    What is unique is the projection onto each group of equal eigenvalues, so the axes are taken from its columns.
    """
    axes: list[NDArray[np.float64]] = []
    start = 0
    while len(axes) < DIMENSIONS:
        equal = values >= values[start] - EQUAL * abs(values[0])
        end = int(np.flatnonzero(equal)[-1]) + 1
        group = vectors[:, start:end]
        projection = group @ group.T
        for _ in range(min(end - start, DIMENSIONS - len(axes))):
            axis = _farthest_column(projection)
            projection = projection - np.outer(axis, axis)
            axes.append(axis)
        start = end
    return np.stack(axes, axis=1)


def _farthest_column(projection: NDArray[np.float64]) -> NDArray[np.float64]:
    """The longest column of a projection, as a unit vector; the first of those equally long."""
    lengths = np.sqrt(np.maximum(np.diag(projection), 0.0))
    pivot = int(np.flatnonzero(lengths >= lengths.max() * (1.0 - 1e-6))[0])
    column = projection[:, pivot]
    return np.asarray(column / np.linalg.norm(column))


def _check(distances: NDArray[np.float64]) -> None:
    """Raises ValueError for what is no matrix of distances."""
    square = distances.ndim == 2 and distances.shape[0] == distances.shape[1] > 0
    if not square or not np.isfinite(distances).all():
        raise ValueError(f"distances must be a finite matrix of shape (n, n), n > 0, got shape {distances.shape}")
    if (distances < 0).any() or np.diag(distances).any() or not np.allclose(distances, distances.T):
        raise ValueError("distances must be symmetric, not negative, and zero from each point to itself")
