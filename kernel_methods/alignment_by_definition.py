"""The scores of `alignment` as they are defined, from n x n Gram matrices: slow, and for comparison.

Tests and benches hold the fast forms equal to these. Where `alignment` raises or gives 0.0 for want of
information, these divide by zero.
"""

import numpy as np
from numpy.typing import NDArray

from kernel_methods.kernels import ScoreName

Floats = NDArray[np.float64]


def gram_matrix(features: Floats) -> Floats:
    """Kernel values of all pairs of unit features: shape (n, d) to (n, n)."""
    return features @ features.T


def ideal_matrix(labels: NDArray[np.integer], *, k_min: float, k_max: float) -> Floats:
    """k_max where two examples share a class, k_min elsewhere: shape (n,) to (n, n)."""
    return np.where(labels[:, None] == labels[None, :], k_max, k_min)


def score_by_definition(name: ScoreName, gram: Floats, ideal: Floats) -> float:
    """The score of that name, from the Gram and the ideal Gram matrix, both (n, n) and float64."""
    match name:
        case "alignment":
            return _cosine(gram, ideal)
        case "upper_triangle_alignment":
            return _cosine(_pairs(gram), _pairs(ideal))
        case "centred_alignment":
            return _cosine(u_centred(gram), u_centred(ideal))
        case "negative_mean_squared_error":
            return -float(np.mean((_pairs(gram) - _pairs(ideal)) ** 2))
        case "raw":
            same = _pairs(ideal) == ideal[0, 0]
            return float(np.mean(np.where(same, 1.0, -1.0) * _pairs(gram)))


def biased_centred_alignment(gram: Floats, ideal: Floats) -> float:
    """Cosine between the doubly centred matrices: the plain CKA."""
    return _cosine(doubly_centred(gram), doubly_centred(ideal))


def doubly_centred(matrix: Floats) -> Floats:
    """H A H with H = 1 - 11'/n."""
    rows: Floats = matrix.mean(axis=1)
    centred: Floats = matrix - rows[:, None] - rows[None, :] + rows.mean()
    return centred


def u_centred(matrix: Floats) -> Floats:
    """U-centred symmetric matrix, with a diagonal of zeros.

    Source:
        Szekely, Rizzo (2014), Partial Distance Correlation with Methods for Dissimilarities, definition 2.
    """
    n = len(matrix)
    hollow = matrix - np.diag(np.diagonal(matrix))
    rows = hollow.sum(axis=1) / (n - 2)
    centred: Floats = hollow - rows[:, None] - rows[None, :] + rows.sum() / (n - 1)
    np.fill_diagonal(centred, 0.0)
    return centred


def _pairs(matrix: Floats) -> Floats:
    """The entries i < j, as a vector."""
    above: Floats = matrix[np.triu_indices(len(matrix), k=1)]
    return above


def _cosine(one: Floats, other: Floats) -> float:
    return float(np.vdot(one, other) / (np.linalg.norm(one) * np.linalg.norm(other)))
