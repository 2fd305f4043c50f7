"""What does a score cost beside the forward pass that it needs anyway, and beside the references?

ResNet-18 (width 64, fresh weights) over 32 x 32 images, float32, one thread: seconds of the forward pass over 2,000
images, and of what is done with their 512 features and 10 classes:

- alignment: statistics, and the paper's alignment from them;
- default: statistics, and the default ranker's score;
- full panel: statistics in ten shards with 200 shuffles, and all that an answer's row has, judged: every estimator from
  statistics, the interval, the chance level.

The references, kNN of 20 and a linear probe with five folds, are timed on 10,000 features, the size of METHOD's table,
beside the alignment and the default's score on as many; each time is the least of three.

Measured on 2026-11-21, one thread of a core of an x86-64 server (with AMX, which float32 does not use) that others were
using; Python 3.11.7, torch 2.15.0, NumPy 2.4.6 with OpenBLAS 0.3.31:

    forward pass            21.9 s for 2,000 images
    alignment               0.08 % of it (target 1.5)
    default                 0.22 %
    full panel              3.7 % (target 5); 3.0 % in an earlier run, without another measurement beside
    kNN                     28 x the alignment, 20 x the default (target 10)
    linear probe            54 x the alignment, 39 x the default (target 15)
"""

import time
from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from bench.report import Figure, parse_quick, report
from kernel_methods.accumulate import Accumulator, ShuffledAccumulator
from kernel_methods.alignment import alignment
from kernel_methods.estimators.knn import knn_accuracy
from kernel_methods.estimators.linear_probe import probe_accuracy
from kernel_methods.estimators.ridge import ridge_gcv
from kernel_methods.evidence import Evidence
from kernel_methods.statistics import TaskStatistics
from registry.architectures.contracts import TensorType
from registry.architectures.presets import family_spec
from registry.judging import judge
from registry.manifest import FeatureMap
from registry.networks.build import build
from registry.rankings import ScoreOptions

Floats = NDArray[np.float32]
Integers = NDArray[np.int64]

PHI = FeatureMap(activation="relu", pooling="average", k_min=0.0, k_max=1.0)
CLASSES, SHARDS, SHUFFLES, ROWS_AT_ONCE = 10, 10, 200, 250
FULL, QUICK = (2000, 10_000), (200, 1000)


def least(action: Callable[[], object], times: int = 3) -> float:
    """Seconds of the fastest of so many runs."""
    found = []
    for _ in range(times):
        began = time.perf_counter()
        action()
        found.append(time.perf_counter() - began)
    return min(found)


def unit_features(examples: int, *, width: int = 512) -> tuple[Floats, Integers]:
    """Unit features with relu around class means, as a network's are."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, examples)
    raw = 0.3 * generator.normal(size=(CLASSES, width))[labels] + generator.normal(size=(examples, width))
    features = np.maximum(raw, 0.0)
    return (features / np.linalg.norm(features, axis=1, keepdims=True)).astype(np.float32), labels


def forward_seconds(network: nn.Module, examples: int) -> float:
    """Seconds of one pass, in batches."""
    batches = torch.split(torch.randn(examples, 3, 32, 32), ROWS_AT_ONCE)

    def run() -> None:
        with torch.no_grad():
            for batch in batches:
                network(batch)

    return least(run, times=2)


def statistics(features: Floats, labels: Integers) -> TaskStatistics:
    """All examples, as a worker adds them."""
    sums = Accumulator(CLASSES, features.shape[1], device="cpu")
    for start in range(0, len(labels), ROWS_AT_ONCE):
        rows = slice(start, start + ROWS_AT_ONCE)
        sums.add(torch.from_numpy(features[rows]), torch.from_numpy(labels[rows]))
    return sums.finish()


def panel(features: Floats, labels: Integers) -> None:
    """Everything that a row of an answer has, from features to judged scores."""
    parts = np.array_split(np.arange(len(labels)), SHARDS)
    generator = np.random.default_rng(0)
    dealt = np.stack([generator.permutation(labels) for _ in range(SHUFFLES)])
    shuffled = ShuffledAccumulator(SHUFFLES, CLASSES, features.shape[1], device="cpu")
    shuffled.add(torch.from_numpy(features), torch.from_numpy(dealt))
    shards = tuple(statistics(features[part], labels[part]) for part in parts)
    judge(Evidence(shards, shuffled.finish()), PHI, ScoreOptions())


def main() -> None:
    quick = parse_quick(__doc__)
    torch.set_num_threads(1)
    passed, referred = QUICK if quick else FULL
    network = build(family_spec("resnet18", TensorType(shape=(3, 32, 32)), width=64)).eval()
    features, labels = unit_features(passed)
    forward = forward_seconds(network, passed)
    figures: dict[str, Figure] = {
        "alignment_percent": percent(least(lambda: alignment(statistics(features, labels), k_min=0, k_max=1)), forward),
        "default_percent": percent(least(lambda: ridge_gcv(statistics(features, labels))), forward),
        "full_panel_percent": percent(least(lambda: panel(features, labels)), forward),
        "forward_seconds": round(forward, 2),
    }
    many, classes = unit_features(referred)
    aligned = least(lambda: alignment(statistics(many, classes), k_min=0, k_max=1))
    default = least(lambda: ridge_gcv(statistics(many, classes)))
    for name, action in (
        ("knn", lambda: knn_accuracy(many, classes)),
        ("linear_probe", lambda: probe_accuracy(many, classes, generator=np.random.default_rng(0))),
    ):
        seconds = least(action, times=2)
        figures[f"{name}_over_alignment"] = round(seconds / aligned, 1)
        figures[f"{name}_over_default"] = round(seconds / default, 1)
    targets: dict[str, Figure] = {
        "alignment_percent": 1.5,
        "full_panel_percent": 5.0,
        "knn_over_default": 10.0,
        "linear_probe_over_default": 15.0,
    }
    report(bench="scoring_cost", figures=figures, targets={} if quick else targets, holds=meets(figures))


def percent(part: float, whole: float) -> float:
    """One time as a share of another."""
    return round(100.0 * part / whole, 2)


def meets(figures: dict[str, Figure]) -> bool:
    """Whether every share is small enough, and every reference costly enough."""
    small = float(figures["alignment_percent"]) <= 1.5 and float(figures["full_panel_percent"]) <= 5.0
    cheap = float(figures["knn_over_default"]) >= 10.0 and float(figures["linear_probe_over_default"]) >= 15.0
    return small and cheap


if __name__ == "__main__":
    main()
