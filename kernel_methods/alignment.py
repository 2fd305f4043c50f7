"""How well a kernel tells the classes of a task apart, from statistics alone; larger is better.

The kernel matrix K of n examples is compared with the ideal K*: k_max within a class, k_min across classes.
Nothing here forms an n x n matrix: with a = k_max, b = k_min, class sums S_c, s their sum and M the second
moment,

    <K, K*> = (a - b) sum_c ||S_c||^2 + b ||s||^2        ||K||^2 = ||M||_F^2
    ||K*||^2 = a^2 sum_c n_c^2 + b^2 (n^2 - sum_c n_c^2)

The diagonal of K is 1, or 0 for a zero row; that of K* is k_max for every example. `alignment_by_definition`
has the same scores from Gram matrices, and the tests hold both equal.

Where the question has no answer (fewer than two classes with examples, too few examples, an ideal of zeros) a
ValueError begins with "undefined:". Where it has one and the features say nothing (all zero, or all the same
under centring), an alignment is 0.0.
"""

import math

import numpy as np

from kernel_methods.centring import centre
from kernel_methods.kernels import ScoreName, check_kernel_range
from kernel_methods.statistics import Floats, TaskStatistics

ROUNDING = 1e-12


def score_by_name(name: ScoreName, stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """The score of that name; larger is better.

    Args:
        name: which score.
        stats: statistics of the task's features.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.

    Raises:
        ValueError: the score is undefined for these statistics, or ``k_min >= k_max``.
    """
    match name:
        case "alignment":
            return alignment(stats, k_min=k_min, k_max=k_max)
        case "upper_triangle_alignment":
            return upper_triangle_alignment(stats, k_min=k_min, k_max=k_max)
        case "centred_alignment":
            return centred_alignment(stats)
        case "negative_mean_squared_error":
            return negative_mean_squared_error(stats, k_min=k_min, k_max=k_max)
        case "raw":
            return raw(stats, k_min=k_min, k_max=k_max)


def alignment(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Cosine between the Gram matrix and the ideal one, the diagonal included.

    Returns:
        In [-1, 1]; 0.0 where all features are zero.

    Raises:
        ValueError: fewer than two classes have examples, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels; Cristianini,
        Shawe-Taylor, Elisseeff, Kandola (2001), On Kernel-Target Alignment, definition 1.
    """
    inner, gram, ideal = _products(stats, k_min=k_min, k_max=k_max)
    return _cosine(inner, gram, ideal, floor=0.0)


def upper_triangle_alignment(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Cosine between the Gram matrix and the ideal one over the pairs i < j.

    Returns:
        In [-1, 1]; 0.0 where the features of every pair are orthogonal or zero.

    Raises:
        ValueError: fewer than two classes have examples, ``k_min >= k_max``, or the ideal is zero on every
            pair (k_min = 0 and no class has two examples).

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    inner, gram, ideal = _products_of_pairs(stats, k_min=k_min, k_max=k_max)
    if ideal <= 0.0:
        raise ValueError("undefined: no class has two examples and k_min is 0, so the ideal is zero on every pair")
    return _cosine(inner, gram, ideal, floor=ROUNDING * stats.examples)


def negative_mean_squared_error(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Minus the mean squared difference between the Gram matrix and the ideal one over the pairs i < j.

    Returns:
        At most 0, which is perfect.

    Raises:
        ValueError: fewer than two classes have examples, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    inner, gram, ideal = _products_of_pairs(stats, k_min=k_min, k_max=k_max)
    n = stats.examples
    return min(0.0, -(gram - 2.0 * inner + ideal) / (n * (n - 1)))


def raw(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Kernel values of same-class pairs less those of different-class pairs, over the number of pairs i < j.

    The value does not depend on ``k_min`` and ``k_max``; they are there so that scores are called alike.

    Returns:
        In [-1, 1].

    Raises:
        ValueError: fewer than two classes have examples, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    check_kernel_range(k_min=k_min, k_max=k_max)
    same, everything = _energies(stats)
    n = stats.examples
    return (2.0 * same - _units(stats) - everything) / (n * (n - 1))


def centred_alignment(stats: TaskStatistics) -> float:
    """Debiased centred alignment: the cosine between the U-centred Gram matrix and the U-centred ideal.

    With the diagonals set to zero, n (n - 3) HSIC_u(K, L) = tr KL + sum K sum L / ((n - 1)(n - 2)) - 2 1'KL1
    / (n - 2), and the score is HSIC_u(K, L) / sqrt(HSIC_u(K, K) HSIC_u(L, L)). L is 1 on same-class pairs:
    any k_min < k_max gives the same value, for U-centring takes constants away. Wide features gain nothing
    from chance: under shuffled labels the expected value is exactly 0.

    Returns:
        In [-1, 1]; 0.0 where the features, or the labels, are the same on every pair up to rounding.

    Raises:
        ValueError: fewer than two classes have examples, or there are fewer than four examples.

    Source:
        Song et al. (2012), Feature Selection via Dependence Maximization, equation 5; Szekely, Rizzo (2014),
        Partial Distance Correlation with Methods for Dissimilarities, equation 2.2; Murphy, Zylberberg,
        Fyshe (2024), Correcting Biased Centered Kernel Alignment Measures in Biological and Artificial Neural
        Networks.
    """
    _check_classes(stats)
    if stats.examples < 4:
        raise ValueError(f"undefined: debiased centred alignment needs 4 examples, got {stats.examples}")
    product, kernel, labels = debiased_products(stats)
    return _cosine(product, kernel, labels, floor=ROUNDING * stats.examples)


def energy_slope(name: ScoreName, stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """How much a score grows with the energy sum_c ||S_c||^2 while features and class sizes stay as they are.

    Every score is affine in it (centred alignment: together with what `shuffling` calls R), which is why its
    values under shuffled labels are known from those of the energy.

    Args:
        name: which score.
        stats: statistics of the task's features.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.

    Returns:
        Above 0; 0.0 where the score is 0.0 whatever the labels.
    """
    n = float(stats.examples)
    match name:
        case "alignment":
            _, gram, ideal = _products(stats, k_min=k_min, k_max=k_max)
            return (k_max - k_min) * _cosine_slope(gram, ideal, floor=0.0)
        case "upper_triangle_alignment":
            _, gram, ideal = _products_of_pairs(stats, k_min=k_min, k_max=k_max)
            return (k_max - k_min) * _cosine_slope(gram, ideal, floor=ROUNDING * n)
        case "centred_alignment":
            _, gram, ideal = debiased_products(stats)
            return _cosine_slope(gram, ideal, floor=ROUNDING * n)
        case "negative_mean_squared_error":
            return 2.0 * (k_max - k_min) / (n * (n - 1.0))
        case "raw":
            return 2.0 / (n * (n - 1.0))


def debiased_products(stats: TaskStatistics) -> tuple[float, float, float]:
    """HSIC_u of kernel and labels, kernel and kernel, labels and labels, each times n (n - 3).

    Centring the features first changes none of them, for U-centring takes row and column terms away; it
    leaves small numbers to subtract, and row sums, the diagonal left out, that are minus the diagonal.
    """
    centred, n = centre(stats), float(stats.examples)
    counts, others = centred.counts, centred.counts - 1.0
    pairs = float(counts @ others)
    scale, twice = 1.0 / ((n - 1.0) * (n - 2.0)), 2.0 / (n - 2.0)
    product = (
        centred.energy - centred.trace - scale * centred.trace * pairs + twice * float(others @ centred.class_traces)
    )
    diagonal = centred.squared_diagonal
    kernel = centred.squared_norm - diagonal + scale * centred.trace**2 - twice * diagonal
    labels = pairs + scale * pairs**2 - twice * float(counts @ others**2)
    return product, kernel, labels


def biased_centred_alignment(stats: TaskStatistics) -> float:
    """Cosine between the doubly centred Gram matrix and the doubly centred ideal: CKA to the labels.

    It grows with the number of features by chance alone; compare modules by `centred_alignment`.

    Returns:
        In [0, 1]; 0.0 where all features are the same up to rounding.

    Raises:
        ValueError: fewer than two classes have examples.

    Source:
        Cortes, Mohri, Rostamizadeh (2012), Algorithms for Learning Kernels Based on Centered Alignment,
        definition 4.
    """
    _check_classes(stats)
    centred, n = centre(stats), float(stats.examples)
    return _cosine(centred.energy, centred.squared_norm, centred_label_norm(centred.counts), floor=ROUNDING * n)


def centred_label_norm(counts: Floats) -> float:
    """Squared Frobenius norm of the doubly centred same-class matrix of classes of these sizes."""
    n, squares = counts.sum(), float(counts @ counts)
    return float(squares - 2.0 * (counts @ counts**2) / n + squares**2 / n**2)


def _products(stats: TaskStatistics, *, k_min: float, k_max: float) -> tuple[float, float, float]:
    """<K, K*>, ||K||^2 and ||K*||^2, over all of the n x n entries."""
    check_kernel_range(k_min=k_min, k_max=k_max)
    same, everything = _energies(stats)
    counts, n = stats.counts.astype(np.float64), float(stats.examples)
    squares = float(counts @ counts)
    gram = float(np.vdot(stats.second_moment, stats.second_moment))
    ideal = k_max**2 * squares + k_min**2 * (n**2 - squares)
    return (k_max - k_min) * same + k_min * everything, gram, ideal


def _products_of_pairs(stats: TaskStatistics, *, k_min: float, k_max: float) -> tuple[float, float, float]:
    """<K, K*>, ||K||^2 and ||K*||^2, over the n (n - 1) entries off the diagonal."""
    inner, gram, ideal = _products(stats, k_min=k_min, k_max=k_max)
    units = _units(stats)
    return inner - k_max * units, gram - units, ideal - k_max**2 * stats.examples


def _energies(stats: TaskStatistics) -> tuple[float, float]:
    """Sum of K over same-class entries, and over all entries, the diagonal included."""
    _check_classes(stats)
    total = stats.class_sums.sum(axis=0)
    return float(np.vdot(stats.class_sums, stats.class_sums)), float(total @ total)


def _units(stats: TaskStatistics) -> float:
    """Trace of K, and of its entrywise square: the number of rows that are not zero."""
    return float(stats.examples - stats.zeros.sum())


def _check_classes(stats: TaskStatistics) -> None:
    present = int(np.count_nonzero(stats.counts))
    if present < 2:
        raise ValueError(f"undefined: a score needs examples of two classes, got {present} of {stats.classes}")


def _cosine(inner: float, one: float, other: float, *, floor: float) -> float:
    return max(-1.0, min(1.0, inner * _cosine_slope(one, other, floor=floor)))


def _cosine_slope(one: float, other: float, *, floor: float) -> float:
    return 0.0 if one <= floor or other <= floor else 1.0 / math.sqrt(one * other)
