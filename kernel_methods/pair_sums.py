"""Sums over the pairs of a batch that proxy objectives are made of; which pairs count is a mask or a weight.

A mask is boolean; a weight is floating, in [0, 1], and says how much a pair counts. Nothing waits for the device,
and everything is finite, with finite gradients, where no pair counts.
"""

import torch
from torch import Tensor

SMALLEST_SQUARED_NORM = 1e-12
LEFT_OUT = -1e30
ADDITIVE_STEPS = 16


def off_diagonal(gram: Tensor, counted: Tensor | None = None) -> Tensor:
    """Which pairs count, each example with itself left out.

    Args:
        gram: kernel values; their shape and device are used. Shape (n, m), example i in column i.
        counted: boolean mask or floating weight of each pair; None where all count. Shape (n, m).

    Returns:
        Shape (n, m): boolean, or floating where ``counted`` is.
    """
    apart = ~torch.eye(*gram.shape, dtype=torch.bool, device=gram.device)
    return apart if counted is None else apart & counted if counted.dtype == torch.bool else apart * counted


def mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values, weighted where ``chosen`` is floating; 0 where none is chosen."""
    weights = chosen.to(values.dtype)
    return (values * weights).sum() / _above_zero(weights.sum())


def row_means(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of the chosen values of each row: shape (n, m) to (n,); 0 where none is chosen."""
    weights = chosen.to(values.dtype)
    return (values * weights).sum(dim=1) / _above_zero(weights.sum(dim=1))


def _above_zero(totals: Tensor) -> Tensor:
    return torch.where(totals > 0, totals, 1.0)


def log_sum_exp(logits: Tensor, chosen: Tensor) -> Tensor:
    """Over the chosen of each row; a very negative number, without a gradient, where none is chosen."""
    if chosen.dtype == torch.bool:
        return torch.logsumexp(torch.where(chosen, logits, LEFT_OUT), dim=1)
    counts = chosen > 0
    weighted = logits + torch.where(counts, chosen, 1.0).log()
    return torch.logsumexp(torch.where(counts, weighted, LEFT_OUT), dim=1)


def cosine(one: Tensor, other: Tensor) -> Tensor:
    """Cosine between two matrices as vectors; 0, with finite gradients, where one of them is zero."""
    lengths = [(matrix**2).sum().clamp_min(SMALLEST_SQUARED_NORM) for matrix in (one, other)]
    return (one * other).sum() * torch.rsqrt(lengths[0]) * torch.rsqrt(lengths[1])


def u_centred(matrix: Tensor) -> Tensor:
    """A symmetric matrix without its diagonal, less one additive term an example: all sums of rows become 0.

    Args:
        matrix: shape (n, n), n > 2.

    Returns:
        Shape (n, n), 0 on the diagonal.

    Source:
        Szekely, Rizzo (2014), Partial Distance Correlation with Methods for Dissimilarities, equation 2.2.
    """
    n, pairs = len(matrix), off_diagonal(matrix)
    hollow = matrix * pairs
    rows = hollow.sum(dim=1) / (n - 2)
    return (hollow - rows[:, None] - rows[None, :] + rows.sum() / (n - 1)) * pairs


def centred_over(matrix: Tensor, pairs: Tensor) -> Tensor:
    """What is left of the chosen pairs after the best additive terms a_i + a_j; 0 on all other pairs.

    U-centring is the same with all pairs chosen: it, too, is the residual of the least-squares fit. The terms are
    held constant for the gradient, which is exact, for at a minimum the residual's length does not depend on them.

    Args:
        matrix: symmetric. Shape (n, n).
        pairs: which pairs are chosen, symmetric, none of the diagonal. Shape (n, n), boolean.

    Returns:
        Shape (n, n); 0 everywhere where the fit explains all there is, as it does where chosen pairs form no cycle.
    """
    weights = pairs.to(matrix.dtype)
    terms = _additive_terms(matrix.detach() * weights, weights)
    left = (matrix - terms[:, None] - terms[None, :]) * weights
    rounding = 64 * torch.finfo(matrix.dtype).eps
    return torch.where(_length(left.detach()) > rounding * _length(matrix.detach() * weights), left, 0.0)


def _length(matrix: Tensor) -> Tensor:
    return (matrix**2).sum().sqrt()


def _additive_terms(hollow: Tensor, weights: Tensor) -> Tensor:
    """Least-squares a of a_i + a_j on the chosen pairs, by conjugate gradients: with all chosen, two steps do."""
    degrees = weights.sum(dim=1)
    scale = torch.where(degrees > 0, _above_zero(degrees).rsqrt(), 0.0)
    rest = scale * hollow.sum(dim=1)
    found, direction, size = torch.zeros_like(rest), rest, (rest * rest).sum()
    enough = size * torch.finfo(rest.dtype).eps ** 2
    for _ in range(ADDITIVE_STEPS):
        image = direction + scale * (weights * (scale * direction)[None, :]).sum(dim=1)
        curvature = (direction * image).sum()
        going = (size > enough) & (curvature > 0)
        step = torch.where(going, size / torch.where(going, curvature, 1.0), 0.0)
        found, rest = found + step * direction, rest - step * image
        left = (rest * rest).sum()
        direction = rest + torch.where(going, left / torch.where(going, size, 1.0), 0.0) * direction
        size = left
    return scale * found
