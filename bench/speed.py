"""How fast does training run, and how soon is an accuracy reached?

ResNet-18 on CIFAR-10. First, seconds of an epoch: a run of two epochs less a run of one, so that what comes before and
after is left out; two modules and end to end, in bfloat16 and in float32, by turns. Then, on a GPU, runs of
growing length until the test accuracy reaches 91 and 92 %, two modules beside end to end: seconds of the first run that
did, the time to compile included.

NOT MEASURED ON A GPU YET
"""

from collections.abc import Mapping

import numpy as np
import torch

from bench.cifar import Size, machine, recipe_of, run, size_for, spread
from bench.report import parse_quick, report

KINDS: dict[str, Mapping[str, object]] = {
    "end_to_end": {"method": "end-to-end"},
    "two_modules": {},
}
LENGTHS = (8, 10, 12, 15, 18, 22, 27, 33, 40, 60)
WANTED = (91.0, 92.0)


def epoch_seconds(size: Size, *, seed: int, **changes: object) -> float:
    """Seconds of one epoch: a run of two less a run of one."""
    short, long = (run(recipe_of(size, seed=seed, epochs=epochs, **changes), size).seconds for epochs in (1, 2))
    return long - short


def speeds(size: Size) -> dict[str, float]:
    """Seconds of an epoch for every kind and precision, and the ratios that matter."""
    measured: dict[str, list[float]] = {}
    for seed in range(size.seeds):
        for name, changes in KINDS.items():
            for precision in ("bfloat16", "float32"):
                taken = epoch_seconds(size, seed=seed, precision=precision, **changes)
                measured.setdefault(f"{name}_{precision}", []).append(taken)
    for name, taken in measured.items():
        print(f"{name:24} {spread(taken)} s an epoch, {size.examples / np.mean(taken):,.0f} images/s", flush=True)
    figures = {f"{name}_epoch_seconds": round(float(np.mean(taken)), 3) for name, taken in measured.items()}
    ratio = _ratio(measured["two_modules_float32"], measured["two_modules_bfloat16"])
    overhead = _ratio(measured["two_modules_bfloat16"], measured["end_to_end_bfloat16"])
    return figures | {"float32_over_bfloat16": ratio, "two_modules_over_end_to_end": overhead}


def _ratio(one: list[float], other: list[float]) -> float:
    return round(float(np.mean([a / b for a, b in zip(one, other, strict=True)])), 3)


def seconds_to(size: Size) -> dict[str, float]:
    """Seconds of the shortest run that reaches each wanted accuracy; nothing where none does."""
    figures: dict[str, float] = {}
    for name, changes in KINDS.items():
        for epochs in LENGTHS:
            outcome = run(recipe_of(size, seed=0, epochs=epochs, **changes), size)
            print(f"{name}: {epochs} epochs, {outcome.accuracy:.2f} % in {outcome.seconds:.1f} s", flush=True)
            for wanted in WANTED:
                if outcome.accuracy >= wanted:
                    figures.setdefault(f"{name}_seconds_to_{wanted:.0f}", round(outcome.seconds, 1))
            if outcome.accuracy >= max(WANTED):
                break
    return figures


def main() -> None:
    quick = parse_quick(__doc__)
    size = size_for(quick=quick)
    print(f"{machine()}; {size}")
    figures = speeds(size)
    on_gpu = torch.cuda.is_available() and not quick
    if on_gpu:
        figures |= seconds_to(size)
    targets = {"two_modules_bfloat16_epoch_seconds": 0.65} if on_gpu else {}
    report(bench="speed", figures=figures, targets=targets, holds=all(figures[k] <= v for k, v in targets.items()))


if __name__ == "__main__":
    main()
