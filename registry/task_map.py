"""The task map: which source tasks serve the same target tasks, from a source x target matrix of scores."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import pdist, squareform

MOST_CLUSTERS = 8
FLAT = 1e-12


@dataclass(frozen=True, slots=True)
class TaskMapLayout:
    """How to draw the map: the cluster of every source, counted from 0, and an order that keeps them together."""

    clusters: tuple[int, ...]
    order: tuple[int, ...]


def task_map(scores: NDArray[np.float64]) -> TaskMapLayout:
    """Cluster sources by what they are good for, whatever the level of their scores.

    Each score is first taken relative to its target's mean over all sources, since some targets are easy for
    everyone; then two sources are near each other when their profiles correlate. Clusters come from average
    linkage; their number, 2 to 8, is the one with the largest mean silhouette. Fewer than four sources, or
    sources that do not differ, are one cluster.

    Args:
        scores: score of every source on every target, larger is better. Shape (s, t), finite.

    Returns:
        Cluster of each source and the order of the leaves; clusters are numbered as they come in that order.

    Raises:
        ValueError: ``scores`` is not a matrix of finite numbers with at least one row and one column.

    Source:
        Rousseeuw (1987), Silhouettes, equation for s(i).
    """
    matrix = np.asarray(scores, dtype=np.float64)
    if matrix.ndim != 2 or 0 in matrix.shape or not np.isfinite(matrix).all():
        raise ValueError(f"scores must be a finite matrix of shape (s, t), got shape {matrix.shape}")
    sources = len(matrix)
    distances = _profile_distances(matrix)
    if sources < 4 or distances.max(initial=0.0) <= FLAT:
        return TaskMapLayout((0,) * sources, tuple(range(sources)))
    tree = optimal_leaf_ordering(linkage(distances, method="average"), distances)
    order = tuple(int(leaf) for leaf in leaves_list(tree))
    return TaskMapLayout(_renumber(_best_cut(tree, distances), order), order)


def _profile_distances(matrix: NDArray[np.float64]) -> NDArray[np.float64]:
    """One minus the correlation of every pair of profiles, in [0, 2]; a flat profile is at 0.5 from others."""
    relative = matrix - matrix.mean(axis=0)
    centred = relative - relative.mean(axis=1, keepdims=True)
    norms = np.linalg.norm(centred, axis=1, keepdims=True)
    flat = norms <= FLAT * max(1.0, float(np.abs(matrix).max()))
    profiles = np.where(flat, 0.0, centred / np.where(flat, 1.0, norms))
    return np.asarray(pdist(profiles, metric="sqeuclidean") / 2)


def _best_cut(tree: NDArray[np.float64], distances: NDArray[np.float64]) -> NDArray[np.int64]:
    """Labels of the cut with the largest mean silhouette; the coarser one of equals."""
    square = squareform(distances)
    counts = range(2, min(MOST_CLUSTERS, len(square) - 1) + 1)
    cuts = [np.asarray(fcluster(tree, count, criterion="maxclust"), dtype=np.int64) for count in counts]
    return max(cuts, key=lambda labels: round(mean_silhouette(square, labels), 9))


def mean_silhouette(distances: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    """Mean silhouette of a clustering: how much nearer everything is to its own cluster than to the next.

    Args:
        distances: Shape (n, n), symmetric, zero on the diagonal.
        labels: cluster of every item. Shape (n,).

    Returns:
        In [-1, 1]; larger is better. Items alone in their cluster count 0, and so does a single cluster.

    Source:
        Rousseeuw (1987), Silhouettes, equation for s(i).
    """
    members = labels[:, None] == np.unique(labels)[None, :]
    if members.shape[1] < 2:
        return 0.0
    sizes = members.sum(axis=0)
    sums = distances @ members
    own = np.where(members, sums / np.maximum(sizes - 1, 1), 0.0).sum(axis=1)
    nearest = np.where(members, np.inf, sums / sizes).min(axis=1)
    widest = np.maximum(np.maximum(own, nearest), FLAT)
    alone = (members & (sizes == 1)).any(axis=1)
    return float(np.where(alone, 0.0, (nearest - own) / widest).mean())


def _renumber(labels: NDArray[np.int64], order: tuple[int, ...]) -> tuple[int, ...]:
    """Number clusters from 0 as they come in the order of the leaves."""
    numbers: dict[int, int] = {}
    for leaf in order:
        numbers.setdefault(int(labels[leaf]), len(numbers))
    return tuple(numbers[int(label)] for label in labels)
