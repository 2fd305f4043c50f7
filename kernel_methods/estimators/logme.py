"""LogME: how probable the labels are under a linear model on the features whose two variances fit best.

With y the indicator of a class, weights ~ N(0, 1 / alpha) and noise ~ N(0, 1 / beta), the labels are distributed
as N(0, (I + K / ratio) / beta), where K is the Gram matrix and ratio = alpha / beta. For a given ratio the best beta
is known, so the evidence is a function of the ratio alone. With s_i the eigenvalues of the second moment M that are
not zero, e_i = b_i^2 / s_i where b is the class sum along the eigenvectors, and outside = n_c - sum_i e_i what no
weights explain,

    q = outside + ratio sum_i e_i / (ratio + s_i)
    log evidence = -n/2 (log(2 pi q / n) + 1) - 1/2 sum_i log(1 + s_i / ratio)

and one eigendecomposition serves all classes. Where n < d nothing changes: M has the eigenvalues of K that are not
zero, so this is the evidence of the n x n side exactly.

The ratio moves by MacKay's fixed point from 1, as in the published method, 500 steps at most, and is held within 1e-6
and 1e12. Where the features explain a class without error the evidence would grow without bound as the ratio falls;
the lower end keeps it finite. Where n < d it is often nearly flat there, and a ratio at the end costs little.
"""

import math
from typing import NamedTuple

import numpy as np

from kernel_methods.estimators.examples import classes_present
from kernel_methods.statistics import Floats, TaskStatistics

SMALLEST_RATIO = 1e-6
LARGEST_RATIO = 1e12
STEPS = 500
CLOSE_ENOUGH = 1e-9
ROUNDING = 1e-13


class _Fit(NamedTuple):
    """What the evidence of every class needs.

    Args:
        spectrum: eigenvalues of the second moment that are not zero. Shape (r,).
        explained: squared length of each class's labels along each of them, by the examples. Shape (C, r).
        outside: squared length of each class's labels that is along none. Shape (C,).
        examples: number of examples n.
    """

    spectrum: Floats
    explained: Floats
    outside: Floats
    examples: int


def logme(stats: TaskStatistics) -> float:
    """Mean over the classes present of the log maximum evidence per example; features are taken as they are.

    Args:
        stats: statistics of the task's features; neither centred nor extended by a constant, as published.

    Returns:
        In nats per example, finite; larger is better. Rotating the features does not change it. Rare classes raise it
        whatever the features, so compare modules on one task, not tasks.

    Raises:
        ValueError: fewer than two classes have examples.

    Source:
        You, Liu, Wang, Long (2021), LogME: Practical Assessment of Pre-trained Models for Transfer Learning,
        algorithm 1; Bishop (2006), Pattern Recognition and Machine Learning, equations 3.86, 3.91, 3.92, 3.95.
    """
    fit = _fit(stats)
    ratios = np.ones(len(fit.outside))
    for _ in range(STEPS):
        moved = _moved(fit, ratios)
        still = bool(np.all(np.abs(np.log(moved / ratios)) <= CLOSE_ENOUGH))
        ratios = moved
        if still:
            break
    return float(_log_evidence(fit, ratios).mean())


def _fit(stats: TaskStatistics) -> _Fit:
    """Of the classes present. Raises ValueError where there are fewer than two."""
    present = classes_present(stats)
    values, vectors = np.linalg.eigh(stats.second_moment)
    kept = values > ROUNDING * max(values[-1], 1.0)
    explained = (stats.class_sums[present] @ vectors[:, kept]) ** 2 / values[kept]
    lengths = stats.counts[present].astype(np.float64)
    left = lengths - explained.sum(axis=1)
    return _Fit(values[kept], explained, np.where(left > 10.0 * ROUNDING * lengths, left, 0.0), stats.examples)


def _moved(fit: _Fit, ratios: Floats) -> Floats:
    """One step: alpha = gamma / |w|^2, 1 / beta = residual / (n - gamma), gamma the parameters that count."""
    shares = 1.0 / (ratios[:, None] + fit.spectrum)
    counting = (fit.spectrum * shares).sum(axis=1)
    idle = max(0, fit.examples - len(fit.spectrum)) + (ratios[:, None] * shares).sum(axis=1)
    weights = (fit.explained * fit.spectrum * shares**2).sum(axis=1)
    residual = fit.outside + ratios**2 * (fit.explained * shares**2).sum(axis=1)
    below = idle * weights
    moved = np.divide(counting * residual, below, out=np.full_like(below, LARGEST_RATIO), where=below > 0.0)
    return np.asarray(np.clip(moved, SMALLEST_RATIO, LARGEST_RATIO))


def _log_evidence(fit: _Fit, ratios: Floats) -> Floats:
    """Log evidence per example of every class at the best beta: shape (C,)."""
    column = ratios[:, None]
    quadratic = fit.outside + (fit.explained * column / (column + fit.spectrum)).sum(axis=1)
    volume = np.log1p(fit.spectrum / column).sum(axis=1)
    return np.asarray(-0.5 * (np.log(2.0 * math.pi * quadratic / fit.examples) + 1.0 + volume / fit.examples))
