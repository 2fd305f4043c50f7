"""LEEP: how well the predictions of a source head, re-read as target labels, predict the task."""

import numpy as np
from numpy.typing import NDArray

from kernel_methods.estimators.examples import labels_present
from kernel_methods.rows import membership
from kernel_methods.statistics import ROWS_AT_ONCE

TOLERANCE = 1e-2
"""How far the probabilities of an example may be from adding up to 1: bfloat16 keeps three digits."""


def leep(probabilities: NDArray[np.floating], labels: NDArray[np.integer], *, classes: int) -> float:
    """Mean log-probability of the target label under the empirical P(y | z) and the head's probabilities of z.

    Args:
        probabilities: of each source label z, for every example; they are scaled to add up to 1. Shape (n, Z).
        labels: target class of every example, 0 to ``classes - 1``. Shape (n,), integer.
        classes: number of target classes C.

    Returns:
        In nats, in [-log C, 0] up to rounding; larger is better. Equals NCE where every prediction is certain.

    Raises:
        ValueError: shapes do not match, a label is out of range, the numbers are no probabilities, or fewer than two
            classes have examples.

    Source:
        Nguyen, Hassner, Seeger, Archambeau (2020), LEEP: A New Measure to Evaluate Transferability of Learned
        Representations, section 3.
    """
    renumbered, present = labels_present(probabilities, labels)
    if not 0 <= labels.min() <= labels.max() < classes:
        raise ValueError(f"labels must be in 0..{classes - 1}, got {labels.min()} to {labels.max()}")
    blocks = [slice(start, start + ROWS_AT_ONCE) for start in range(0, len(labels), ROWS_AT_ONCE)]
    joint = np.zeros((present, probabilities.shape[1]))
    for block in blocks:
        joint += membership(renumbered[block], classes=present) @ _checked(probabilities[block])
    sources = joint.sum(axis=0)
    conditional = np.divide(joint, sources, out=np.zeros_like(joint), where=sources > 0.0)
    total = 0.0
    for block in blocks:
        expected = np.einsum("ij,ij->i", _checked(probabilities[block]), conditional[renumbered[block]])
        total += float(np.log(expected).sum())
    return total / len(labels)


def _checked(probabilities: NDArray[np.floating]) -> NDArray[np.float64]:
    """Rows (n, Z) that add up to 1, in float64."""
    rows = probabilities.astype(np.float64)
    sums = rows.sum(axis=1, keepdims=True)
    if not np.all(np.isfinite(sums)) or rows.min() < 0.0 or np.abs(sums - 1.0).max() > TOLERANCE:
        raise ValueError(
            f"need probabilities that add up to 1 in every row, got {rows.min():.6g} to {rows.max():.6g} with sums "
            f"{sums.min():.6g} to {sums.max():.6g}; give the softmax of the source head's outputs"
        )
    return np.asarray(rows / sums)
