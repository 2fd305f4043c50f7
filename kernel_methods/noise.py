"""Noise on statistics before they leave home: the Gaussian mechanism, and what makes noisy statistics usable.

What is kept secret is the images; how many there are of each class is told. Neighbours are therefore two sets of
examples that differ in one image, exchanged for another of its class. That changes the sum of its class by
phi' - phi and the second moment by phi' phi'^T - phi phi^T. For unit vectors with inner product t, squared and added:

    (2 - 2 t) + (2 - 2 t^2) <= 4.5, at t = -1/2,

and for a vector and zero 1 + 1: the sensitivity in L2 of one shard's class sums and second moment together is
sqrt(4.5). (To add or to take away one example would change them by sqrt(2), but would change the counts as well.)
Which shard an image is in depends on its label and its place alone, so every shard may have the noise of the whole.
"""

import math
from collections.abc import Callable

import numpy as np
from scipy.special import log_ndtr, ndtr

from kernel_methods.statistics import Floats, TaskStatistics

SENSITIVITY = math.sqrt(4.5)
"""How far one image, exchanged for another of its class, moves class sums and second moment together."""

SPURIOUS = 3.0
"""Singular values of C x d noise pass sqrt(C) + sqrt(d) + t with probability exp(-t^2 / 2) at most: here 1.1 %."""

HALVINGS = 200

Normal = Callable[[int], Floats]
"""Draws so many independent standard normal numbers. Shape (n,), float64."""


def gaussian_delta(epsilon: float, ratio: float) -> float:
    """The delta that Gaussian noise keeps at an epsilon.

    Args:
        epsilon: at least 0.
        ratio: standard deviation of the noise over the sensitivity, above 0.

    Returns:
        In [0, 1]; smaller is more private. It falls with both arguments.

    Source:
        Balle, Wang (2018), Improving the Gaussian Mechanism for Differential Privacy, Theorem 8.
    """
    near, far = 0.5 / ratio - epsilon * ratio, -0.5 / ratio - epsilon * ratio
    return float(ndtr(near) - np.exp(epsilon + log_ndtr(far)))


def noise_ratio(epsilon: float, delta: float) -> float:
    """The least noise that keeps (epsilon, delta): its standard deviation over the sensitivity.

    Raises:
        ValueError: ``epsilon`` is not above 0, or ``delta`` not in (0, 1).
    """
    if not epsilon > 0 or not 0 < delta < 1:
        raise ValueError(f"need epsilon > 0 and 0 < delta < 1, got epsilon={epsilon} and delta={delta}")
    high = 1.0
    while gaussian_delta(epsilon, high) > delta:
        high *= 2.0
    low = 0.0
    for _ in range(HALVINGS):
        middle = 0.5 * (low + high)
        if middle in (low, high):
            break
        low, high = (low, middle) if gaussian_delta(epsilon, middle) <= delta else (middle, high)
    return high


def noise_scale(*, epsilon: float, delta: float, modules: int) -> float:
    """Standard deviation of the noise on statistics of several modules that keep (epsilon, delta) together.

    All of them look at the same image, so that their sensitivities add as squares.

    Raises:
        ValueError: there is no module, or as `noise_ratio`.
    """
    if modules < 1:
        raise ValueError(f"need at least one module, got {modules}")
    return noise_ratio(epsilon, delta) * SENSITIVITY * math.sqrt(modules)


def gaussian_mechanism(statistics: TaskStatistics, *, scale: float, normal: Normal) -> tuple[Floats, Floats]:
    """Class sums and second moment with noise of this standard deviation, and nothing else: all that is told of images.

    The noise is symmetric on the second moment, so that its Frobenius norm is that of one number for each entry on or
    above the diagonal.

    Args:
        statistics: of one shard.
        scale: standard deviation of the noise, above 0.
        normal: draws it; nobody may be able to draw it again.

    Returns:
        Shapes (C, d), where classes without examples stay at zero, and (d, d), symmetric.

    Raises:
        ValueError: ``scale`` is not above 0.
    """
    if not scale > 0:
        raise ValueError(f"need a scale above 0, got {scale}")
    classes, dimensions = statistics.class_sums.shape
    drawn = scale * normal((classes + dimensions) * dimensions).reshape(-1, dimensions)
    sums = statistics.class_sums + np.where(statistics.counts[:, None] > 0, drawn[:classes], 0.0)
    square = drawn[classes:]
    return sums, statistics.second_moment + (square + square.T) / 2.0


