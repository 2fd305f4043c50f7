"""Rows of features on their way into statistics: unit norm, sums and moments by class."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

Floats = NDArray[np.float64]

SHORTEST_NORM = 1e-12


def unit_rows(features: NDArray[np.floating]) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows at unit norm in float64, and which of them are zero (no longer than 1e-12) and stay so.

    Raises:
        ValueError: a feature is not finite.
    """
    rows = features.astype(np.float64)
    norms = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not np.all(np.isfinite(norms)):
        raise ValueError(f"features must be finite, got {int(np.sum(~np.isfinite(norms)))} rows that are not")
    is_zero = norms <= SHORTEST_NORM
    rows *= np.where(is_zero, 0.0, 1.0 / np.where(is_zero, 1.0, norms))[:, None]
    return rows, is_zero


def membership(labels: NDArray[np.integer], *, classes: int) -> sparse.csr_array:
    """Matrix (C, n) of ones where an example (column) is of a class (row): times rows, it sums by class."""
    columns = np.arange(len(labels))
    return sparse.csr_array((np.ones(len(labels)), (labels, columns)), shape=(classes, len(labels)))


def moments_by_class(rows: Floats, labels: NDArray[np.integer], *, classes: int) -> Floats:
    """Sum of phi phi^T of the rows of each class: shapes (n, d) and (n,) to (C, d, d)."""
    moments = np.zeros((classes, rows.shape[1], rows.shape[1]))
    for label in np.unique(labels):
        members = rows[labels == label]
        moments[label] = symmetric(members.T @ members)
    return moments


def symmetric(matrix: Floats) -> Floats:
    """The mean of a square matrix and its transpose: what rounding made uneven becomes even."""
    return 0.5 * (matrix + matrix.T)
