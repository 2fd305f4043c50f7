"""H-score: how much of the spread of the features is spread between classes, direction by direction.

Covariances divide by n, within this file and in both places of the formula. The shrunk form draws the covariance of
the features towards a multiple of the identity, by as much as Ledoit and Wolf show to be best; all that this needs
beyond the covariance is the sum of |phi'|^4 over the examples, which for unit rows follows from the statistics.
Features that are zero for all examples (dead units) are passed over: they would count as dimensions to draw towards.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from kernel_methods.centring import CentredStatistics, centre
from kernel_methods.estimators.examples import classes_present
from kernel_methods.statistics import Floats, TaskStatistics

ROUNDING = 1e-12


def h_score(stats: TaskStatistics, *, shrink: bool = True) -> float:
    """Trace of cov(f)^-1 cov(E[f | y]); by default with the covariance shrunk.

    Without shrinking, the inverse is that on the directions in which the features vary; where n <= d and the examples
    are independent it says C - 1 of any features, so compare modules by the shrunk form.

    Args:
        stats: statistics of the task's features.
        shrink: use the shrunk covariance, and 1 less the shrinkage times the covariance of the class means.

    Returns:
        In [0, min(C - 1, d)], C the classes present; larger is better. 0.0 where all features are the same.

    Raises:
        ValueError: fewer than two classes have examples.

    Source:
        Bao, Li, Huang, Zhang, Zheng, Zamir, Guibas (2019), An Information-Theoretic Approach to Transferability in
        Task Transfer Learning; Ibrahim, Ponomareva, Mazumder (2022), Newer is not always better:
        Rethinking transferability metrics, their peculiarities, stability and performance. Programs that
        divide the covariance of the class means by n - 1 give n / (n - 1) times this value.
    """
    present = classes_present(stats)
    alive = np.diagonal(stats.second_moment) > 0.0
    if not alive.any():
        return 0.0
    stats = stats if alive.all() else _only(stats, alive)
    centred = centre(stats)
    if centred.trace <= ROUNDING * stats.examples:
        return 0.0
    counts = centred.counts[present]
    means = stats.class_sums[present] / counts[:, None] - centred.mean
    return spread_between(
        centred.second_moment / stats.examples,
        means * np.sqrt(counts / stats.examples)[:, None],
        shrinkage=shrinkage(centred) if shrink else 0.0,
    )


def shrinkage(centred: CentredStatistics) -> float:
    """How far the covariance is best drawn towards a multiple of the identity.

    Returns:
        In [0, 1]; 0.0 where the covariance is such a multiple already.

    Source:
        Ledoit, Wolf (2004), A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, lemmas 3.2 to 3.4.
    """
    n, dimensions = centred.examples, len(centred.mean)
    squared_norm = centred.squared_norm / n**2
    spread = squared_norm - (centred.trace / n) ** 2 / dimensions
    error = (centred.squared_diagonal / n - squared_norm) / n
    if error <= 0.0 or spread <= ROUNDING * squared_norm:
        return 0.0
    return min(1.0, error / spread)


def spread_between(covariance: Floats, means: Floats, *, shrinkage: float) -> float:
    """The H-score of a covariance and class means.

    Args:
        covariance: of the features. Shape (d, d).
        means: centred class means times the root of the share of their class. Shape (C, d).
        shrinkage: how far the covariance is drawn towards a multiple of the identity, in [0, 1].

    Returns:
        At least 0. Directions of no variance, or less, which noise added to statistics may leave, are passed over.
    """
    dimensions = len(covariance)
    if shrinkage <= ROUNDING * dimensions:
        return _on_the_range(covariance, means)
    floor = shrinkage * float(np.trace(covariance)) / dimensions
    shrunk = (1.0 - shrinkage) * covariance
    shrunk[np.diag_indices(dimensions)] += floor
    try:
        factor = cho_factor(shrunk, lower=True)
    except np.linalg.LinAlgError:
        return (1.0 - shrinkage) * _on_the_range(shrunk, means)
    return (1.0 - shrinkage) * float(np.vdot(means.T, cho_solve(factor, means.T)))


def _only(stats: TaskStatistics, features: NDArray[np.bool_]) -> TaskStatistics:
    """Statistics of some of the features, the others being zero for all examples. ``features`` has shape (d,)."""
    return TaskStatistics(
        counts=stats.counts,
        zeros=stats.zeros,
        class_sums=stats.class_sums[:, features],
        second_moment=stats.second_moment[np.ix_(features, features)],
    )


def _on_the_range(covariance: Floats, means: Floats) -> float:
    """The same with the inverse taken where the covariance is not zero: class means lie there, too."""
    values, vectors = np.linalg.eigh(covariance)
    varies = values > ROUNDING * len(values) * values[-1]
    return float(np.sum((means @ vectors[:, varies]) ** 2 / values[varies]))
