"""Successive halving with intervals: on how many examples modules are compared, and who is compared on more.

Pure policy: numbers in, places out, no chance anywhere. What it is applied to is in `rounds`.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

FIRST_EXAMPLES = 50
PER_CLASS = 2
"""The first slice has at least so many examples of each class, as far as classes are balanced."""

GROWTH = 4
BEST = 10
"""So many modules stay to the end where the question does not say how many it wants."""

FEWEST_SHARE = 1 / 5
MOST_SHARE = 1 / 2
"""Of the modules of a round at least the one share stays, at most the other."""


@dataclass(frozen=True, slots=True)
class Contender:
    """A module after a round: its score, and the ends of the interval about it; larger is better."""

    score: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Cut:
    """What a round decided.

    `stays` has the places, in ascending order, of those that go on. Whoever cannot reach `bar`, the lower end of the
    `best`-th, is not among the `best`; the others that left were behind as many as may stay.
    """

    stays: tuple[int, ...]
    best: int
    bar: float | None


def slice_ends(examples: int, *, classes: int, first: int = FIRST_EXAMPLES) -> tuple[int, ...]:
    """Where the slices of the examples end: each begins where the one before ends, and the last ends at `examples`.

    Slices grow fourfold, 50, 200, 800, ..., so that scoring modules costs about as much in every round. No slice is
    smaller than the first.

    Args:
        examples: how many examples there are for a score.
        classes: classes of the task.
        first: where the first slice ends, or further on where classes are many.

    Returns:
        One end or more; one where there are too few examples for rounds.
    """
    end = max(first, PER_CLASS * classes)
    ends = []
    while 2 * end <= examples:
        ends.append(end)
        end *= GROWTH
    return (*ends, examples)


def cut(contenders: Sequence[Contender | None], *, top: int | None, most_share: float = MOST_SHARE) -> Cut:
    """Who goes on to the next round.

    A module goes on when the upper end of its interval reaches the lower end of the `best`-th one's, and it is not
    behind as many as may stay; the `best` go on anyway. `best` is what the question wants, or a fifth of the modules if
    that is more; half may stay, or `best`. Modules with the score of the last that stays stay with it, and so
    does everyone of whom nothing can be said yet.

    Args:
        contenders: one for each module of the round; None where its score is undefined on so few examples.
        top: how many modules the question wants; None for the usual number.
        most_share: of the modules at most this share stays, or the best.
    """
    known = [(place, each) for place, each in enumerate(contenders) if each is not None]
    unknown = [place for place, each in enumerate(contenders) if each is None]
    if not known:
        return Cut(tuple(unknown), best=0, bar=None)
    ordered = sorted((each for _, each in known), key=lambda each: -each.score)
    best = min(len(known), max(top or BEST, math.ceil(FEWEST_SHARE * len(known))))
    most = min(len(known), max(best, math.ceil(most_share * len(known))))
    safe, last = ordered[best - 1].score, ordered[most - 1].score
    bar = min(each.low for each in ordered if each.score == safe)
    stays = [place for place, each in known if each.score >= safe or (each.score >= last and each.high >= bar)]
    return Cut(tuple(sorted(stays + unknown)), best=best, bar=bar)


def most_that_stay(modules: int, *, top: int | None) -> int:
    """How many of so many modules go on at most, ties left aside; for plans of what is still to come."""
    return min(modules, max(top or BEST, math.ceil(MOST_SHARE * modules)))
