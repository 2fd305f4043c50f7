"""The task map: which source tasks serve the same target tasks, from a source x target matrix of scores."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist, squareform

from registry.embedding import Embedding, embed_distances

FLAT = 1e-9
APART = 1.0 - FLAT
"""Distance from which two clusters stay apart: their profiles do not correlate, or correlate negatively."""


class Merge(NamedTuple):
    """One step of the clustering, as a row of SciPy's linkage: which two become one, how far apart, how many sources.

    Numbers below the number of sources are sources; the others are merges, counted on from there.
    """

    left: int
    right: int
    distance: float
    size: int


@dataclass(frozen=True, slots=True)
class TaskMapLayout:
    """How to draw the map: the cluster of every source, counted from 0, and an order that keeps them together.

    `tree` is how the clusters grew, nearest first; `embedding` lays the sources out in a plane.
    """

    clusters: tuple[int, ...]
    order: tuple[int, ...]
    tree: tuple[Merge, ...]
    embedding: Embedding


def task_map(scores: NDArray[np.float64]) -> TaskMapLayout:
    """Cluster sources by what they are good for, whatever the level of their scores.

    Each score is first divided by its target's root mean square over all sources, since some targets are easy
    for everyone. Two sources are as near as their profiles, over all targets, correlate: r becomes the distance
    1 - r. By average linkage clusters grow together as long as they correlate positively, so their number needs no
    choice. The plane keeps, as well as it can, the straight distances sqrt(2 (1 - r)) between profiles of unit length.

    Args:
        scores: score of every source on every target, larger is better. Shape (s, t), finite.

    Returns:
        Cluster of each source and the order of the leaves; clusters are numbered as they come in that order. The
        distances of the tree are in [0, 2] and never fall; s sources have s - 1 merges.

    Raises:
        ValueError: ``scores`` is not a matrix of finite numbers with at least one row and one column.

    Source:
        Sokal, Michener (1958), A Statistical Method for Evaluating Systematic Relationships: average linkage
        of correlations.
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape or not np.isfinite(matrix).all():
        raise ValueError(f"scores must be a finite matrix of shape (s, t), got shape {matrix.shape}")
    distances = _profile_distances(matrix)
    embedding = embed_distances(np.asarray(squareform(np.sqrt(2.0 * distances)), dtype=np.float64))
    if len(matrix) == 1:
        return TaskMapLayout((0,), (0,), (), embedding)
    tree = optimal_leaf_ordering(linkage(distances, method="average"), distances)
    order = tuple(int(leaf) for leaf in leaves_list(tree))
    labels = np.asarray(fcluster(tree, APART, criterion="distance"), dtype=np.int64)
    merges = tuple(Merge(int(left), int(right), float(distance), int(size)) for left, right, distance, size in tree)
    return TaskMapLayout(_renumber(labels, order), order, merges, embedding)


def _profile_distances(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """One minus the correlation of every pair of profiles, in [0, 2], condensed.

    Flat profiles, of sources that serve all targets alike, are at 0 from each other and at 1 from all others.
    """
    levels = np.sqrt((matrix**2).mean(axis=0))
    relative = matrix / np.where(levels > 0, levels, 1.0)
    centred = relative - relative.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    flat = norms <= FLAT * np.abs(relative).max()
    profiles = np.where(flat, 0.0, centred / np.where(flat, 1.0, norms))
    distances = np.asarray(pdist(np.hstack([profiles, flat]), metric="sqeuclidean") / 2)
    return np.where(distances < FLAT, 0.0, distances)


def _renumber(labels: NDArray[np.int64], order: tuple[int, ...]) -> tuple[int, ...]:
    """Number clusters from 0 as they come in the order of the leaves."""
    numbers: dict[int, int] = {}
    for leaf in order:
        numbers.setdefault(int(labels[leaf]), len(numbers))
    return tuple(numbers[int(label)] for label in labels)
