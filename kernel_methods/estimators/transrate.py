"""TransRate: how many more nats the features take to write down than the features of one class at a time.

The rate of n vectors with second moment M, up to a mean squared error of epsilon, is 1/2 log det(I + M / (n epsilon)).
Features are centred over all examples, and the class moments about the same mean. Unit features fix the scale, so
that one epsilon serves all modules: 1e-4, the authors' value.
"""

import numpy as np

from kernel_methods.centring import centre
from kernel_methods.estimators.examples import classes_present
from kernel_methods.statistics import Floats, TaskStatistics

EPSILON = 1e-4


def transrate(stats: TaskStatistics, *, epsilon: float = EPSILON) -> float:
    """Coding rate of all features less the mean coding rate within a class, every class weighed by its examples.

    Args:
        stats: statistics of the task's features, with class moments.
        epsilon: squared distortion, above 0.

    Returns:
        In nats, at least 0 up to rounding; larger is better. Rotating the features does not change it.

    Raises:
        ValueError: fewer than two classes have examples, there are no class moments, or ``epsilon`` is not positive.

    Source:
        Huang, Huang, Rong, Yang, Wei (2022), Frustratingly Easy Transferability Estimation; the weights
        are those of Yu, Chan, You, Song, Ma (2020), Learning Diverse and Discriminative Representations via the
        Principle of Maximal Coding Rate Reduction. The authors' program weighs all classes alike, which
        is the same for classes of one size.
    """
    present = classes_present(stats)
    moments = stats.class_moments
    if moments is None:
        raise ValueError("undefined: TransRate needs statistics with class_moments=True")
    if epsilon <= 0.0:
        raise ValueError(f"need epsilon > 0, got {epsilon}")
    centred = centre(stats)
    whole = _rate(centred.second_moment, examples=centred.examples, epsilon=epsilon)
    within = 0.0
    for total, moment, count in zip(
        stats.class_sums[present], (moments[c] for c in present), centred.counts[present], strict=True
    ):
        about = _about(centred.mean, moment=moment, total=total, count=count)
        within += count / centred.examples * _rate(about, examples=count, epsilon=epsilon)
    return float(whole - within)


def _about(mean: Floats, *, moment: Floats, total: Floats, count: float) -> Floats:
    """Second moment (d, d) of a class about ``mean`` (d,), from that about zero and the class sum (d,)."""
    cross = np.outer(total, mean)
    return np.asarray(moment - cross - cross.T + count * np.outer(mean, mean))


def _rate(moment: Floats, *, examples: float, epsilon: float) -> float:
    """Half the log determinant of I + M / (n epsilon), for M of shape (d, d), in nats.

    Eigenvalues below zero, which noise added to statistics may leave, count as zero where they would spoil it.
    """
    regular = moment / (examples * epsilon)
    regular[np.diag_indices(len(regular))] += 1.0
    try:
        return float(np.log(np.diagonal(np.linalg.cholesky(regular))).sum())
    except np.linalg.LinAlgError:
        return 0.5 * float(np.log(np.maximum(np.linalg.eigvalsh(regular), 1.0)).sum())
