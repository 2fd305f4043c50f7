"""Second moments of few examples in many dimensions, kept as factors: r x d numbers in place of d x d."""

from collections.abc import Mapping, Sequence

import numpy as np
from scipy.linalg.lapack import dpstrf

from kernel_methods.packing import Packed, square_of, triangle_of
from kernel_methods.rows import symmetric

Floats = np.ndarray[tuple[int, ...], np.dtype[np.float64]]

FLAT = 1e-14
UNPACKED_BYTES = 1 << 30
"""Moments that would be larger than this when multiplied out are not kept as factors, and not read from them."""


def factor_of(moment: Floats) -> Floats:
    """F with F^T F the moment, to rounding, by a pivoted Cholesky factor: shape (d, d) to (r, d), r at least 1.

    Source:
        Higham (1990), Analysis of the Cholesky Decomposition of a Semi-Definite Matrix.
    """
    factor, pivots, rank, _ = dpstrf(moment, tol=FLAT * float(np.trace(moment)), lower=0)
    upper = np.triu(factor)[: max(int(rank), 1)]
    back = np.empty_like(upper)
    back[:, pivots - 1] = upper
    return np.asarray(back)


def packed_moments(moments: Sequence[Floats], *, examples: int) -> dict[str, Packed]:
    """Second moments of shards as tensors: factors where the largest shard has few examples, else upper triangles.

    A moment of full rank although its examples are few, to which noise was added, stays a triangle.

    Args:
        moments: of each shard. Shape (d, d) each.
        examples: of the largest shard.
    """
    dimensions = moments[0].shape[0]
    few = 4 * examples <= dimensions and _fits(len(moments), dimensions)
    factors = [factor_of(moment) for moment in moments] if few else []
    rank = max((len(factor) for factor in factors), default=dimensions)
    if 2 * rank >= dimensions:
        return {"second_moment": np.stack([triangle_of(moment) for moment in moments])}
    packed = np.zeros((len(moments), rank, dimensions))
    for place, factor in enumerate(factors):
        packed[place, : len(factor)] = factor
    return {"moment_factors": packed}


def moment_shapes(tensors: Mapping[str, Packed], *, shards: int, dimensions: int) -> dict[str, tuple[int, ...]]:
    """Shapes that the moments among tensors must have. Raises ValueError for both forms, none, or too large ones."""
    if ("second_moment" in tensors) == ("moment_factors" in tensors):
        raise ValueError("expected either second_moment or moment_factors")
    if "second_moment" in tensors:
        return {"second_moment": (shards, dimensions * (dimensions + 1) // 2)}
    shape = tensors["moment_factors"].shape
    if not _fits(shards, dimensions) or len(shape) != 3 or shape[1] > dimensions:
        raise ValueError(
            f"moment_factors of shape {shape} are too large: moments have {shards} x {dimensions}^2 entries"
        )
    return {"moment_factors": (shards, shape[1], dimensions)}


def unpacked_moment(tensors: Mapping[str, Packed], shard: int, dimensions: int) -> Floats:
    """The second moment of one shard. Shape (d, d)."""
    if "second_moment" in tensors:
        return square_of(tensors["second_moment"][shard], dimensions)
    factor = tensors["moment_factors"][shard].astype(np.float64)
    return symmetric(factor.T @ factor)


def _fits(shards: int, dimensions: int) -> bool:
    return 8 * shards * dimensions**2 <= UNPACKED_BYTES
