"""How well a kernel tells the classes of a task apart, from statistics alone; larger is better.

The kernel matrix K of n examples is compared with the ideal K*: k_max within a class, k_min across classes.
Nothing here forms an n x n matrix: with a = k_max, b = k_min, class sums S_c, s their sum and M the second
moment,

    <K, K*> = (a - b) sum_c ||S_c||^2 + b ||s||^2        ||K||^2 = ||M||_F^2
    ||K*||^2 = a^2 sum_c n_c^2 + b^2 (n^2 - sum_c n_c^2)

The diagonal of K is 1, or 0 for a zero row; that of K* is k_max for every example. The arithmetic after these sums
is in `kernel_sums`, where `cards` finds it too. `alignment_by_definition` has the same scores from Gram matrices, and
the tests hold both equal.

Where the question has no answer (fewer than two classes with examples, too few examples, an ideal of zeros) a
ValueError begins with "undefined:". Where it has one and the features say nothing (all zero, or all the same
under centring), an alignment is 0.0.
"""

import numpy as np

from kernel_methods import kernel_sums
from kernel_methods.centring import centre
from kernel_methods.kernel_sums import ROUNDING, CentredSums, KernelSums, check_answerable, check_two_classes
from kernel_methods.kernels import ScoreName, check_kernel_range
from kernel_methods.statistics import Floats, TaskStatistics


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
    return _kernel_score("alignment", stats, k_min=k_min, k_max=k_max)


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
    return _kernel_score("upper_triangle_alignment", stats, k_min=k_min, k_max=k_max)


def negative_mean_squared_error(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Minus the mean squared difference between the Gram matrix and the ideal one over the pairs i < j.

    Returns:
        At most 0, which is perfect.

    Raises:
        ValueError: fewer than two classes have examples, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    return _kernel_score("negative_mean_squared_error", stats, k_min=k_min, k_max=k_max)


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
    return _kernel_score("raw", stats, k_min=k_min, k_max=k_max)


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
    check_answerable("centred_alignment", stats.counts.astype(np.float64), k_min=0.0, k_max=1.0)
    return float(kernel_sums.centred_scores(centred_sums(stats)))


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
            _, gram, ideal = kernel_sums.products(sums_of(stats), k_min=k_min, k_max=k_max)
            return (k_max - k_min) * float(kernel_sums.cosine_slope(gram, ideal, floor=0.0))
        case "upper_triangle_alignment":
            _, gram, ideal = kernel_sums.products_of_pairs(sums_of(stats), k_min=k_min, k_max=k_max)
            return (k_max - k_min) * float(kernel_sums.cosine_slope(gram, ideal, floor=ROUNDING * n))
        case "centred_alignment":
            _, gram, ideal = (np.asarray(product) for product in debiased_products(stats))
            return float(kernel_sums.cosine_slope(gram, ideal, floor=ROUNDING * n))
        case "negative_mean_squared_error":
            return 2.0 * (k_max - k_min) / (n * (n - 1.0))
        case "raw":
            return 2.0 / (n * (n - 1.0))


def debiased_products(stats: TaskStatistics) -> tuple[float, float, float]:
    """HSIC_u of kernel and labels, kernel and kernel, labels and labels, each times n (n - 3)."""
    product, kernel, labels = kernel_sums.debiased_products(centred_sums(stats))
    return float(product), float(kernel), float(labels)


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
    check_two_classes(stats.counts.astype(np.float64))
    centred = centred_sums(stats)
    labels, floor = np.asarray(centred_label_norm(centred.counts)), ROUNDING * stats.examples
    return float(kernel_sums.cosine(centred.energy, centred.squared_norm, labels, floor=floor))


def centred_label_norm(counts: Floats) -> float:
    """Squared Frobenius norm of the doubly centred same-class matrix of classes of these sizes."""
    n, squares = counts.sum(), float(counts @ counts)
    return float(squares - 2.0 * (counts @ counts**2) / n + squares**2 / n**2)


def sums_of(stats: TaskStatistics) -> KernelSums:
    """The sums over the kernel matrix of a task. Raises ValueError unless two classes have examples."""
    counts, total = stats.counts.astype(np.float64), stats.class_sums.sum(axis=0)
    check_two_classes(counts)
    return KernelSums(
        counts=counts,
        units=np.asarray(counts.sum() - stats.zeros.sum()),
        same=np.asarray(np.vdot(stats.class_sums, stats.class_sums)),
        everything=np.asarray(total @ total),
        gram=np.asarray(np.vdot(stats.second_moment, stats.second_moment)),
    )


def centred_sums(stats: TaskStatistics) -> CentredSums:
    """The sums over the doubly centred kernel matrix of a task. Raises ValueError where there are no examples."""
    centred = centre(stats)
    return CentredSums(
        counts=centred.counts,
        energy=np.asarray(centred.energy),
        class_traces=centred.class_traces,
        squared_diagonal=np.asarray(centred.squared_diagonal),
        squared_norm=np.asarray(centred.squared_norm),
    )


def _kernel_score(name: ScoreName, stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    check_kernel_range(k_min=k_min, k_max=k_max)
    sums = sums_of(stats)
    check_answerable(name, sums.counts, k_min=k_min, k_max=k_max)
    return float(kernel_sums.kernel_scores(name, sums, k_min=k_min, k_max=k_max))
