"""What estimators ask of the examples they are given: two classes at least, and shapes that belong together."""

import numpy as np
from numpy.typing import NDArray

from kernel_methods.statistics import TaskStatistics

Integers = NDArray[np.int64]


def classes_present(stats: TaskStatistics) -> Integers:
    """Indices of the classes that have examples, in order; all others are passed over.

    Raises:
        ValueError: fewer than two classes have examples.
    """
    present = np.flatnonzero(stats.counts > 0)
    _check_two(len(present), of=stats.classes)
    return present


def labels_present(features: NDArray[np.floating], labels: NDArray[np.integer]) -> tuple[Integers, int]:
    """Labels as 0 to C - 1, where C is the number of classes that have examples.

    Args:
        features: shape (n, d).
        labels: class index of every example. Shape (n,), integer.

    Returns:
        The new labels, shape (n,), and C.

    Raises:
        ValueError: shapes do not match, labels are no integers, or fewer than two classes have examples.
    """
    if features.ndim != 2 or labels.shape != (len(features),):
        raise ValueError(f"need features (n, d) and labels (n,), got {features.shape} and {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    present, renumbered = np.unique(labels, return_inverse=True)
    _check_two(len(present), of=len(present))
    return renumbered.astype(np.int64), len(present)


def _check_two(present: int, *, of: int) -> None:
    if present < 2:
        raise ValueError(f"undefined: an estimator needs examples of two classes, got {present} of {of}")
