"""What an examination finds: each problem by its kind, its place, what is wrong, and what to do."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy.orm import Session

from registry.frozen import Frozen

RESTORE = "restore the zoo from a backup with `zoo restore`"
REPAIR = "`zoo doctor --repair` does it"

Repair = Callable[[Session], None]
"""Puts a record right within a transaction that holds; it looks again, as the record may have changed meanwhile."""


class Problem(Frozen):
    """One thing that is wrong."""

    kind: str
    where: str
    detail: str
    remedy: str
    repaired: bool = False


class Report(Frozen):
    """What an examination looked at, and everything it found."""

    records: int
    blobs: int
    blob_bytes: int
    unreferred: int
    problems: tuple[Problem, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing is wrong any more."""
        return all(problem.repaired for problem in self.problems)


@dataclass(frozen=True, slots=True)
class Finding:
    """A problem with a record, and how it is put right, where that is possible without anybody's help."""

    problem: Problem
    repair: Repair | None = None


def finding(kind: str, where: str, detail: str, *, remedy: str = "", repair: Repair | None = None) -> Finding:
    """A finding in one line; one that can be repaired needs no remedy in words."""
    told = remedy or (REPAIR if repair is not None else RESTORE)
    return Finding(Problem(kind=kind, where=where, detail=detail, remedy=told), repair)