def with_gaussian_noise(statistics: TaskStatistics, *, scale: float, normal: Normal) -> TaskStatistics:
    """Class sums and second moment with noise, brought back to what vectors of unit mean square can have.

    What follows the noise looks at noisy numbers and at counts only, and costs no privacy: class sums are shrunk to
    what stands out of the noise, which else would pass for classes that lie apart; what is left of the second moment
    within classes is drawn towards one that is alike in all directions, as far as it is noise, and becomes positive
    semidefinite, with the trace that unit vectors leave to it. Scores are therefore rather too low.

    Args:
        statistics: of one shard; counts stay as they are. Zero rows are not told: every example counts as a unit row.
        scale: standard deviation of the noise.
        normal: draws it.

    Returns:
        Statistics that pass `check_plausible`, without class moments.

    Raises:
        ValueError: as `gaussian_mechanism`.

    Source:
        Gavish, Donoho (2017), Optimal Shrinkage of Singular Values, the shrinker for Frobenius loss (class sums);
        Ledoit, Wolf (2004), A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, Theorem 2.1, with
        the noise known (second moment);
        Davidson, Szarek (2001), Local Operator Theory, Random Matrices and Banach Spaces, Theorem II.13 (`SPURIOUS`).
    """
    noisy, moment = gaussian_mechanism(statistics, scale=scale, normal=normal)
    present = np.flatnonzero(statistics.counts)
    counts = statistics.counts[present].astype(np.float64)
    sums = np.zeros_like(noisy)
    sums[present] = _within(_denoised(noisy[present], counts, scale), counts)
    return TaskStatistics(
        counts=statistics.counts,
        zeros=np.zeros_like(statistics.zeros),
        class_sums=sums,
        second_moment=_plausible_moment(moment, sums[present], counts, scale=scale),
    )


def _denoised(sums: Floats, counts: Floats, scale: float) -> Floats:
    """Class sums without what may be mere noise: what all classes have in common and how they differ, each by itself.

    Classes that do not differ have sums along their counts. What is orthogonal to those shows nothing but differences,
    so that noise cannot pass for one behind the large sums that all classes share.
    """
    alike = counts[:, None] / np.linalg.norm(counts)
    rest = np.linalg.svd(alike)[0][:, 1:]
    common = alike @ _shrunk(alike.T @ sums, scale)
    return np.asarray(common + rest @ _shrunk(rest.T @ sums, scale) if rest.size else common)


def _shrunk(sums: Floats, scale: float) -> Floats:
    """A noisy matrix with every singular value shrunk to what is likely behind it; those of mere noise are gone."""
    left, values, right = np.linalg.svd(sums, full_matrices=False)
    small, large = math.sqrt(min(sums.shape)), math.sqrt(max(sums.shape))
    beta, seen = (small / large) ** 2, values / (scale * large)
    square = np.maximum((seen**2 - beta - 1.0) ** 2 - 4.0 * beta, 0.0)
    behind = scale * large * np.sqrt(square) / np.maximum(seen, 1.0)
    stands_out = values > scale * (small + large + SPURIOUS)
    return np.asarray((left * np.where(stands_out, behind, 0.0)) @ right)


def _within(sums: Floats, counts: Floats) -> Floats:
    """Class sums no longer than the number of unit vectors in their class."""
    lengths = np.linalg.norm(sums, axis=1)
    return np.asarray(sums * np.minimum(1.0, counts / np.maximum(lengths, 1e-300))[:, None])


def _plausible_moment(moment: Floats, sums: Floats, counts: Floats, *, scale: float) -> Floats:
    """A second moment that goes with these class sums: what is within classes has no negative direction.

    As far as it is noise it is made alike in all directions: classes must not seem to lie apart because noise took
    away what is within them.
    """
    between = sums.T @ (sums / counts[:, None])
    left = max(float(counts.sum() - np.trace(between)), 0.0)
    values, vectors = np.linalg.eigh(moment - between)
    even = left / len(values)
    noise = scale**2 * len(values) * (len(values) + 1) / 2.0
    share = max(0.0, 1.0 - noise / max(float(np.sum((values - even) ** 2)), 1e-300))
    kept = on_simplex(even + share * (values - even), total=left)
    within = (vectors * kept) @ vectors.T
    whole = between + within
    return np.asarray((whole + whole.T) / 2.0)


def on_simplex(values: Floats, *, total: float) -> Floats:
    """The nearest numbers that are not negative and add up to a total.

    Args:
        values: shape (d,).
        total: at least 0, but for rounding.

    Source:
        Held, Wolfe, Crowder (1974), Validation of Subgradient Optimization, the projection onto the simplex.
    """
    total = max(total, 0.0)
    falling = np.sort(values)[::-1]
    excess = (np.cumsum(falling) - total) / np.arange(1, len(falling) + 1)
    last = int(np.flatnonzero(falling - excess >= 0.0)[-1]) if np.any(falling - excess >= 0.0) else 0
    return np.asarray(np.maximum(values - excess[last], 0.0))
