"""Rows of features on their way into statistics: unit norm, sums and moments by class."""

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.linalg.blas import dsyrk

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SHORTEST_NORM = 1e-12
ROWS_IN_CACHE = 256


def unit_rows(features: NDArray[np.floating]) -> tuple[Floats, NDArray[np.bool_]]:
    """Rows at unit norm in float64, and which of them are zero (no longer than 1e-12) and stay so.

    Raises:
        ValueError: a feature is not finite.
    """
    rows = np.empty(features.shape)
    return rows, write_unit_rows(features, into=rows)


def write_unit_rows(features: NDArray[np.floating], *, into: Floats) -> NDArray[np.bool_]:
    """Write rows at unit norm into an array of their shape; which of them are zero, as `unit_rows` has it."""
    norms = np.empty(len(features))
    for start in range(0, len(features), ROWS_IN_CACHE):
        part = slice(start, start + ROWS_IN_CACHE)
        rows = into[part]
        rows[...] = features[part]
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows), out=norms[part])
        if not np.all(np.isfinite(lengths)):
            raise ValueError(f"features must be finite, got {int(np.sum(~np.isfinite(lengths)))} rows that are not")
        rows *= np.where(lengths <= SHORTEST_NORM, 0.0, 1.0 / np.maximum(lengths, SHORTEST_NORM))[:, None]
    return np.asarray(norms <= SHORTEST_NORM)


def membership(labels: NDArray[np.integer], *, classes: int) -> sparse.csr_array:
    """Matrix (C, n) of ones where an example (column) is of a class (row): times rows, it sums by class."""
    columns = np.arange(len(labels))
    return sparse.csr_array((np.ones(len(labels)), (labels, columns)), shape=(classes, len(labels)))


class RowSums:
    """Adds blocks of labelled features in place: what `TaskStatistics.of` is made of.

    Args:
        classes: number of classes C.
        dimensions: number of features d.
        rows_at_once: most rows of a block.
        by_class: keep the second moment of each class, rather than of all examples.
    """

    def __init__(self, classes: int, dimensions: int, *, rows_at_once: int, by_class: bool) -> None:
        """Start with no example. Raises ValueError where there is no class or no dimension."""
        if min(classes, dimensions) < 1:
            raise ValueError(f"class_sums need shape (C, d), both at least 1, got {(classes, dimensions)}")
        self.counts: Integers = np.zeros(classes, np.int64)
        self.zeros: Integers = np.zeros(classes, np.int64)
        self.class_sums: Floats = np.zeros((classes, dimensions))
        self._lower: Floats = np.zeros((classes if by_class else 1, dimensions, dimensions))
        self._rows: Floats = np.empty((rows_at_once, dimensions))
        self._by_class = by_class

    def add(self, features: NDArray[np.floating], labels: NDArray[np.integer]) -> None:
        """Add a block: shapes (n, d) and (n,). Raises ValueError where a feature is not finite."""
        rows, classes = self._rows[: len(features)], len(self.counts)
        is_zero = write_unit_rows(features, into=rows)
        self.counts += np.bincount(labels, minlength=classes)
        self.zeros += np.bincount(labels[is_zero], minlength=classes)
        self.class_sums += membership(labels, classes=classes) @ rows
        if not self._by_class:
            _add_products(rows, into=self._lower[0])
            return
        for label in np.unique(labels):
            _add_products(rows[labels == label], into=self._lower[label])

    def moments(self) -> Floats:
        """Second moments, symmetric: (C, d, d) of the classes, or (1, d, d) of all examples. Adding ends here."""
        for lower in self._lower:
            lower[...] = lower + np.tril(lower, -1).T
        return self._lower


def _add_products(rows: Floats, *, into: Floats) -> None:
    """Add rows^T rows to the lower triangle of a matrix, at half the cost of the whole."""
    dsyrk(1.0, rows.T, beta=1.0, c=into.T, overwrite_c=1)


def symmetric(matrix: Floats) -> Floats:
    """The mean of a square matrix and its transpose: what rounding made uneven becomes even."""
    return 0.5 * (matrix + matrix.T)
