"""The shortlist of a large zoo, in SQL: who stands best, and the newest of those that stand nowhere yet."""

from collections.abc import Iterable, Sequence

from sqlalchemy import ColumnElement, Row, Select, func, select

from registry.access import Sight
from registry.manifest import Role
from registry.names import Digest
from registry.records import Shortlist, SteppingStone, VerificationState
from storage.records.module_search import SHOWN
from storage.records.sight import in_sight
from storage.tables import ModuleRow, StandingRow, VerificationRow, VersionRow
from storage.transaction import CHUNK, Transaction, chunks

Stone = tuple[str, str, int, str, str, str | None]
STONE = (
    ModuleRow.namespace,
    ModuleRow.name,
    VersionRow.version,
    VersionRow.digest,
    VersionRow.role,
    VersionRow.below,
)


PAGE = CHUNK
"""So many standings are read at a time."""


class ShortlistFinder:
    """Chooses among the newest versions, not yanked, of all modules without reading a manifest."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: where to read; sight: what may be chosen."""
        self._transaction, self._seen = transaction, in_sight(ModuleRow.namespace, sight)

    def shortlist(self, roles: Sequence[str], *, limit: int, newcomers: int) -> Shortlist:
        """At most `limit` modules, by name: all there are, or the best, with places kept for newcomers."""
        newest = (*SHOWN, VersionRow.role.in_(roles), self._seen)
        counted = select(func.count()).select_from(VersionRow)
        count = self._transaction.first(counted.join(ModuleRow, ModuleRow.id == VersionRow.module_id).where(*newest))
        in_zoo = 0 if count is None else count[0]
        if in_zoo <= limit:
            chosen = self._read(_stones().where(*newest))
        else:
            known = (*newest, *_not_refused())
            new = self._read(_newcomers(known).limit(newcomers))
            best = self._best(known, limit=limit - len(new))
            if len(best) + len(new) < limit:
                new = self._read(_newcomers(known).limit(limit - len(best)))
            chosen = (*best, *new)
        return Shortlist(in_zoo=in_zoo, modules=tuple(sorted(chosen, key=lambda stone: stone.ref)))

    def stones(self, digests: Iterable[Digest]) -> dict[Digest, SteppingStone]:
        """The oldest version with each of these bytes, where there is one."""
        found: dict[Digest, SteppingStone] = {}
        for some in chunks(dict.fromkeys(digests)):
            for stone in self._read(_stones().where(self._seen, VersionRow.digest.in_(some)).order_by(VersionRow.id)):
                found.setdefault(stone.digest, stone)
        return found

    def _best(self, conditions: Sequence[ColumnElement[bool]], *, limit: int) -> tuple[SteppingStone, ...]:
        """Versions whose bytes stand somewhere, best first, a page of standings at a time.

        One statement for both would be sorted by some databases only after they have joined everything.
        """
        best: list[SteppingStone] = []
        page = select(StandingRow.standing, StandingRow.module)
        page = page.order_by(StandingRow.standing.desc(), StandingRow.module).limit(PAGE)
        rows = self._transaction.rows(page)
        while rows and len(best) < limit:
            of_page = _stones().where(*conditions, VersionRow.digest.in_([module for _, module in rows]))
            places = {module: place for place, (_, module) in enumerate(rows)}
            found = self._read(of_page.order_by(VersionRow.id))
            best += sorted(found, key=lambda stone: places[stone.digest])
            standing, module = rows[-1]
            same = (StandingRow.standing == standing) & (StandingRow.module > module)
            rows = self._transaction.rows(page.where((StandingRow.standing < standing) | same))
        return tuple(best[:limit])

    def _read(self, wanted: Select[*Stone]) -> tuple[SteppingStone, ...]:
        return tuple(_stone(row) for row in self._transaction.rows(wanted))


def _stone(row: Row[*Stone]) -> SteppingStone:
    namespace, name, version, digest, role, below = row
    return SteppingStone(
        ref=f"{namespace}/{name}@{version}",
        digest=Digest(digest),
        role=Role(role),
        below=None if below is None else Digest(below),
    )


def _stones() -> Select[*Stone]:
    return select(*STONE).select_from(VersionRow).join(ModuleRow, ModuleRow.id == VersionRow.module_id)


def _not_refused() -> tuple[ColumnElement[bool]]:
    """No worker has refused the version's bytes."""
    refused = VerificationRow.state == VerificationState.REFUSED
    return (~select(VerificationRow.digest).where(VerificationRow.digest == VersionRow.digest, refused).exists(),)


def _newcomers(conditions: Iterable[ColumnElement[bool]]) -> Select[*Stone]:
    """Versions whose bytes stand nowhere yet, newest first."""
    stands = select(StandingRow.module).where(StandingRow.module == VersionRow.digest).exists()
    newcomers = _stones().where(*conditions, ~stands)
    return newcomers.order_by(VersionRow.published_at.desc(), VersionRow.module_id.desc(), VersionRow.version.desc())
