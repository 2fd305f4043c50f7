"""Fewer dimensions where there are fewer examples than features: most scores are the same after a rotation.

The features of n examples lie in a space of at most n dimensions. In a basis of it the statistics have n dimensions
in place of d, and a score that sees features only through inner products is as it was. The shrunk H-score is none of
these: what it shrinks towards has d dimensions.
"""

from collections.abc import Sequence

import numpy as np

from kernel_methods.evidence import Evidence
from kernel_methods.factors import factor_of
from kernel_methods.rows import symmetric
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import Floats, TaskStatistics


def compact(evidence: Evidence) -> Evidence:
    """The same evidence in at most as many dimensions as there are examples; itself where that would save little.

    Class moments are not carried over: what needs them is computed before.
    """
    total = evidence.total
    if 2 * total.examples > total.dimensions or total.examples == 0:
        return evidence
    basis = range_of(total.second_moment)
    shuffled = evidence.shuffled
    if shuffled is not None:
        shuffled = ShuffledSums(shuffled.sums.astype(np.float64) @ basis, shuffled.zeros)
    return Evidence(tuple(_rotated(evidence.shards, basis)), shuffled)


def range_of(moment: Floats) -> Floats:
    """Orthonormal basis of the range of a positive semi-definite matrix: shape (d, d) to (d, r), r at least 1."""
    basis, _ = np.linalg.qr(factor_of(moment).T)
    return np.asarray(basis)


def _rotated(shards: Sequence[TaskStatistics], basis: Floats) -> list[TaskStatistics]:
    return [
        TaskStatistics(
            counts=shard.counts,
            zeros=shard.zeros,
            class_sums=shard.class_sums @ basis,
            second_moment=symmetric(basis.T @ shard.second_moment @ basis),
        )
        for shard in shards
    ]
