"""k nearest neighbours: a reference that needs the features themselves and n^2 d work, n^2 in no memory.

Nothing depends on the order of the examples. Neighbours tied at the k-th place share the votes that are left among
them; classes tied at the top share the point.
"""

import numpy as np
from numpy.typing import NDArray

from kernel_methods.estimators.examples import Integers, labels_present
from kernel_methods.rows import Floats, unit_rows

VALUES_AT_ONCE = 2**22
SAME_COSINE = 1e-10
SAME_VOTES = 1e-9


def knn_accuracy(features: NDArray[np.floating], labels: NDArray[np.integer], *, neighbours: int = 20) -> float:
    """Share of examples whose class wins the vote of their nearest others by cosine: leave-one-out accuracy.

    Args:
        features: shape (n, d); a row of zeros is as near to every example as to any other.
        labels: class index of every example. Shape (n,), integer.
        neighbours: how many vote, at least 1; n - 1 where there are fewer.

    Returns:
        In [0, 1]; larger is better.

    Raises:
        ValueError: shapes do not match, a feature is not finite, ``neighbours`` is below 1, or fewer than two classes
            have examples.

    Source:
        Cover, Hart (1967), Nearest Neighbor Pattern Classification; leave-one-out.
    """
    if neighbours < 1:
        raise ValueError(f"need at least 1 neighbour, got {neighbours}")
    renumbered, classes = labels_present(features, labels)
    rows, _ = unit_rows(features)
    block = max(1, VALUES_AT_ONCE // max(len(rows), classes))
    points = 0.0
    for start in range(0, len(rows), block):
        members = np.arange(start, min(start + block, len(rows)))
        votes = _votes(rows, renumbered, members, neighbours=min(neighbours, len(rows) - 1), classes=classes)
        points += _points(votes, renumbered[members])
    return points / len(rows)


def _votes(rows: Floats, labels: Integers, members: Integers, *, neighbours: int, classes: int) -> Floats:
    """Votes for each class about each of ``members``: shape (m, C); every row adds up to ``neighbours``."""
    cosines = rows[members] @ rows.T
    cosines[np.arange(len(members)), members] = -np.inf
    last = np.partition(cosines, len(rows) - neighbours, axis=1)[:, len(rows) - neighbours, None]
    near = cosines >= last - SAME_COSINE
    example, neighbour = np.nonzero(near)
    is_tied = cosines[example, neighbour] <= last[example, 0] + SAME_COSINE
    tied = np.bincount(example[is_tied], minlength=len(members))
    left = neighbours - np.bincount(example[~is_tied], minlength=len(members))
    weights = np.where(is_tied, (left / tied)[example], 1.0)
    cells = np.bincount(example * classes + labels[neighbour], weights=weights, minlength=len(members) * classes)
    return np.asarray(cells, np.float64).reshape(len(members), classes)


def _points(votes: Floats, labels: Integers) -> float:
    wins = votes >= votes.max(axis=1, keepdims=True) - SAME_VOTES
    return float((wins[np.arange(len(labels)), labels] / wins.sum(axis=1)).sum())
