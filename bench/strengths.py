"""How strong may the ridge of the default ranker be?

`ridge_gcv` is the score at the best of a grid of strengths, shares of the trace of the centred second moment from 1e-5
up. Where the grid ends is tried here, on 50 images of a task, where it matters most: by how well modules are ranked
(weighted Kendall tau, as in bench/ranking.py, of the own score and of the default), and by how often intervals hold the
mean score (as in bench/doubt.py, of all modules on two tasks whose classes are hardly told apart from so few images).

Measured on 2026-11-28, one thread of a shared core of an x86-64 server (nothing here is a time); Python 3.11.7, torch
2.15.0, NumPy 2.4.6. Tau: 19 modules, 14 tasks, 4 seeds; intervals: 60 draws, all modules of the first seed:

    the strongest    tau, own    tau, default    covered: cats and dogs, two at random
    100              .570        .659            65.0 %   62.9 %
    1                .569        .659            67.1 %   71.0 %
    0.3              .567        .660            85.1 %   89.2 %
    0.1              .567        .660            97.0 %   97.1 %    what is used
    0.03             .566        .654            98.0 %   99.0 %

Up to a tenth of the trace the end of the grid says nothing of who is better. Beyond, scores of modules that say nothing
are exactly nought whatever is left out, and intervals with the strength held are too narrow.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from bench.doubt import drawn_scores, held, own_scores, small_zoo
from bench.ranking import draws_of, pooled_of, taus_of, zoos_of
from bench.ranking_zoo import TASKS, Zoo
from bench.report import Figure, parse_quick, report
from kernel_methods.estimators import ridge
from kernel_methods.rankers import path_of

ENDS = (100.0, 1.0, 0.3, 0.1, 0.03)
EXAMPLES, DRAWS, QUICK_DRAWS = 50, 60, 3
HARD = ("cat, dog", "two at random")


@contextmanager
def strengths_up_to(end: float) -> Iterator[None]:
    """The ranker with another end of its grid of strengths."""
    usual = ridge.STRONGEST, ridge.STRONGEST_OF_FEW
    ridge.STRONGEST, ridge.STRONGEST_OF_FEW = end, 0.0
    path_of.cache_clear()
    try:
        yield
    finally:
        ridge.STRONGEST, ridge.STRONGEST_OF_FEW = usual
        path_of.cache_clear()


def ranks_as_well(zoos: list[tuple[Zoo, np.ndarray]]) -> tuple[float, float]:
    """Mean tau of the own score and of the default, over all tasks and seeds."""
    told = []
    for seed, (zoo, truth) in enumerate(zoos):
        draws = draws_of(zoo, EXAMPLES, seed=seed)
        left = [own_scores(zoo, task, draw.rows) for task, draw in zip(TASKS, draws, strict=True)]
        own = np.array([[each.total for each in of_task] for of_task in left]).T
        taus = taus_of({"own": own, "default": pooled_of(left, own)}, truth)
        told.append([float(taus[name].mean()) for name in ("own", "default")])
    own_tau, default_tau = np.mean(told, axis=0)
    return float(own_tau), float(default_tau)


def covered(zoo: Zoo, task: str, *, draws: int) -> float:
    """Share of the intervals of all modules that hold the module's mean score over the draws."""
    scores = drawn_scores(zoo, task, examples=EXAMPLES, draws=draws)
    return held(scores, truth=scores)


def main() -> None:
    quick = parse_quick(__doc__)
    zoos = zoos_of(quick=quick, small=small_zoo if quick else None)
    figures: dict[str, Figure] = {}
    print("| strongest | tau, own score | tau, default | " + " | ".join(f"covered, {task}" for task in HARD) + " |")
    print("|---" * (3 + len(HARD)) + "|")
    for end in ENDS[-2:] if quick else ENDS:
        with strengths_up_to(end):
            own, default = ranks_as_well(zoos)
            shares = [covered(zoos[0][0], task, draws=QUICK_DRAWS if quick else DRAWS) for task in HARD]
        print(f"| {end:g} | {own:.3f} | {default:.3f} | {' | '.join(f'{share:.1%}' for share in shares)} |", flush=True)
        figures |= {f"{end:g}_own_tau": round(own, 3), f"{end:g}_default_tau": round(default, 3)}
        figures |= {f"{end:g}_{task}_covered": round(share, 3) for task, share in zip(HARD, shares, strict=True)}
    used = [float(figures[f"{ridge.STRONGEST:g}_{task}_covered"]) for task in HARD]
    holds = quick or (min(used) >= 0.93 and max(used) <= 0.99)
    report(bench="strengths", figures=figures, targets={"covered_at_least": 0.93, "covered_at_most": 0.99}, holds=holds)


if __name__ == "__main__":
    main()
