"""NCE: how much the labels of a source tell about the labels of the task, with no features at all.

The source labels Z are what a source head predicts for the task's examples, or a second column of labels of the same
data set: then it is a transferability between tasks that needs no module. How hard the task is by itself is the same
with a source that tells nothing: the entropy of its labels.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import xlogy

Integers = NDArray[np.int64]


def contingency_table(
    source: NDArray[np.integer], target: NDArray[np.integer], *, sources: int, targets: int
) -> Integers:
    """How often each source label goes with each target label; tables of disjoint examples add.

    Args:
        source: source label of every example, 0 to ``sources - 1``. Shape (n,), integer.
        target: target label of every example, 0 to ``targets - 1``. Shape (n,), integer.
        sources: number of source labels Z.
        targets: number of target labels Y.

    Returns:
        Shape (Z, Y).

    Raises:
        ValueError: the shapes differ or a label is out of range.
    """
    if source.ndim != 1 or source.shape != target.shape:
        raise ValueError(f"need two label columns of shape (n,), got {source.shape} and {target.shape}")
    for name, labels, limit in (("source", source, sources), ("target", target, targets)):
        if len(labels) and not 0 <= labels.min() <= labels.max() < limit:
            raise ValueError(f"{name} labels must be in 0..{limit - 1}, got {labels.min()} to {labels.max()}")
    cells = source.astype(np.int64) * targets + target
    return np.bincount(cells, minlength=sources * targets).reshape(sources, targets).astype(np.int64)


def nce(counts: NDArray[np.integer]) -> float:
    """Negative conditional entropy -H(Y | Z) of the target label given the source label.

    Args:
        counts: examples of each source label (row) and target label (column). Shape (Z, Y), integer, at least 0.

    Returns:
        In nats, in [-log Y, 0], where 0 means that the source label tells the target label; larger is better.

    Raises:
        ValueError: ``counts`` is no such table, or fewer than two target labels have examples.

    Source:
        Tran, Nguyen, Hassner (2019), Transferability and Hardness of Supervised Classification Tasks.
    """
    table = _checked(counts)
    return nce_of_cells(table, table.sum(axis=1))


def nce_of_cells(cells: NDArray[np.float64], sources: NDArray[np.float64]) -> float:
    """`nce` from the cells of a table that have examples, for tables that are too large and empty to be written out.

    Args:
        cells: examples of each pair of a source label and a target label; pairs without any may be left out.
        sources: examples of each source label, the sums of the cells. Shape (Z,).
    """
    return min(0.0, float((xlogy(cells, cells).sum() - xlogy(sources, sources).sum()) / cells.sum()))


def label_entropy(counts: NDArray[np.integer]) -> float:
    """Entropy H(Y) of the target label: how hard the task is for a source that tells nothing of it.

    Args:
        counts: examples of each target label, shape (Y,), or of each source and target label, shape (Z, Y).

    Returns:
        In nats, in [0, log Y]; larger is harder.

    Raises:
        ValueError: as `nce`.

    Source:
        Tran, Nguyen, Hassner (2019), Transferability and Hardness of Supervised Classification Tasks.
    """
    return -nce(_checked(np.atleast_2d(counts)).sum(axis=0, keepdims=True).astype(np.int64))


def _checked(counts: NDArray[np.integer]) -> NDArray[np.float64]:
    if counts.ndim != 2 or not np.issubdtype(counts.dtype, np.integer):
        raise ValueError(f"need a table (Z, Y) of integers, got shape {counts.shape} of {counts.dtype}")
    if counts.size and counts.min() < 0:
        raise ValueError(f"counts must be at least 0, got {counts.min()}")
    present = int(np.count_nonzero(counts.any(axis=0)))
    if present < 2:
        raise ValueError(f"undefined: an estimator needs examples of two classes, got {present} of {counts.shape[1]}")
    return counts.astype(np.float64)
