"""How much faster is alignment from statistics than from the n x n Gram matrix, is it equal, and how long are 1e6 rows?

Everything on one thread, 10 classes, d = 512.

1. n = 10,000: both forms start from the same unit features in float64 and end with the same number, side by side in
   one run: the fast one sums `TaskStatistics` (scaling the rows to unit norm on the way) and takes the alignment from
   them; the slow one fills the Gram and the ideal Gram matrix and takes their cosine.
2. n = 50,000: the fast form is measured. The slow one does not fit (two matrices of 20 GB, and what their cosine
   takes): its time is extrapolated as that of n = 10,000 times 25, for its work grows with n^2; how it grew from
   n = 5,000 to 10,000 stands beside.
3. n = 1,000,000: float32 features that come in blocks of 50,000, as from a network, are summed and scored; drawing the
   features is not counted. Memory stays below 0.5 GB.

Measured on 2026-11-21, one of 2 cores of an x86-64 server that others were using; Python 3.11.7, NumPy 2.4.6 with
OpenBLAS 0.3.31, SciPy 1.17.1; mean and standard deviation over 7 seeds (1e6: of one round):

    n = 10,000     from statistics 0.060 s +- 0.014 s, from the Gram 1.77 s +- 0.30 s
                   ratio 30 +- 5 (target 10), largest difference 5.0e-15 (target 1e-10)
    n = 50,000     from statistics 0.263 s +- 0.047 s, from the Gram 44 s +- 7 s, extrapolated
                   ratio 173 +- 44 (target 100); time grew as n^2.3 from 5,000 to 10,000
    n = 1,000,000  4.8 s (target 8)

With --quick the first two with 2 seeds, and a tenth of the million, times 10.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bench.report import Figure, parse_quick, report
from kernel_methods.alignment import alignment
from kernel_methods.alignment_by_definition import gram_matrix, ideal_matrix, score_by_definition
from kernel_methods.statistics import TaskStatistics

EXAMPLES, MANY_EXAMPLES, DIMENSIONS, CLASSES = 10_000, 50_000, 512, 10
MILLION, BLOCK = 1_000_000, 50_000
SEEDS, QUICK_SEEDS = 7, 2
TARGETS: dict[str, Figure] = {"ratio": 10.0, "difference_largest": 1e-10, "ratio_at_5e4": 100.0, "million_seconds": 8.0}

Features = NDArray[np.float64]
Labels = NDArray[np.int64]


def main() -> None:
    quick = parse_quick(__doc__)
    seeds = QUICK_SEEDS if quick else SEEDS
    with threadpool_limits(limits=1):
        compare(seed=seeds)
        rounds = [compare(seed=seed) for seed in range(seeds)]
        million, million_cpu = one_million(MILLION // 10 if quick else MILLION)
    figures: dict[str, Figure] = {"seeds": seeds, "difference_largest": max(each["difference"] for each in rounds)}
    for name in set(rounds[0]) - {"difference"}:
        values = np.array([each[name] for each in rounds])
        figures[name] = float(f"{values.mean():.3g}")
        figures[f"{name}_spread"] = float(f"{values.std(ddof=1):.2g}")
    figures["million_seconds"] = round(million, 2)
    figures["million_processor_seconds"] = round(million_cpu, 2)
    report(bench="statistics_speed", figures=dict(sorted(figures.items())), targets=TARGETS, holds=met(figures))


def met(figures: dict[str, Figure]) -> bool:
    """Whether the ratios are at least, and the others at most, as their targets."""
    apart = {name: float(figures[name]) - float(target) for name, target in TARGETS.items()}
    return all(excess >= 0.0 if name.startswith("ratio") else excess <= 0.0 for name, excess in apart.items())


def compare(*, seed: int) -> dict[str, float]:
    """Seconds of both forms and their ratios, measured and extrapolated, and how far apart their answers are."""
    features, labels = clustered_features(seed, MANY_EXAMPLES)
    few, half = slice(EXAMPLES), slice(EXAMPLES // 2)
    fast_seconds, fast = timed(lambda: from_statistics(features[few], labels[few]))
    slow_seconds, slow = timed(lambda: from_gram(features[few], labels[few]))
    half_seconds, _ = timed(lambda: from_gram(features[half], labels[half]))
    many_seconds, _ = timed(lambda: from_statistics(features, labels))
    extrapolated = slow_seconds * (MANY_EXAMPLES / EXAMPLES) ** 2
    return {
        "from_statistics_seconds": fast_seconds,
        "from_gram_seconds": slow_seconds,
        "ratio": slow_seconds / fast_seconds,
        "from_gram_growth": float(np.log2(slow_seconds / half_seconds)),
        "from_statistics_seconds_at_5e4": many_seconds,
        "from_gram_seconds_at_5e4_extrapolated": extrapolated,
        "ratio_at_5e4": extrapolated / many_seconds,
        "difference": abs(fast - slow),
    }


def one_million(examples: int) -> tuple[float, float]:
    """Seconds, and seconds of the processor, to sum and score a million rows; by fewer examples, extrapolated."""
    total = TaskStatistics.empty(CLASSES, DIMENSIONS)
    clocks, began = np.zeros(2), np.zeros(2)
    for features, labels in float32_blocks(examples // BLOCK):
        began[:] = time.perf_counter(), time.process_time()
        total = total + TaskStatistics.of(features, labels, classes=CLASSES)
        clocks += np.array([time.perf_counter(), time.process_time()]) - began
    began[:] = time.perf_counter(), time.process_time()
    alignment(total, k_min=0.0, k_max=1.0)
    clocks += np.array([time.perf_counter(), time.process_time()]) - began
    seconds, processor_seconds = clocks * MILLION / examples
    return float(seconds), float(processor_seconds)


def float32_blocks(count: int) -> Iterator[tuple[NDArray[np.float32], Labels]]:
    """Blocks of features, ReLU of noise around a centre for each class, with their labels; drawn when asked for."""
    draw = np.random.default_rng(0)
    centres = 0.5 * draw.standard_normal((CLASSES, DIMENSIONS), dtype=np.float32)
    for _ in range(count):
        labels = draw.integers(0, CLASSES, BLOCK)
        features = draw.standard_normal((BLOCK, DIMENSIONS), dtype=np.float32)
        features += centres[labels]
        yield np.maximum(features, 0.0, out=features), labels


def clustered_features(seed: int, examples: int) -> tuple[Features, Labels]:
    """Unit features, ReLU of noise around a centre for each class, and the classes."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, examples)
    centres = 0.5 * draw.standard_normal((CLASSES, DIMENSIONS))
    features = np.maximum(centres[labels] + draw.standard_normal((examples, DIMENSIONS)), 0.0)
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
