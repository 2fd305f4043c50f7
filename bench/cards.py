"""All 45 pairs of CIFAR-10's classes: how much faster from one card than from the features, and are they equal?

Features are a random projection of the 50,000 training images to 512 dimensions with a ReLU: made in a moment, and
the time of either form does not depend on what features say. The slow form takes, for every pair, the `TaskStatistics`
of the pair's 10,000 examples (their rows were picked beforehand) and the five kernel scores from these. The fast form
asks a `Card`, which was made before from the statistics of all ten classes, for the same 225 scores. What making the
card costs stands beside: it is paid once for all questions about classes that a module and a data set will see.

Measured on 2026-11-21, one thread on one of 2 cores of an x86-64 server that others were using; Python 3.11.7,
NumPy 2.4.6 with OpenBLAS 0.3.31, SciPy 1.17.1; mean and standard deviation over 3 projections:

    225 scores from the features   2.38 s +- 0.06 s
    225 scores from the card       0.465 ms +- 0.007 ms
    ratio                          5,120 +- 40 (target 200); 97 +- 1 where the card has to be made first
    making the card                0.024 s, from statistics that took 0.30 s +- 0.01 s
    largest difference             8.9e-16 (target 1e-10), random merges of classes included

With --quick 20,000 random features of 256 dimensions, without CIFAR-10.
"""

import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import combinations
from typing import TypeVar, get_args

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bench.cifar import images_of
from bench.report import Figure, parse_quick, report
from kernel_methods.alignment import score_by_name
from kernel_methods.cards import Card
from kernel_methods.kernels import ScoreName
from kernel_methods.statistics import TaskStatistics

CLASSES, K_MIN, K_MAX = 10, 0.0, 1.0
IMAGES, DIMENSIONS, SEEDS = 50_000, 512, 3
QUICK_EXAMPLES, QUICK_DIMENSIONS = 20_000, 256
ASKED = 20
LEAST_RATIO, LARGEST_DIFFERENCE = 200.0, 1e-10

NAMES: tuple[ScoreName, ...] = get_args(ScoreName)
PAIRS = tuple(combinations(range(CLASSES), 2))

Features = NDArray[np.float32]
Labels = NDArray[np.int64]
Scores = NDArray[np.float64]
T = TypeVar("T")


def main() -> None:
    quick = parse_quick(__doc__)
    with threadpool_limits(limits=1):
        rounds = [compare(*(random_features(seed) if quick else projected_images(seed))) for seed in range(SEEDS)]
    figures = summary(rounds)
    targets = {"ratio": LEAST_RATIO, "difference_largest": LARGEST_DIFFERENCE}
    holds = float(figures["ratio"]) >= LEAST_RATIO and float(figures["difference_largest"]) <= LARGEST_DIFFERENCE
    report(bench="cards", figures=figures, targets=targets, holds=holds)


def compare(features: Features, labels: Labels) -> dict[str, float]:
    """Seconds of both forms and of what the card is made of, and how far apart the scores are at most."""
    whole = of_all(features, labels)
    statistics_seconds, stats = timed(lambda: of_all(features, labels))
    card_seconds, card = timed(lambda: Card.of(stats))
    from_card(card)
    asked = [timed(lambda: from_card(card)) for _ in range(ASKED)]
    slow_seconds, slow = from_features(features, labels)
    fast_seconds = float(np.mean([seconds for seconds, _ in asked]))
    return {
        "statistics_seconds": statistics_seconds,
        "card_seconds": card_seconds,
        "from_features_seconds": slow_seconds,
        "from_card_seconds": fast_seconds,
        "ratio": slow_seconds / fast_seconds,
        "ratio_with_making_the_card": slow_seconds / (fast_seconds + card_seconds),
        "difference": float(np.abs(asked[0][1] - slow).max()),
        "difference_merged": merged_difference(whole, card),
    }


