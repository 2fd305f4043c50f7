"""How often the nearest class mean is one's own, from class sums and the second moment."""

import numpy as np
from scipy.special import log_ndtr

from kernel_methods.kernel_sums import check_two_classes
from kernel_methods.rows import symmetric
from kernel_methods.statistics import Floats, TaskStatistics

FLAT = 1e-12


def nearest_class_mean(stats: TaskStatistics) -> float:
    """Expected accuracy of the rule that names the class with the nearest mean feature.

    Between two classes an example's projection on the line through both means is taken as normal, with the spread
    within classes along that line; an example is right where it is right against every other class, taken as
    independent. Distances of means are corrected for what they owe to few examples. The variance along a line is not:
    its correction may leave nothing, and features that say nothing would then be right about every example.

    Args:
        stats: statistics of the task; classes without examples are passed over.

    Returns:
        In [0, 1], larger is better; with C classes whose means are all the same 0.5^(C - 1).

    Raises:
        ValueError: fewer than two classes have examples, or no class has two.

    Source:
        Fisher (1936), The Use of Multiple Measurements in Taxonomic Problems, for the normal projection; the pairwise
        product and the correction are this project's own.
    """
    present = stats.counts > 0
    counts = stats.counts[present].astype(np.float64)
    check_two_classes(counts)
    freedom = counts.sum() - len(counts)
    if freedom < 1:
        raise ValueError("undefined: no class has two examples, so nothing is known of the spread within classes")
    means = stats.class_sums[present] / counts[:, None]
    within = symmetric(stats.second_moment - (means * counts[:, None]).T @ means) / freedom
    apart, variance = _between(means, within, counts=counts)
    logs = log_ndtr(_margins(apart, variance))
    np.fill_diagonal(logs, 0.0)
    return float(np.exp(logs.sum(axis=1)) @ counts / counts.sum())


def _between(means: Floats, within: Floats, *, counts: Floats) -> tuple[Floats, Floats]:
    """Squared distances of the classes' means, and variances along the lines between them. Shape (C, C) each."""
    few = 1.0 / counts[:, None] + 1.0 / counts
    seen = np.maximum(_quadratic(means @ means.T), 0.0)
    along = np.maximum(_quadratic(means @ within @ means.T), 0.0)
    apart = np.maximum(seen - float(np.trace(within)) * few, 0.0)
    return apart, np.divide(along, seen, out=np.zeros_like(seen), where=seen > FLAT)


def _quadratic(gram: Floats) -> Floats:
    """Squared lengths of all differences, from inner products. Shape (C, C)."""
    own = np.diagonal(gram)
    return np.asarray(own[:, None] + own - gram - gram.T)


def _margins(apart: Floats, variance: Floats) -> Floats:
    """Half the distance over the standard deviation along it: 0 where means coincide, infinite without variance."""
    flat = variance <= FLAT
    margins = 0.5 * np.sqrt(apart / np.where(flat, 1.0, variance))
    return np.where(flat, np.where(apart > FLAT, np.inf, 0.0), margins)
