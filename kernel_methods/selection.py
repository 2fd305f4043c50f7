"""Which few of several things serve best together: forward, one after the other, or by looking at every choice."""

from collections.abc import Callable, Iterator
from itertools import combinations
from typing import NamedTuple

SetScore = Callable[[tuple[int, ...]], float]
"""The score of some candidates together, by their places; larger is better, and order does not matter."""


class Chosen(NamedTuple):
    """Some candidates, by their places, in the order in which they were chosen, and their score together."""

    members: tuple[int, ...]
    score: float


def forward_selection(score: SetScore, candidates: int, *, size: int) -> Iterator[Chosen]:
    """Begin with the best candidate, then add the one that raises the score most, again and again.

    Lazy: a step is made when it is asked for. Of candidates that serve alike, the first is taken.

    Args:
        score: of candidates together.
        candidates: how many there are.
        size: of the largest set.

    Yields:
        The best set of one, then of two that holds it, and so on; at most as many as there are candidates.

    Source:
        Whitney (1971), A Direct Method of Nonparametric Measurement Selection.
    """
    members: tuple[int, ...] = ()
    while len(members) < min(size, candidates):
        left = (place for place in range(candidates) if place not in members)
        tried = (Chosen((*members, place), score((*members, place))) for place in left)
        best = max(tried, key=lambda each: each.score)
        members = best.members
        yield best


def best_subset(score: SetScore, candidates: int, *, size: int) -> Chosen:
    """The best of all sets of one size; of sets that serve alike, the first.

    Args:
        score: of candidates together.
        candidates: how many there are.
        size: of the sets, 1 to ``candidates``.

    Raises:
        ValueError: there is no set of that size.
    """
    if not 1 <= size <= candidates:
        raise ValueError(f"there is no set of {size} among {candidates} candidates")
    every = (Chosen(members, score(members)) for members in combinations(range(candidates), size))
    return max(every, key=lambda each: each.score)
