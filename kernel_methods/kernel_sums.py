"""The arithmetic of the kernel scores, from the few sums they need: of one task, or of many at once.

`alignment` takes these sums from the statistics of a task, `cards` from a card for every choice of its classes. Arrays
may have leading axes (...), one entry for each task; the formulas are in `alignment`. Where a score has no answer,
arrays hold NaN, and `check_answerable` says why.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kernel_methods.kernels import ScoreName

Floats = NDArray[np.float64]

ROUNDING = 1e-12


@dataclass(frozen=True, slots=True, eq=False)
class KernelSums:
    """Sums over the entries of a kernel matrix K.

    Args:
        counts: examples of each class, as floats. Shape (..., C).
        units: examples that are not zero rows: the trace of K. Shape (...).
        same: sum of K over same-class entries, the diagonal included. Shape (...).
        everything: sum of K over all entries. Shape (...).
        gram: squared Frobenius norm of K. Shape (...).
    """

    counts: Floats
    units: Floats
    same: Floats
    everything: Floats
    gram: Floats

    @property
    def examples(self) -> Floats:
        """Number of examples n. Shape (...)."""
        return np.asarray(self.counts.sum(axis=-1))

    @property
    def pairs(self) -> Floats:
        """Number of pairs (i, j), i and j apart, counted both ways. Shape (...)."""
        return self.examples * (self.examples - 1.0)


@dataclass(frozen=True, slots=True, eq=False)
class CentredSums:
    """Sums over the entries of a doubly centred kernel matrix K', as `centring.CentredStatistics` has them.

    Args:
        counts: examples of each class, as floats. Shape (..., C).
        energy: sum of K' over same-class entries, the diagonal included. Shape (...).
        class_traces: sum of the diagonal of K' over each class. Shape (..., C).
        squared_diagonal: sum of the squares of the diagonal of K'. Shape (...).
        squared_norm: squared Frobenius norm of K'. Shape (...).
    """

    counts: Floats
    energy: Floats
    class_traces: Floats
    squared_diagonal: Floats
    squared_norm: Floats


def kernel_scores(name: ScoreName, sums: KernelSums, *, k_min: float, k_max: float) -> Floats:
    """The score of that name for each task; NaN where it has no answer.

    Args:
        name: any but "centred_alignment", which takes `centred_scores`.
        sums: sums over the kernel matrix of each task.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.

    Returns:
        Shape (...); larger is better.

    Raises:
        ValueError: ``name`` is "centred_alignment".
    """
    known = answerable(name, sums.counts, k_min=k_min, k_max=k_max)
    with np.errstate(divide="ignore", invalid="ignore"):
        match name:
            case "alignment":
                values = cosine(*products(sums, k_min=k_min, k_max=k_max), floor=0.0)
            case "upper_triangle_alignment":
                floor = ROUNDING * sums.examples
                values = cosine(*products_of_pairs(sums, k_min=k_min, k_max=k_max), floor=floor)
            case "negative_mean_squared_error":
                inner, gram, ideal = products_of_pairs(sums, k_min=k_min, k_max=k_max)
                values = np.minimum(0.0, -(gram - 2.0 * inner + ideal) / sums.pairs)
            case "raw":
                values = (2.0 * sums.same - sums.units - sums.everything) / sums.pairs
            case "centred_alignment":
                raise ValueError("centred alignment is computed from the sums of centred features: use centred_scores")
    return np.where(known, values, np.nan)


def centred_scores(sums: CentredSums) -> Floats:
    """Debiased centred alignment of each task; NaN where it has no answer. Shape (...); larger is better."""
    known = answerable("centred_alignment", sums.counts, k_min=0.0, k_max=1.0)
    with np.errstate(divide="ignore", invalid="ignore"):
        values = cosine(*debiased_products(sums), floor=ROUNDING * sums.counts.sum(axis=-1))
    return np.where(known, values, np.nan)


def answerable(name: ScoreName, counts: Floats, *, k_min: float, k_max: float) -> NDArray[np.bool_]:
    """Whether a score has an answer for classes of these sizes: shape (..., C) to (...)."""
    two = np.asarray(np.count_nonzero(counts, axis=-1) >= 2)
    match name:
        case "centred_alignment":
            enough = np.asarray(counts.sum(axis=-1) >= 4)
        case "upper_triangle_alignment":
            enough = np.asarray(_ideal_of_pairs(counts, k_min=k_min, k_max=k_max) > 0.0)
        case _:
            enough = two
    return np.asarray(two & enough)


def check_answerable(name: ScoreName, counts: Floats, *, k_min: float, k_max: float) -> None:
    """Raises ValueError, beginning with "undefined:", where one task of these classes (C,) has no such score."""
    if answerable(name, counts, k_min=k_min, k_max=k_max):
        return
    check_two_classes(counts)
    if name == "centred_alignment":
        raise ValueError(f"undefined: debiased centred alignment needs 4 examples, got {counts.sum():.0f}")
    raise ValueError("undefined: no class has two examples and k_min is 0, so the ideal is zero on every pair")


def check_two_classes(counts: Floats) -> None:
    """Raises ValueError, beginning with "undefined:", unless two of these classes (C,) have examples."""
    present = int(np.count_nonzero(counts))
    if present < 2:
        raise ValueError(f"undefined: a score needs examples of two classes, got {present} of {len(counts)}")


def products(sums: KernelSums, *, k_min: float, k_max: float) -> tuple[Floats, Floats, Floats]:
    """<K, K*>, ||K||^2 and ||K*||^2, over all of the n x n entries. Shape (...) each."""
    inner = (k_max - k_min) * sums.same + k_min * sums.everything
    ideal = _ideal_of_pairs(sums.counts, k_min=k_min, k_max=k_max) + k_max**2 * sums.examples
    return inner, sums.gram, ideal


def products_of_pairs(sums: KernelSums, *, k_min: float, k_max: float) -> tuple[Floats, Floats, Floats]:
    """<K, K*>, ||K||^2 and ||K*||^2, over the n (n - 1) entries off the diagonal. Shape (...) each."""
    inner = (k_max - k_min) * sums.same + k_min * sums.everything - k_max * sums.units
    return inner, sums.gram - sums.units, _ideal_of_pairs(sums.counts, k_min=k_min, k_max=k_max)


def debiased_products(sums: CentredSums) -> tuple[Floats, Floats, Floats]:
    """HSIC_u of kernel and labels, kernel and kernel, labels and labels, each times n (n - 3). Shape (...) each.

    Centring the features first changes none of them, for U-centring takes row and column terms away; it
    leaves small numbers to subtract, and row sums, the diagonal left out, that are minus the diagonal.
    """
    counts, n, trace = sums.counts, sums.counts.sum(axis=-1), sums.class_traces.sum(axis=-1)
    others = counts - 1.0
    pairs = (counts * others).sum(axis=-1)
    scale, twice = 1.0 / ((n - 1.0) * (n - 2.0)), 2.0 / (n - 2.0)
    product = sums.energy - trace - scale * trace * pairs + twice * (others * sums.class_traces).sum(axis=-1)
    kernel = sums.squared_norm - sums.squared_diagonal + scale * trace**2 - twice * sums.squared_diagonal
    labels = pairs + scale * pairs**2 - twice * (counts * others**2).sum(axis=-1)
    return product, kernel, labels


def cosine(inner: Floats, one: Floats, other: Floats, *, floor: Floats | float) -> Floats:
    """The inner product over the root of the two squared norms, in [-1, 1]; 0 where one is no larger than floor."""
    return np.clip(inner * cosine_slope(one, other, floor=floor), -1.0, 1.0)


def cosine_slope(one: Floats, other: Floats, *, floor: Floats | float) -> Floats:
    """How much a cosine grows with its inner product; 0 where a squared norm is no larger than floor."""
    told = (one > floor) & (other > floor)
    return np.where(told, 1.0 / np.sqrt(np.where(told, one * other, 1.0)), 0.0)


def _ideal_of_pairs(counts: Floats, *, k_min: float, k_max: float) -> Floats:
    same, n = (counts * (counts - 1.0)).sum(axis=-1), counts.sum(axis=-1)
    return np.asarray(k_max**2 * same + k_min**2 * (n * (n - 1.0) - same))
