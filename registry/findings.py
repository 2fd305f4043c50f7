"""Findings: what the records hold for a plan, read in one transaction so that judging needs none."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from registry.errors import NotScorableError
from registry.names import Digest
from registry.plans import Plan, PlannedCell
from registry.ports import UnitOfWork
from registry.records import Dataset, KeptStatistics, PublishedModule
from registry.rounds import Entry, entries_of
from registry.verification import refusal


@dataclass(frozen=True, slots=True)
class Lost:
    """What jobs were to bring and will not, and why: statistics by their key, looks at modules by the module."""

    statistics: Mapping[Digest, str]
    looks: Mapping[Digest, str]


@dataclass(frozen=True, slots=True)
class Findings:
    """What the records hold for the entries of a plan.

    `kept` has all of which something may be said: statistics, or why there are none. `passing` says that some have none
    for now only: the job that was to bring them ended without, which says nothing about the module.
    """

    entries: tuple[Entry, ...]
    modules: dict[Digest, PublishedModule]
    datasets: dict[Digest, Dataset]
    kept: dict[Digest, KeptStatistics]
    elsewhere: dict[Digest, tuple[KeptStatistics, ...]]
    passing: bool = False

    def of(self, entry: Entry) -> tuple[KeptStatistics, ...]:
        """What is known of an entry, slice by slice, up to the first of which nothing is."""
        known = takewhile(lambda part: part.key in self.kept, entry.parts)
        return tuple(self.kept[part.key] for part in known)

    def failure(self, entry: Entry) -> str | None:
        """Why an entry has no score although a worker tried, or None."""
        failed = next((kept for kept in self.of(entry) if kept.blob is None), None)
        return None if failed is None else failed.failure or "no reason was given"


def gather(work: UnitOfWork, plan: Plan, *, lost: Lost | None = None, elsewhere: bool = True) -> Findings:
    """Read everything a plan's answer needs. Only modules that workers have verified have statistics in it.

    Args:
        work: the transaction to read in.
        plan: the question.
        lost: what will not come; None while something may come still.
        elsewhere: whether what the modules reached on other data is wanted, which only answers tell.

    Raises:
        NotScorableError: a module or dataset went meanwhile.
    """
    digests = {digest for cell in plan.cells for digest in cell.chain}
    wanted = {task.dataset for task in plan.tasks}
    modules = work.modules.of_digests(sorted(digests))
    datasets = {digest: data for digest in wanted if (data := work.datasets.get(digest, owner=None)) is not None}
    if len(modules) < len(digests) or len(datasets) < len(wanted):
        raise NotScorableError("a module or a dataset of this question was deleted meanwhile; ask again")
    entries = entries_of(plan)
    kept = work.statistics.get([part.key for entry in entries for part in entry.parts])
    seen = _Seen(plan, modules, kept, lost)
    known = {part.key: seen.statistics(entry.cell, part.key) for entry in entries for part in entry.parts}
    return Findings(
        entries=entries,
        modules=modules,
        datasets=datasets,
        kept={key: statistics for key, statistics in known.items() if statistics is not None},
        elsewhere=work.statistics.of_modules(sorted({cell.module for cell in plan.cells})) if elsewhere else {},
        passing=any(seen.passes(entry.cell, part.key) for entry in entries for part in entry.parts),
    )


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was read for a plan, before it is known what may be used of it."""

    plan: Plan
    modules: Mapping[Digest, PublishedModule]
    kept: Mapping[Digest, KeptStatistics]
    lost: Lost | None

    def statistics(self, cell: PlannedCell, key: Digest) -> KeptStatistics | None:
        """A cell's statistics under a key, or why it has none; None while that is not known yet."""
        refused = self._refused(cell)
        if refused is not None:
            return self._never_made(cell, key, refusal(refused))
        usable = self._usable(cell, key)
        if usable is not None or self.lost is None:
            return usable
        unverified = self._unverified(cell)
        if key not in self.kept or unverified is None:
            return self._never_made(cell, key, self.lost.statistics.get(key, "its statistics did not come; ask again"))
        return self._never_made(cell, key, _not_looked_at(unverified, self.lost))

    def passes(self, cell: PlannedCell, key: Digest) -> bool:
        """Whether a cell has no statistics under a key although nobody found anything wrong with its modules."""
        return self.lost is not None and self._refused(cell) is None and self._usable(cell, key) is None

    def _usable(self, cell: PlannedCell, key: Digest) -> KeptStatistics | None:
        """What is kept under a key, if it may be used: statistics of verified modules, or why there are none."""
        kept = self.kept.get(key)
        usable = kept is not None and (kept.blob is None or self._unverified(cell) is None)
        return kept if usable else None

    def _refused(self, cell: PlannedCell) -> PublishedModule | None:
        """The first module of a cell's chain that cannot be used."""
        return next((module for module in self._chain(cell) if module.verification.refused), None)

    def _unverified(self, cell: PlannedCell) -> PublishedModule | None:
        """The first module of a cell's chain that is not verified."""
        return next((module for module in self._chain(cell) if not module.verification.verified), None)

    def _chain(self, cell: PlannedCell) -> list[PublishedModule]:
        return [self.modules[digest] for digest in cell.chain]

    def _never_made(self, cell: PlannedCell, key: Digest, reason: str) -> KeptStatistics:
        """In place of statistics that no worker brought, or that may not be used."""
        task = self.plan.tasks[cell.task]
        return KeptStatistics(
            key=key,
            module=cell.module,
            data=task.dataset,
            labels=task.labels,
            blob=None,
            milliseconds=0.0,
            scores={},
            failure=reason,
        )


def _not_looked_at(module: PublishedModule, lost: Lost) -> str:
    why = lost.looks.get(module.digest, "ask again")
    return f"no worker has built and run {module.ref} yet: {why}"
