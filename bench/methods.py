"""How does training on pairs compare with other ways to train modules apart from each other?

ResNet-18 on CIFAR-10, cut into four hidden modules (after the blocks 2, 4 and 6), all at once on one pass with the
same heads, optimiser, augmentation and epochs; only what each module raises differs. Then one output module on all
labels over the frozen modules. End to end stands beside them. Time is a ratio to end to end's, by turns in one run.

Measured on 2026-11-21 with ZOO_BENCH_EPOCHS=3 and ZOO_BENCH_SEEDS=1 at the CPU size (width 16, 10,000 images, batch
250, bfloat16, one thread), 2 shared cores of an x86-64 server; Python 3.11.7, torch 2.15.0; accuracy in percent:

    end-to-end                   54.87
    pairwise (ridge)             55.39
    pairwise, prototype          52.00
    pairwise, no heads           54.25
    pairwise, look-ahead heads   56.85
    greedy                       52.76
    similarity                   43.20
    infopro                      41.50

One seed of three epochs: less than a point means nothing. The ratios of time that it printed are left out, for other
work came and went on that machine (end to end had to share it, the others less so).
"""

from collections.abc import Mapping

import numpy as np

from bench.cifar import Outcome, machine, recipe_of, run, size_for, spread
from bench.report import parse_quick, report

APART: Mapping[str, object] = {"cuts": (2, 4, 6), "head": "convolutions", "schedule": "at-once"}
END_TO_END = "end-to-end"

METHODS: dict[str, Mapping[str, object]] = {
    END_TO_END: {"method": "end-to-end"},
    "pairwise": {**APART, "method": "pairwise"},
    "pairwise, prototype": {**APART, "method": "pairwise", "objective": "prototype"},
    "pairwise, no heads": {**APART, "method": "pairwise", "head": "none"},
    "pairwise, look-ahead heads": {**APART, "method": "pairwise", "head": "look-ahead"},
    "greedy": {**APART, "method": "greedy"},
    "similarity": {**APART, "method": "similarity"},
    "infopro": {**APART, "method": "infopro"},
}


def main() -> None:
    quick = parse_quick(__doc__)
    size = size_for(quick=quick)
    print(f"{machine()}; {size}")
    outcomes: dict[str, list[Outcome]] = {name: [] for name in METHODS}
    for seed in range(size.seeds):
        for name, changes in METHODS.items():
            outcomes[name].append(run(recipe_of(size, seed=seed, **changes), size))
            print(f"seed {seed}: {name} {outcomes[name][-1].accuracy:.2f} %", flush=True)
    print("| method | accuracy, % | time |\n|---|---|---|")
    figures: dict[str, float] = {}
    for name, of_method in outcomes.items():
        pairs = zip(of_method, outcomes[END_TO_END], strict=True)
        ratio = float(np.mean([own.seconds / base.seconds for own, base in pairs]))
        accuracies = [outcome.accuracy for outcome in of_method]
        print(f"| {name} | {spread(accuracies)} | {ratio:.2f} x |")
        key = name.replace(", ", "_").replace(" ", "_").replace("-", "_")
        figures[f"{key}_accuracy"] = round(float(np.mean(accuracies)), 2)
        figures[f"{key}_time_ratio"] = round(ratio, 3)
    report(bench="methods", figures=figures, targets={}, holds=True)


if __name__ == "__main__":
    main()
