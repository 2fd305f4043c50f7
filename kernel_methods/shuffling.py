"""The energy of shuffled labels: its mean, variance and skewness over all permutations, from statistics.

The energy is T + R. T = sum_c ||S'_c||^2 of the centred class sums is tr K'L' of the doubly centred Gram and
same-class matrices. R = sum_j n_{c(j)} v_j, where n_{c(j)} is the size of the class of example j and v_j a number
of the example alone; it is there because classes of unequal size weigh examples unequally, and is constant
where sizes are equal.
"""

from dataclasses import dataclass
from typing import NamedTuple

from kernel_methods.alignment import centred_label_norm
from kernel_methods.centring import CentredStatistics
from kernel_methods.statistics import Floats


class Weights(NamedTuple):
    """v_j = projection * <phi'_j, mu> + unit * (1 unless j is a zero row), up to a constant."""

    projection: float
    unit: float


@dataclass(frozen=True, slots=True)
class Shuffled:
    """Where the energy lies, and would lie under shuffled labels; all up to one common constant."""

    observed: float
    mean: float
    variance: float
    skewness: float


@dataclass(frozen=True, slots=True)
class _Linear:
    """Sums over examples of the centred v and w = n_{c(j)}: squares, and products with the diagonals."""

    v_squares: float
    v_diagonal: float
    w_squares: float
    w_diagonal: float


def shuffled_energy(centred: CentredStatistics, weights: Weights) -> Shuffled:
    """Moments of the energy under shuffled labels, without shuffling any.

    Mean and variance are exact. The skewness is that of a gamma variable for T, and of a Gaussian limit for
    what R adds.

    Args:
        centred: statistics of at least four examples.
        weights: what v is made of.

    Source:
        Kazi-Aoual, Hitier, Sabatier, Lebreton (1995), Refined Approximations to Permutation Tests for
        Multivariate Inference (mean and variance of tr K'L'); Gretton et al. (2008), A Kernel Statistical
        Test of Independence, section 3 (the gamma fit).
    """
    n, linear = centred.examples, _linear(centred, weights)
    mean, variance_t = _trace_moments(centred)
    variance_r = linear.v_squares * linear.w_squares / (n - 1.0)
    covariance = linear.v_diagonal * linear.w_diagonal * n / ((n - 1.0) * (n - 2.0))
    variance = max(0.0, variance_t + variance_r + 2.0 * covariance)
    third = 2.0 * variance_t**2 / mean if mean > 0.0 else 0.0
    third += 3.0 * _joint_cumulant(centred, weights)
    return Shuffled(
        observed=centred.energy + _observed_linear(centred, weights),
        mean=mean,
        variance=variance,
        skewness=third / variance**1.5 if variance > 0.0 else 0.0,
    )


def _trace_moments(centred: CentredStatistics) -> tuple[float, float]:
    """Exact mean and variance of tr K'L' over permutations of the labels."""
    n = centred.examples
    diagonal = _label_diagonal(centred)
    label_trace = float(centred.counts @ diagonal)
    label_norm = centred_label_norm(centred.counts)
    label_squares = float(centred.counts @ diagonal**2)
    mean = centred.trace * label_trace / (n - 1.0)
    spread = _spread(centred.trace, centred.squared_norm, n) * _spread(label_trace, label_norm, n)
    peaks = _peaks(centred.trace, centred.squared_norm, centred.squared_diagonal, n)
    peaks *= _peaks(label_trace, label_norm, label_squares, n)
    variance = 2.0 * spread / ((n - 1.0) ** 2 * (n + 1.0) * (n - 2.0))
    return mean, variance + peaks / ((n + 1.0) * n * (n - 1.0) * (n - 2.0) * (n - 3.0))


def _spread(trace: float, squared_norm: float, n: float) -> float:
    return (n - 1.0) * squared_norm - trace**2


def _peaks(trace: float, squared_norm: float, squared_diagonal: float, n: float) -> float:
    return n * (n + 1.0) * squared_diagonal - (n - 1.0) * (trace**2 + 2.0 * squared_norm)


def _label_diagonal(centred: CentredStatistics) -> Floats:
    """Diagonal entry of the doubly centred same-class matrix, for an example of each class."""
    n, counts = centred.examples, centred.counts
    return 1.0 - 2.0 * counts / n + (counts @ counts) / n**2


def class_weights(centred: CentredStatistics) -> Floats:
    """Size of each class less the mean, over examples, of the size of their class. Shape (C,)."""
    return centred.counts - (centred.counts @ centred.counts) / centred.examples


def _linear(centred: CentredStatistics, weights: Weights) -> _Linear:
    n, units = centred.examples, float(centred.class_units.sum())
    along = float(centred.mean @ centred.second_moment @ centred.mean)
    across = (n - units) * float(centred.mean @ centred.mean)
    present = units * (n - units) / n
    p, u = weights
    w, counts = class_weights(centred), centred.counts
    return _Linear(
        v_squares=p * p * along + 2.0 * p * u * across + u * u * present,
        v_diagonal=p * (across - 2.0 * along) + u * (present - 2.0 * across),
        w_squares=float(counts @ w**2),
        w_diagonal=float((counts * _label_diagonal(centred)) @ w),
    )


def _observed_linear(centred: CentredStatistics, weights: Weights) -> float:
    units = centred.class_units - centred.counts * (centred.class_units.sum() / centred.examples)
    values = weights.projection * centred.class_projections + weights.unit * units
    return float(class_weights(centred) @ values)


def _joint_cumulant(centred: CentredStatistics, weights: Weights) -> float:
    """Third joint cumulant of T, R and R, were the class sums Gaussian: 2 b' C^2 b with R = b'x, T = x'x."""
    n, counts = centred.examples, centred.counts
    pull = centred.second_moment @ centred.mean / (n - 1.0)
    spread = counts * counts - counts * (counts @ counts) / n
    return 2.0 * weights.projection**2 * float(pull @ pull) * float(spread @ spread)
