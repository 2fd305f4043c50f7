"""How exact are the scores that are computed from statistics, and what do float32 and bfloat16 features cost?

Features are ReLU of noise around a centre for each class, of unequal sizes, 1 in 50 rows zero: n of 100, 2,000 and
10,000 (5, 3 and 1 seeds), d of 64 and 512, 10 classes. Statistics are float64 throughout. Of every score, the largest
relative difference over all of these

    sharding   of seven random shards, merged, from all examples at once
    Gram       of statistics from the n x n float64 matrices, for the scores that are defined by pairs (the others
               are held against their definitions by the tests of `kernel_methods.estimators`)
    float32    of features that were rounded to float32 before the statistics, from features in float64
    bfloat16   the same

Last, the limit of centring: features that all but coincide (a mean kernel value of 0.9998), where the centred alignment
subtracts nearly equal numbers; its difference from the Gram matrices is told and no target.

Measured on 2026-11-21, one of 2 cores of an x86-64 server that others were using; Python 3.11.7, NumPy 2.4.6 with
OpenBLAS 0.3.31, SciPy 1.17.1, torch 2.15:

                                  sharding     Gram   float32  bfloat16
    alignment                      2.2e-16  2.4e-15   3.8e-10    4.0e-5
    upper-triangle alignment       4.4e-16  9.8e-15   4.3e-10    4.5e-5
    centred alignment              4.4e-16  4.4e-12   2.4e-9     1.4e-4
    negative mean squared error    2.2e-16  1.1e-15   1.6e-9     7.5e-5
    raw                            4.4e-16  2.2e-16   1.7e-9     7.2e-5
    raw NEO                        3.3e-16  2.2e-16   1.6e-9     6.5e-5
    negative mean squared err. NEO 2.2e-16  3.3e-16   3.1e-9     1.2e-4
    ridge, generalised c.-v.       8.9e-15            4.2e-9     4.2e-4
    LogME                          3.7e-14            1.3e-7     2.2e-3
    H-score, shrunk                1.2e-15            1.0e-8     3.0e-4
    nearest class mean             2.2e-16            2.1e-9     1.3e-4
    TransRate                      4.7e-15            9.4e-10    4.4e-5
    largest                        3.7e-14  4.4e-12   1.3e-7     2.2e-3 (targets of the first two: 1e-10)

    centred alignment of features that all but coincide: 2.1e-10 from the Gram matrices

With --quick n of 100 and 1,000, one seed.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from bench.report import Figure, parse_quick, report
from kernel_methods.alignment import centred_alignment, score_by_name
from kernel_methods.alignment_by_definition import gram_matrix, ideal_matrix, score_by_definition
from kernel_methods.estimators.h_score import h_score
from kernel_methods.estimators.logme import logme
from kernel_methods.estimators.nearest_class_mean import nearest_class_mean
from kernel_methods.estimators.neo import negative_mean_squared_error_neo, raw_neo
from kernel_methods.estimators.ridge import ridge_gcv
from kernel_methods.estimators.transrate import transrate
from kernel_methods.kernels import ScoreName
from kernel_methods.rows import unit_rows
from kernel_methods.statistics import TaskStatistics, merge

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Score = Callable[[TaskStatistics], float]

CLASSES, SHARDS, K_MIN, K_MAX = 10, 7, 0.0, 1.0
DIMENSIONS = (64, 512)
SEEDS_OF_EXAMPLES, QUICK_SEEDS_OF_EXAMPLES = {100: 5, 2000: 3, 10_000: 1}, {100: 1, 1000: 1}
LARGEST_DIFFERENCE = 1e-10
NAMES: tuple[ScoreName, ...] = get_args(ScoreName)


def kernel_score(name: ScoreName) -> Score:
    return lambda stats: score_by_name(name, stats, k_min=K_MIN, k_max=K_MAX)


SCORES: dict[str, Score] = {
    **{name: kernel_score(name) for name in NAMES},
    "raw_neo": lambda stats: raw_neo(stats, k_min=K_MIN, k_max=K_MAX),
    "negative_mean_squared_error_neo": lambda stats: negative_mean_squared_error_neo(stats, k_min=K_MIN, k_max=K_MAX),
    "ridge": ridge_gcv,
    "logme": logme,
    "h_score": h_score,
    "nearest_class_mean": nearest_class_mean,
    "transrate": transrate,
}
"""Every score that is a function of `TaskStatistics`; held-out ridge depends on the shards by its definition."""


@dataclass(frozen=True, slots=True)
class Task:
    """Labelled features (n, d) in float64."""

    features: Floats
    labels: Integers

    def statistics(self, rows: Integers | slice = slice(None)) -> TaskStatistics:
        """Statistics of some rows, or of all, with class moments."""
        return TaskStatistics.of(self.features[rows], self.labels[rows], classes=CLASSES, class_moments=True)


def main() -> None:
    quick = parse_quick(__doc__)
    sizes = QUICK_SEEDS_OF_EXAMPLES if quick else SEEDS_OF_EXAMPLES
    with threadpool_limits(limits=1):
        largest = worst(difference for task in tasks(sizes) for difference in differences(task))
        limit = nearly_constant()
    figures: dict[str, Figure] = {f"{kind}_{name}": float(f"{value:.2g}") for (kind, name), value in largest.items()}
    for kind in ("sharding", "gram", "float32", "bfloat16"):
        figures[f"{kind}_largest"] = float(f"{max(value for key, value in largest.items() if key[0] == kind):.2g}")
    figures["gram_centred_alignment_nearly_constant"] = float(f"{limit:.2g}")
    targets = {"sharding_largest": LARGEST_DIFFERENCE, "gram_largest": LARGEST_DIFFERENCE}
    holds = all(float(figures[name]) <= target for name, target in targets.items())
    report(bench="exactness", figures=dict(sorted(figures.items())), targets=targets, holds=holds)


def tasks(sizes: dict[int, int]) -> Iterator[Task]:
    for examples, seeds in sizes.items():
        for dimensions in DIMENSIONS:
            yield from (clustered(seed, examples=examples, dimensions=dimensions) for seed in range(seeds))


def clustered(seed: int, *, examples: int, dimensions: int) -> Task:
    """ReLU features around class centres, of classes of sizes 1 to 10, one row in fifty zero."""
    draw = np.random.default_rng([seed, examples, dimensions])
    shares = np.arange(1.0, CLASSES + 1.0)
    labels = draw.choice(CLASSES, examples, p=shares / shares.sum())
    labels[: 2 * CLASSES] = np.arange(2 * CLASSES) % CLASSES
    centres = 0.5 * draw.standard_normal((CLASSES, dimensions))
    features = np.maximum(centres[labels] + draw.standard_normal((examples, dimensions)), 0.0)
    features[draw.choice(examples, examples // 50, replace=False)] = 0.0
    return Task(features, labels)


def differences(task: Task) -> Iterator[tuple[tuple[str, str], float]]:
    """What was changed, which score, and how far that moved it, relative to its value."""
    values = scores(task.statistics())
    others = {
        "sharding": scores(sharded(task)),
        "gram": by_pairs(task),
        "float32": scores(rounded(task, torch.float32).statistics()),
        "bfloat16": scores(rounded(task, torch.bfloat16).statistics()),
    }
    for kind, found in others.items():
        yield from (((kind, name), abs(value / values[name] - 1.0)) for name, value in found.items())


def scores(stats: TaskStatistics) -> dict[str, float]:
    return {name: score(stats) for name, score in SCORES.items()}


def sharded(task: Task) -> TaskStatistics:
    """Statistics of random parts, some of which may be empty, added up."""
    owner = np.random.default_rng(len(task.labels)).integers(0, SHARDS, len(task.labels))
    return merge([task.statistics(np.flatnonzero(owner == shard)) for shard in range(SHARDS)])


def rounded(task: Task, dtype: torch.dtype) -> Task:
    """The task with features as a network of that precision would give them, then in float64."""
    return Task(torch.from_numpy(task.features).to(dtype).to(torch.float64).numpy(), task.labels)


def by_pairs(task: Task) -> dict[str, float]:
    """Scores from the n x n matrices."""
    gram, ideal = gram_matrix(unit_rows(task.features)[0]), ideal_matrix(task.labels, k_min=K_MIN, k_max=K_MAX)
    found: dict[str, float] = {name: score_by_definition(name, gram, ideal) for name in NAMES}
    apart = gram[ideal == K_MIN]
    neo = {"raw_neo": -float(apart.mean()), "negative_mean_squared_error_neo": -float(np.mean((apart - K_MIN) ** 2))}
    return {**found, **neo}


def nearly_constant() -> float:
    """Relative difference of the centred alignment where all features point nearly the same way."""
    task = clustered(0, examples=1000, dimensions=64)
    near = Task(1.0 + 0.02 * task.features, task.labels)
    return abs(centred_alignment(near.statistics()) / by_pairs(near)["centred_alignment"] - 1.0)


def worst(found: Iterator[tuple[tuple[str, str], float]]) -> dict[tuple[str, str], float]:
    """The largest difference of each kind and score."""
    largest: dict[tuple[str, str], float] = {}
    for key, value in found:
        largest[key] = max(value, largest.get(key, 0.0))
    return largest


if __name__ == "__main__":
    main()
