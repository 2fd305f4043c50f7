"""How does training on pairs compare with other ways to train modules apart from each other?

ResNet-18 on CIFAR-10, cut into four hidden modules (after the blocks 2, 4 and 6), all at once on one pass with the
same heads, optimiser, augmentation and epochs; only what each module raises differs. Then one output module on all
labels over the frozen modules. End to end stands beside them. Time is a ratio to end to end's, by turns in one run.

NOT MEASURED YET
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
