"""Which modules a question looks at where it names none: all of them, or, in a large zoo, a shortlist."""

from collections.abc import Mapping
from dataclasses import dataclass

from registry.manifest import Role
from registry.names import Digest
from registry.ports import UnitOfWork
from registry.records import SteppingStone
from registry.scorables import SCORED_ROLES

NEWCOMERS_SHARE = 1 / 4
"""So much of a shortlist is kept for modules that were never scored: else nobody would ever get to know them."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A module that may be scored, by reference, with the chain that leads to it, the input module first."""

    ref: str
    chain: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Candidates:
    """The modules to look at, by name, and how many there are in the zoo."""

    in_zoo: int
    chosen: tuple[Candidate, ...]


def choose(work: UnitOfWork, *, limit: int) -> Candidates:
    """At most so many modules that images can reach: those that stand best on other data, and newcomers.

    No manifest is read for it, so that it takes a moment in a zoo of any size.
    """
    found = work.modules.shortlist(SCORED_ROLES, limit=limit, newcomers=round(NEWCOMERS_SHARE * limit))
    stones = _all_below(work, {stone.digest: stone for stone in found.modules})
    chains = ((stone.ref, _chain(stone, stones)) for stone in found.modules)
    return Candidates(found.in_zoo, tuple(Candidate(ref, chain) for ref, chain in chains if chain))


def _all_below(work: UnitOfWork, stones: dict[Digest, SteppingStone]) -> dict[Digest, SteppingStone]:
    """The modules, and all they stand on that is in this zoo."""
    known, wanted = dict(stones), _unknown_below(stones)
    while wanted:
        found = work.modules.stones(sorted(wanted))
        known |= found
        wanted = _unknown_below(found) - known.keys()
    return known


def _unknown_below(stones: Mapping[Digest, SteppingStone]) -> set[Digest]:
    return {stone.below for stone in stones.values() if stone.below is not None} - stones.keys()


def _chain(stone: SteppingStone, stones: Mapping[Digest, SteppingStone]) -> tuple[Digest, ...]:
    """The digests from the input module up; none where images cannot reach it."""
    chain = [stone]
    while (below := chain[-1].below) is not None:
        if below not in stones:
            return ()
        chain.append(stones[below])
    if chain[-1].role is not Role.INPUT:
        return ()
    return tuple(each.digest for each in reversed(chain))
