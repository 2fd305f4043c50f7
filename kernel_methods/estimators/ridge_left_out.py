"""`ridge_gcv` with one shard left out, from the decomposition of all examples: a correction of low rank.

Leaving n_j examples out changes the second moment by a matrix of rank n_j, so its inverse with the ridge follows from
the one that is known (Woodbury): for features much wider than a shard this is several times cheaper than to begin anew.
"""

from dataclasses import dataclass

import numpy as np

from kernel_methods.estimators.ridge import LEAST_LEFT, Regression, RidgePath, ridge_gcv_at, score_of_error
from kernel_methods.factors import factor_of
from kernel_methods.statistics import Floats, TaskStatistics

WIDE = 2
"""Features count as wide from so many for each example of a shard."""


def ridge_gcv_without(path: RidgePath, total: TaskStatistics, shard: TaskStatistics, *, strength: float) -> float:
    """The score at one strength of all examples but a shard's.

    Args:
        path: the decomposition of all examples.
        total: their statistics.
        shard: statistics of the examples that are left out.
        strength: what is added to the diagonal of the centred second moment, above 0.

    Returns:
        As `ridge_gcv_at`, whose value at this strength it is.

    Raises:
        ValueError: as `ridge_gcv`, without the shard.

    Source:
        Woodbury (1950), Inverting Modified Matrices.
    """
    rest = total.subtract(shard)
    regression = Regression.of(rest)
    if regression.trace == 0.0:
        return 0.0
    if WIDE * shard.examples > total.dimensions:
        return ridge_gcv_at(rest, strength / regression.trace)
    changed = _Changed.of(path, shard, strength=strength, mean=regression.mean)
    sums = regression.class_sums
    explained = changed.trace_of(sums, power=1) + strength * changed.trace_of(sums, power=2)
    freedom = total.dimensions - strength * changed.inverse_trace(total.dimensions)
    left = max(1.0 - (freedom + 1.0) / regression.examples, LEAST_LEFT)
    missed = max(regression.spread - explained, 0.0)
    return float(score_of_error(np.array(missed), np.array(left), regression))


@dataclass(frozen=True, slots=True, eq=False)
class _Changed:
    """The inverse P' = P + P U^T Z U P of the ridged second moment without a shard, P that of all examples.

    Args:
        path: P in its own axes.
        strength: the ridge.
        rows: U, what the second moment loses and gains. Shape (k, d).
        middle: Z. Shape (k, k).
    """

    path: RidgePath
    strength: float
    rows: Floats
    middle: Floats

    @classmethod
    def of(cls, path: RidgePath, shard: TaskStatistics, *, strength: float, mean: Floats) -> "_Changed":
        """Without a shard the moment loses the shard's own and the rest's mean, and gains the mean of all."""
        everything = path.regression
        lost = factor_of(shard.second_moment)
        rest = np.sqrt(everything.examples - shard.examples) * mean
        rows = np.vstack([lost, rest, np.sqrt(everything.examples) * everything.mean])
        signs = np.ones(len(rows))
        signs[-1] = -1.0
        known = _product(path, rows, rows, strength=strength, power=1)
        middle = np.linalg.inv(np.diag(signs) - known).astype(np.float64)
        return cls(path, strength, rows, middle)

    def product(self, one: Floats, other: Floats, *, power: int) -> Floats:
        """X P^power Y^T for rows X and Y."""
        return _product(self.path, one, other, strength=self.strength, power=power)

    def trace_of(self, class_sums: Floats, *, power: int) -> float:
        """Trace of B P'^power B^T for class sums B; power is 1 or 2."""
        across = self.product(class_sums, self.rows, power=1)
        corrected = across @ self.middle
        own = float(np.trace(self.product(class_sums, class_sums, power=power)))
        if power == 1:
            return own + float(np.vdot(corrected, across))
        twice = self.product(class_sums, self.rows, power=2)
        inner = self.product(self.rows, self.rows, power=2)
        return own + 2.0 * float(np.vdot(corrected, twice)) + float(np.vdot(corrected @ inner, corrected))

    def inverse_trace(self, dimensions: int) -> float:
        """Trace of P'."""
        values = self.path.eigenvalues
        known = float((1.0 / (values + self.strength)).sum()) + (dimensions - len(values)) / self.strength
        return known + float(np.vdot(self.middle, self.product(self.rows, self.rows, power=2)))


def _product(path: RidgePath, one: Floats, other: Floats, *, strength: float, power: int) -> Floats:
    """X P^power Y^T for rows X and Y; beyond the directions of the path P is the inverse of the ridge alone."""
    first, second = one @ path.directions, other @ path.directions
    inside = (first * (path.eigenvalues + strength) ** -power) @ second.T
    return np.asarray(inside + (one @ other.T - first @ second.T) * strength**-power)
