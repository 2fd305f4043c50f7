"""Which proxy objective trains the best hidden modules?

ResNet-18 on CIFAR-10 as one hidden module and an output module on all labels; only the objective differs. Beside each:
its accuracy with one label of each class on the output module (mean and spread over draws), the mean kernel value of
same-class and of different-class pairs on the training images, and how many features vanished (phi = 0), the trap that
raw and negative-only objectives fall into with ReLU.

Measured on 2026-11-21 with ZOO_BENCH_EPOCHS=3 and ZOO_BENCH_SEEDS=1 at the CPU size (width 16, 10,000 images, batch
250, bfloat16, one thread), 2 shared cores of an x86-64 server; Python 3.11.7, torch 2.15.0. The run was cut short, so
its last candidates are missing; one seed of three epochs, so less than a point means nothing:

    objective                    all, %    ten labels, %   same/diff.  phi=0
    end_to_end                     54.87    37.06 +- 5.89    0.80/0.63      0
    ridge                          53.51    31.19 +- 5.04    0.93/0.89      0
    upper_triangle_alignment       48.81    32.19 +- 5.15    0.66/0.32      0
    prototype                      54.26    36.76 +- 5.24    0.67/0.42      0
    contrastive_per_anchor         53.07    34.70 +- 5.30    0.89/0.74      0
    centred_alignment              53.84    35.72 +- 5.40    0.84/0.67      0
    negative_mean_squared_error    32.55    14.89 +- 2.48    0.19/0.14      0
    prototype_momentum             52.53    35.22 +- 5.59    0.72/0.47      0
    prototype_smoothed             54.26    36.64 +- 5.64    0.66/0.44      0
    raw                            24.08    12.80 +- 2.43    0.09/0.05   3230
    alignment                      49.94    32.84 +- 5.65    0.62/0.29      0
    prototype_memory               52.67    34.40 +- 4.87    0.73/0.49      0
"""

from collections.abc import Mapping

import numpy as np

from bench.cifar import Outcome, machine, outputs_of_labels, recipe_of, run, size_for, spread
from bench.report import parse_quick, report

DRAWS = 20

CANDIDATES: dict[str, Mapping[str, object]] = {
    "end_to_end": {"method": "end-to-end"},
    "ridge": {"objective": "ridge"},
    "upper_triangle_alignment": {"objective": "upper_triangle_alignment"},
    "prototype": {"objective": "prototype"},
    "contrastive_per_anchor": {"objective": "contrastive_per_anchor", "temperature": 0.1},
    "centred_alignment": {"objective": "centred_alignment"},
    "negative_mean_squared_error": {"objective": "negative_mean_squared_error"},
    "prototype_momentum": {"objective": "prototype_momentum"},
    "prototype_smoothed": {"objective": "prototype", "smoothing": 0.1},
    "raw": {"objective": "raw"},
    "alignment": {"objective": "alignment"},
    "prototype_memory": {"objective": "prototype_memory"},
    "contrastive": {"objective": "contrastive", "temperature": 0.2},
    "contrastive_memory": {"objective": "contrastive_memory", "temperature": 0.1},
    "negative_mean_squared_error_neo": {"objective": "negative_mean_squared_error_neo"},
    "raw_neo": {"objective": "raw_neo"},
    "contrastive_neo": {"objective": "contrastive_neo", "temperature": 0.2},
    "ridge_two_views": {"objective": "ridge", "views": 2},
}
"""Usual temperatures unless said. Two views are two crops of every image in a batch, twice the work.

Not here: alignment_neo, which is undefined for the k_min = 0 of ReLU.
"""


def row(name: str, outcomes: list[Outcome], ten: list[float]) -> str:
    """One line of the table."""
    module = outcomes[0].network.modules[0]
    kernels = [module.metric(which) for which in ("same_class_kernel", "different_class_kernel")]
    told = "/".join("-" if value is None else f"{value:.2f}" for value in kernels)
    vanished = module.metric("zero_features") or 0
    accuracies = [outcome.accuracy for outcome in outcomes]
    return f"| {name} | {spread(accuracies)} | {spread(ten)} | {told} | {vanished:.0f} |"


def main() -> None:
    quick = parse_quick(__doc__)
    size = size_for(quick=quick)
    print(f"{machine()}; {size}")
    print("| objective | all labels, % | ten labels, % | kernel same/different | phi = 0 |\n|---|---|---|---|---|")
    figures: dict[str, float] = {}
    for name, changes in CANDIDATES.items():
        outcomes = [run(recipe_of(size, seed=seed, **changes), size) for seed in range(size.seeds)]
        ten = outputs_of_labels(outcomes[0].network, size, labels=1, draws=3 if quick else DRAWS)
        print(row(name, outcomes, ten), flush=True)
        figures[f"{name}_accuracy"] = round(float(np.mean([outcome.accuracy for outcome in outcomes])), 2)
        figures[f"{name}_ten_labels_accuracy"] = round(float(np.mean(ten)), 2)
    report(bench="objectives", figures=figures, targets={}, holds=True)


if __name__ == "__main__":
    main()
