"""Rounds of a ranking: which modules are scored on which slice of the examples, and who was eliminated when.

All that is known of a plan's rounds is in the plan: `slices` say where rounds end, `cuts` what the rounds that ended
decided, and each cell how far it has come. A plan without slices has one round, on all examples.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from registry.halving import Cut, most_that_stay
from registry.names import Digest
from registry.plans import Plan, PlannedCell, PlannedCut, planned_cells
from registry.rankings import RankingRound
from registry.records import Job, Progress
from registry.work import ScoreWork


@dataclass(frozen=True, slots=True)
class Part:
    """One module's statistics on one slice: the key they are kept under, and whether they were there before."""

    key: Digest
    cached: bool


@dataclass(frozen=True, slots=True)
class Entry:
    """A cell of a plan with its statistics on every slice that it has come to, in order."""

    cell: PlannedCell
    parts: tuple[Part, ...]


def round_of(plan: Plan) -> int:
    """The round that a plan is in; the first is 0."""
    return len(plan.cuts)


def is_last(plan: Plan) -> bool:
    """Whether no round follows the present one."""
    return round_of(plan) + 1 >= len(plan.slices)


def goes_on(plan: Plan, cell: PlannedCell) -> bool:
    """Whether a cell is in the present round."""
    return len(cell.later) == round_of(plan)


def entries_of(plan: Plan) -> tuple[Entry, ...]:
    """Every cell with its statistics so far, in the plan's order."""
    parts = [[Part(cell.key, cell.cached)] for cell in plan.cells]
    for number in range(1, round_of(plan) + 1):
        of_round = part_of(plan, number)
        keys = iter(cell.key for cell in of_round.cells)
        for place, cell in enumerate(plan.cells):
            if len(cell.later) >= number:
                parts[place].append(Part(next(keys), cell.later[number - 1]))
    return tuple(Entry(cell, tuple(found)) for cell, found in zip(plan.cells, parts, strict=True))


def part_of(plan: Plan, number: int) -> Plan:
    """The plan of one round alone: the modules that are in it, on its slice of the examples."""
    if not plan.slices:
        return plan
    part = plan.model_copy(update={"examples": plan.slices[number]})
    if number == 0:
        return part
    part = part.model_copy(update={"start": plan.slices[number - 1]})
    there = [cell for cell in plan.cells if len(cell.later) >= number]
    return part.model_copy(update={"cells": planned_cells(part, ((cell.ref, cell.chain, cell.task) for cell in there))})


def after_cut(plan: Plan, cut: Cut, places: Sequence[int]) -> Plan:
    """The plan in its next round.

    Args:
        plan: the plan in the round that has ended.
        cut: what the round decided, of its contenders.
        places: the cell of each contender.
    """
    stays = {places[place] for place in cut.stays}
    cells = (
        cell.model_copy(update={"later": (*cell.later, False)}) if place in stays else cell
        for place, cell in enumerate(plan.cells)
    )
    cuts = (*plan.cuts, PlannedCut(best=cut.best, bar=cut.bar))
    return plan.model_copy(update={"cells": tuple(cells), "cuts": cuts})


def with_cached(plan: Plan, kept: Collection[Digest]) -> Plan:
    """The plan with what is cached of its present round told."""
    number = round_of(plan)
    keys = iter(cell.key for cell in part_of(plan, number).cells)
    return plan.model_copy(update={"cells": tuple(_told(cell, number, keys, kept) for cell in plan.cells)})


def _told(cell: PlannedCell, number: int, keys: Iterator[Digest], kept: Collection[Digest]) -> PlannedCell:
    if len(cell.later) != number:
        return cell
    cached = next(keys) in kept
    if number == 0:
        return cell.model_copy(update={"cached": cached})
    return cell.model_copy(update={"later": (*cell.later[:-1], cached)})


def asked_again(plan: Plan) -> Plan:
    """The plan as it was before its first round."""
    cells = tuple(cell.model_copy(update={"later": (), "cached": False}) for cell in plan.cells)
    return plan.model_copy(update={"cells": cells, "cuts": ()})


def stop_warning(plan: Plan, entry: Entry, *, examples: int, high: float) -> str | None:
    """Why a module was not scored on more examples; None for one that is in the present round.

    Args:
        plan: the plan.
        entry: the module.
        examples: on how many examples it was scored.
        high: upper end of its interval then.
    """
    ended = len(entry.cell.later)
    if ended >= round_of(plan):
        return None
    cut = plan.cuts[ended]
    if cut.bar is not None and high < cut.bar:
        return f"stopped after {examples} examples: cannot reach the best {cut.best}"
    ahead = sum(len(cell.later) > ended for cell in plan.cells)
    return f"stopped after {examples} examples: {ahead} others were ahead"


def rounds_told(plan: Plan) -> tuple[RankingRound, ...]:
    """The rounds up to the present one, as an answer tells them; none where there are no rounds."""
    ends = plan.slices[: round_of(plan) + 1]
    return tuple(
        RankingRound(start=start, examples=end, modules=sum(len(cell.later) >= number for cell in plan.cells))
        for number, (start, end) in enumerate(pairwise((0, *ends)))
    )


def planned_forwards(plan: Plan) -> tuple[int, ...]:
    """Forward passes of each round, one a module and image; of rounds to come, as many as there can be."""
    counts = [sum(len(cell.later) >= number for cell in plan.cells) for number in range(round_of(plan) + 1)]
    while len(counts) < len(plan.slices):
        counts.append(most_that_stay(counts[-1], top=plan.top))
    sizes = [end - start for start, end in pairwise((0, *(plan.slices or (plan.examples,))))]
    return tuple(count * size for count, size in zip(counts, sizes, strict=True))


def round_progress(plan: Plan, jobs: Sequence[Job], *, stage: str) -> Progress:
    """How many of all planned forward passes are done; what was kept from before counts as done.

    Args:
        plan: a plan with slices.
        jobs: the jobs of its query.
        stage: what is being done.
    """
    number, planned = round_of(plan), planned_forwards(plan)
    start = plan.slices[number - 1] if number else 0
    missing = sum(_share_missing(job) * len(job.work.chains) for job in jobs if isinstance(job.work, ScoreWork))
    to_come = min(planned[number], round(missing * (plan.slices[number] - start)))
    told = f"round {number + 1} of {len(plan.slices)}: {stage}"
    return Progress(stage=told, done=sum(planned[: number + 1]) - to_come, total=sum(planned))


def _share_missing(job: Job) -> float:
    """How much of a job is still to be done, in [0, 1]."""
    if job.status.ended:
        return 0.0
    return 1.0 - min(1.0, job.progress.done / max(job.progress.total, 1))