def of_all(features: Features, labels: Labels) -> TaskStatistics:
    return TaskStatistics.of(features, labels, classes=CLASSES, class_moments=True)


def from_card(card: Card) -> Scores:
    """Every score of every pair. Shape (5, 45)."""
    matrices = [card.pairs(name, k_min=K_MIN, k_max=K_MAX) for name in NAMES]
    one, other = np.array(PAIRS).T
    return np.stack([matrix[one, other] for matrix in matrices])


def from_features(features: Features, labels: Labels) -> tuple[float, Scores]:
    """Seconds, and every score of every pair, (5, 45); picking the rows of a pair is not counted."""
    total, columns = 0.0, []
    for one, other in PAIRS:
        rows = np.flatnonzero((labels == one) | (labels == other))
        chosen, is_other = features[rows], (labels[rows] == other).astype(np.int64)
        seconds, column = timed(partial(scores_of, chosen, is_other))
        total += seconds
        columns.append(column)
    return total, np.stack(columns, axis=1)


def scores_of(features: Features, labels: Labels) -> Scores:
    stats = TaskStatistics.of(features, labels, classes=2)
    return np.array([score_by_name(name, stats, k_min=K_MIN, k_max=K_MAX) for name in NAMES])


def merged_difference(stats: TaskStatistics, card: Card) -> float:
    """Largest difference between the card and merged statistics over twenty random merges of classes."""
    found = [0.0]
    for seed in range(20):
        owner = np.random.default_rng(seed).integers(-1, 3, CLASSES)
        groups = [np.flatnonzero(owner == group).tolist() for group in range(3) if np.any(owner == group)]
        if len(groups) < 2:
            continue
        merged = stats.merge_classes(groups)
        for name in NAMES:
            expected = score_by_name(name, merged, k_min=K_MIN, k_max=K_MAX)
            found.append(abs(card.score(name, groups, k_min=K_MIN, k_max=K_MAX) - expected))
    return max(found)


def projected_images(seed: int) -> tuple[Features, Labels]:
    """ReLU of a random projection of the training images, standardised by channel."""
    held = images_of("train", IMAGES)
    draw = np.random.default_rng(seed)
    projection = draw.standard_normal((held.images[0].size, DIMENSIONS), dtype=np.float32)
    parts = np.array_split(held.images, 20)
    features = [np.maximum((part.reshape(len(part), -1) / np.float32(64.0) - 2.0) @ projection, 0.0) for part in parts]
    return np.concatenate(features), held.labels


def random_features(seed: int) -> tuple[Features, Labels]:
    """ReLU of noise around a centre for each class."""
    draw = np.random.default_rng(seed)
    labels = draw.integers(0, CLASSES, QUICK_EXAMPLES)
    centres = 0.5 * draw.standard_normal((CLASSES, QUICK_DIMENSIONS), dtype=np.float32)
    noise = draw.standard_normal((QUICK_EXAMPLES, QUICK_DIMENSIONS), dtype=np.float32)
    return np.maximum(centres[labels] + noise, 0.0), labels


def summary(rounds: list[dict[str, float]]) -> Mapping[str, Figure]:
    """Means and spreads over the rounds; of differences the largest."""
    figures: dict[str, Figure] = {"pairs": len(PAIRS), "scores": len(NAMES), "seeds": len(rounds)}
    for name in rounds[0]:
        values = np.array([each[name] for each in rounds])
        if name.startswith("difference"):
            figures["difference_largest"] = max(float(values.max()), float(figures.get("difference_largest", 0.0)))
            continue
        figures[name] = float(f"{values.mean():.3g}")
        figures[f"{name}_spread"] = float(f"{values.std(ddof=1):.2g}")
    return figures


def timed(work: Callable[[], T]) -> tuple[float, T]:
    start = time.perf_counter()
    value = work()
    return time.perf_counter() - start, value


if __name__ == "__main__":
    main()
