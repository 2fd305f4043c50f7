"""The negative-only (NEO) scores: how far apart different classes are, whatever happens within a class.

With class sums S_c, their sum s, second moments M_c of each class and their sum M, over ordered pairs of examples
of different classes,

    sum K = sum_c <S_c, s - S_c>        sum K^2 = sum_c <M_c, M - M_c>

They are exact only where k_min = -k_max (tanh); with k_min = 0 they promise separability and no more. There is no
alignment-NEO here: its ideal is k_min on every pair that it counts, so for k_min = 0, as with ReLU maps, it would be
a cosine with a vector of zeros, which is undefined.
"""

import numpy as np

from kernel_methods.estimators.examples import classes_present
from kernel_methods.kernels import check_kernel_range
from kernel_methods.statistics import TaskStatistics


def raw_neo(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Minus the mean kernel value of different-class pairs; ``k_min`` and ``k_max`` do not enter it.

    Args:
        stats: statistics of the task's features.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair.

    Returns:
        In [-1, 1]; larger is better.

    Raises:
        ValueError: fewer than two classes have examples, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    check_kernel_range(k_min=k_min, k_max=k_max)
    classes_present(stats)
    return -_kernel_sum(stats) / _pairs(stats)


def negative_mean_squared_error_neo(stats: TaskStatistics, *, k_min: float, k_max: float) -> float:
    """Minus the mean squared difference between the kernel values of different-class pairs and k_min.

    Args:
        stats: statistics of the task's features, with class moments.
        k_min: ideal kernel value of a different-class pair.
        k_max: ideal kernel value of a same-class pair; it does not enter.

    Returns:
        At most 0, which is perfect; larger is better.

    Raises:
        ValueError: fewer than two classes have examples, there are no class moments, or ``k_min >= k_max``.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    check_kernel_range(k_min=k_min, k_max=k_max)
    classes_present(stats)
    if stats.class_moments is None:
        raise ValueError("undefined: the squared error of different-class pairs needs class_moments=True")
    squares = sum(float(np.vdot(moment, stats.second_moment - moment)) for moment in stats.class_moments)
    mean, mean_square = _kernel_sum(stats) / _pairs(stats), squares / _pairs(stats)
    return min(0.0, -(mean_square - 2.0 * k_min * mean + k_min**2))


def _kernel_sum(stats: TaskStatistics) -> float:
    total = stats.class_sums.sum(axis=0)
    return float(np.vdot(stats.class_sums, total - stats.class_sums))


def _pairs(stats: TaskStatistics) -> float:
    """Number of ordered pairs of examples of different classes."""
    counts = stats.counts.astype(np.float64)
    return float(counts @ (counts.sum() - counts))
