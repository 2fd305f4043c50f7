"""How much faster is alignment from statistics than from the n x n Gram matrix, and is it equal?

Both forms start from the same unit features, n = 10,000 and d = 512 in float64 with 10 classes, and end with the
same number, on one thread and side by side in one run: the fast one sums `TaskStatistics` (scaling the rows to
unit norm on the way) and takes the alignment from them; the slow one fills the Gram and the ideal Gram matrix
and takes their cosine.

Measured on 2026-11-20, one of 2 cores of an x86-64 server that others were using; Python 3.11.7, NumPy 2.4.6 with
OpenBLAS 0.3.31, SciPy 1.17.1; mean and standard deviation over 7 seeds:

    from statistics    0.093 s +- 0.021 s
    from the Gram      2.19 s +- 0.54 s
    ratio              24.3 +- 6.6, at least 17.2 (target 10)
    largest difference 4.2e-15 (target 1e-10)

With --quick the same with 2 seeds.
"""

import time
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bench.report import parse_quick, report
from kernel_methods.alignment import alignment
from kernel_methods.alignment_by_definition import gram_matrix, ideal_matrix, score_by_definition
from kernel_methods.statistics import TaskStatistics

EXAMPLES, DIMENSIONS, CLASSES = 10_000, 512, 10
SEEDS, QUICK_SEEDS = 7, 2
LEAST_RATIO, LARGEST_DIFFERENCE = 10.0, 1e-10

Features = NDArray[np.float64]
Labels = NDArray[np.int64]


def main() -> None:
    seeds = QUICK_SEEDS if parse_quick(__doc__) else SEEDS
    with threadpool_limits(limits=1):
        compare(seed=seeds)
        rounds = np.array([compare(seed=seed) for seed in range(seeds)])
    fast, slow, difference = rounds.T
    ratios = slow / fast
    figures = {
        "seeds": seeds,
        "from_statistics_seconds": round(float(fast.mean()), 4),
        "from_statistics_seconds_spread": round(float(fast.std(ddof=1)), 4),
        "from_gram_seconds": round(float(slow.mean()), 3),
        "from_gram_seconds_spread": round(float(slow.std(ddof=1)), 3),
        "ratio": round(float(ratios.mean()), 1),
        "ratio_spread": round(float(ratios.std(ddof=1)), 1),
        "ratio_least": round(float(ratios.min()), 1),
        "difference_largest": float(difference.max()),
    }
    holds = ratios.mean() >= LEAST_RATIO and difference.max() <= LARGEST_DIFFERENCE
    targets = {"ratio": LEAST_RATIO, "difference_largest": LARGEST_DIFFERENCE}
    report(bench="statistics_speed", figures=figures, targets=targets, holds=bool(holds))


def compare(*, seed: int) -> tuple[float, float, float]:
    """Seconds of the fast and of the slow form, and how far apart their answers are."""
    features, labels = clustered_features(seed)
    fast_seconds, fast = timed(lambda: from_statistics(features, labels))
    slow_seconds, slow = timed(lambda: from_gram(features, labels))
    return fast_seconds, slow_seconds, abs(fast - slow)


def clustered_features(seed: int) -> tuple[Features, Labels]:
    """Unit features, ReLU of noise around a centre for each class, and the classes."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, EXAMPLES)
    centres = 0.5 * draw.standard_normal((CLASSES, DIMENSIONS))
    features = np.maximum(centres[labels] + draw.standard_normal((EXAMPLES, DIMENSIONS)), 0.0)
    return features / np.linalg.norm(features, axis=1, keepdims=True), labels


def from_statistics(features: Features, labels: Labels) -> float:
    return alignment(TaskStatistics.of(features, labels, classes=CLASSES), k_min=0.0, k_max=1.0)


def from_gram(features: Features, labels: Labels) -> float:
    ideal = ideal_matrix(labels, k_min=0.0, k_max=1.0)
    return score_by_definition("alignment", gram_matrix(features), ideal)


def timed(work: Callable[[], float]) -> tuple[float, float]:
    """Seconds that the work took, and what it gave."""
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


if __name__ == "__main__":
    main()
