"""Modules, versions and aliases in SQL."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import chain

from sqlalchemy import Row, Select, case, delete, func, select, update
from sqlalchemy.sql.selectable import TypedReturnsRows

from registry.access import Sight
from registry.errors import NotFoundError
from registry.names import LATEST, Digest, ModuleName, Selector
from registry.records import (
    Alias,
    AliasMove,
    Facet,
    ModuleSearch,
    Page,
    PublishedModule,
    Shortlist,
    SteppingStone,
    VersionSummary,
)
from storage.records.descendants import find_descendants
from storage.records.module_search import (
    CLASS,
    SHOWN,
    TAG,
    ModuleFinder,
    Read,
    every_version,
    named,
    read_module,
    searchable,
)
from storage.records.shortlist import ShortlistFinder
from storage.records.sight import in_sight
from storage.records.verification import forget_orphan, is_verified
from storage.tables import AliasMoveRow, AliasRow, ModuleRow, VersionRow, WordRow
from storage.transaction import Transaction, chunks

REMOVED = 0
"""The version in the move of an alias that was removed; versions count from 1."""


class SqlModuleRecords:
    """Modules, versions, aliases. A module's row is its lock: whoever numbers a version holds it."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: the one all records of a unit of work share; sight: what reads may find."""
        self._transaction, self._sight = transaction, sight
        self._finder = ModuleFinder(transaction, sight)
        self._shortlists = ShortlistFinder(transaction, sight)

    def next_version(self, name: ModuleName) -> int:
        """The number the next version takes; nobody else is given it unless this transaction fails.

        The number is used up by `add`. From here on no other version of the module can appear, so what is
        looked up after this holds until the transaction ends.
        """
        return self._hold(name, last_version=0)[1] + 1

    def add(self, module: PublishedModule) -> None:
        """Record a version. Raises ConflictError when the module has its number or its bytes already."""
        name = ModuleName(module.namespace, module.name)
        module_id, _ = self._hold(name, last_version=module.version)
        self._transaction.hold_bytes(module.digest)
        new = self._transaction.insert(VersionRow).values(
            module_id=module_id,
            version=module.version,
            digest=module.digest,
            below=module.below,
            role=module.role,
            takes=str(module.takes),
            gives=str(module.gives),
            data=None if module.task is None else module.task.data,
            search_text=_search_text(module),
            published_at=module.published_at,
            yanked=module.yanked,
            record=module.model_dump_json(exclude={"yanked", "verification"}),
            verified=is_verified(module.digest),
        )
        version_id = self._transaction.changed(new.returning(VersionRow.id))[0][0]
        self._add_words(version_id, module)
        self.set_newest(module_id)

    def find(self, name: ModuleName, selector: Selector) -> PublishedModule | None:
        """One version by number, digest or alias; `latest` is the newest that is not yanked."""
        row = self._transaction.first(_selected(selector, self._sight).where(*named(name)))
        return None if row is None else read_module(row)

    def by_digest(self, digest: Digest) -> tuple[PublishedModule, ...]:
        """Every version with these bytes, oldest first."""
        return self._read(every_version(self._sight).where(VersionRow.digest == digest).order_by(VersionRow.id))

    def summaries(self, name: ModuleName, *, limit: int, cursor: str | None) -> Page[VersionSummary]:
        """A line on each version, newest first, a page at a time. Raises InvalidInputError for a bad cursor."""
        return self._finder.summaries(name, limit=limit, cursor=cursor)

    def search(self, query: ModuleSearch, *, limit: int, cursor: str | None) -> Page[PublishedModule]:
        """The newest version, not yanked, of each module that fits. Raises InvalidInputError for a bad cursor."""
        return self._finder.search(query, limit=limit, cursor=cursor)

    def facets(self, query: ModuleSearch) -> dict[str, tuple[Facet, ...]]:
        """Counts by role, namespace, tag, takes and gives over everything that fits."""
        return self._finder.facets(query)

    def newest(self, roles: Sequence[str]) -> tuple[PublishedModule, ...]:
        """The newest version, not yanked, of every module with one of these roles, by name."""
        newest = every_version(self._sight).where(*SHOWN, VersionRow.role.in_(roles))
        return self._read(newest.order_by(ModuleRow.namespace, ModuleRow.name))

    def shortlist(self, roles: Sequence[str], *, limit: int, newcomers: int) -> Shortlist:
        """The newest version, not yanked, of at most `limit` modules with one of these roles, by name.

        Where there are more, those that stand best and, for at least `newcomers` of the places, the newest of those
        that stand nowhere yet; without those that workers refused.
        """
        return self._shortlists.shortlist(roles, limit=limit, newcomers=newcomers)

    def stones(self, digests: Iterable[Digest]) -> dict[Digest, SteppingStone]:
        """Of each of these modules that are here, what is needed to go down its chain."""
        return self._shortlists.stones(digests)

    def of_digests(self, digests: Iterable[Digest]) -> dict[Digest, PublishedModule]:
        """The oldest version with each of these bytes, where there is one."""
        found: dict[Digest, PublishedModule] = {}
        for some in chunks(dict.fromkeys(digests)):
            for module in self._read(self._of(some)):
                found.setdefault(module.digest, module)
        return found

    def standing_on(self, digest: Digest) -> tuple[PublishedModule, ...]:
        """Versions whose `below` is this digest, oldest first."""
        return self._read(every_version(self._sight).where(VersionRow.below == digest).order_by(VersionRow.id))

    def descendants(self, digest: Digest, *, limit: int, cursor: str | None) -> Page[str]:
        """References of all that stands on this digest, or on what does, and so on; the nearest first."""
        return find_descendants(self._transaction, self._sight, digest, limit=limit, cursor=cursor)

    def set_yanked(self, name: ModuleName, version: int, reason: str | None) -> None:
        """Yank a version, or take it back with None. Raises NotFoundError."""
        module_id = self._held(name, version)
        marked = update(VersionRow).where(VersionRow.module_id == module_id, VersionRow.version == version)
        self._transaction.change(marked.values(yanked=reason))
        self.set_newest(module_id)

    def delete(self, name: ModuleName, version: int) -> None:
        """Remove the record of a version, and with the last one what was found of its bytes.

        Its number is not given again.

        Raises:
            NotFoundError: there is no such version.
            ConflictError: an alias points at it.
        """
        module_id = self._held(name, version)
        this = VersionRow.module_id == module_id, VersionRow.version == version
        digest = Digest(self._transaction.rows(select(VersionRow.digest).where(*this))[0][0])
        self._transaction.hold_bytes(digest)
        self._transaction.change(delete(VersionRow).where(*this))
        forget_orphan(self._transaction, digest)
        self.set_newest(module_id)

    def alias(self, name: ModuleName, alias: str) -> Alias | None:
        """Where an alias points."""
        row = self._transaction.first(_aliases(name, self._sight).where(AliasRow.alias == alias))
        return None if row is None else _alias(row)

    def aliases(self, name: ModuleName) -> tuple[Alias, ...]:
        """All aliases of a module, by name."""
        return tuple(
            _alias(row) for row in self._transaction.rows(_aliases(name, self._sight).order_by(AliasRow.alias))
        )

    def move_alias(self, name: ModuleName, alias: Alias, *, at: datetime) -> bool:
        """Set an alias if its newest move has revision ``alias.revision - 1`` (0: none yet); False if it has not.

        Raises:
            NotFoundError: the module has no such version.
        """
        module_id = self._held(name, alias.version)
        if self._last_move(module_id, alias.alias) != alias.revision - 1:
            return False
        new = self._transaction.insert(AliasRow).values(
            module_id=module_id, alias=alias.alias, version=alias.version, revision=alias.revision
        )
        set_ = {"version": alias.version, "revision": alias.revision}
        self._transaction.change(
            new.on_conflict_do_update(index_elements=[AliasRow.module_id, AliasRow.alias], set_=set_)
        )
        self._add_move(module_id, alias, version=alias.version, at=at)
        return True

    def remove_alias(self, name: ModuleName, alias: Alias, *, at: datetime) -> bool:
        """Remove an alias that is still as given, which is a move too; False if it is not.

        Raises:
            NotFoundError: the module has no such version.
        """
        module_id = self._held(name, alias.version)
        gone = delete(AliasRow).where(
            AliasRow.module_id == module_id, AliasRow.alias == alias.alias, AliasRow.revision == alias.revision
        )
        if not self._transaction.changed(gone.returning(AliasRow.revision)):
            return False
        self._add_move(module_id, alias.model_copy(update={"revision": alias.revision + 1}), version=REMOVED, at=at)
        return True

    def alias_history(self, name: ModuleName, alias: str) -> tuple[AliasMove, ...]:
        """All moves of an alias, oldest first; they stay when the alias is removed."""
        moves = _moves(name, alias, self._sight).order_by(AliasMoveRow.revision)
        return tuple(_move(row) for row in self._transaction.rows(moves))

    def last_alias_move(self, name: ModuleName, alias: str) -> AliasMove | None:
        """The newest move of an alias; None where there never was one."""
        moves = _moves(name, alias, self._sight).order_by(AliasMoveRow.revision.desc())
        row = self._transaction.first(moves.limit(1))
        return None if row is None else _move(row)

    def _last_move(self, module_id: int, alias: str) -> int:
        """The newest revision of an alias, 0 without any; nobody else moves one while the module is held."""
        moves = select(func.coalesce(func.max(AliasMoveRow.revision), 0))
        here = moves.where(AliasMoveRow.module_id == module_id, AliasMoveRow.alias == alias)
        return self._transaction.rows(here)[0][0]

    def _add_move(self, module_id: int, alias: Alias, *, version: int, at: datetime) -> None:
        move = self._transaction.insert(AliasMoveRow).values(
            module_id=module_id,
            alias=alias.alias,
            revision=alias.revision,
            version=version,
            digest=None if version == REMOVED else alias.digest,
            moved_at=at,
        )
        self._transaction.change(move)

    def _of(self, digests: Sequence[Digest]) -> Select[*Read]:
        """Versions with these bytes, oldest first."""
        return every_version(self._sight).where(VersionRow.digest.in_(digests)).order_by(VersionRow.id)

    def _read(self, wanted: Select[*Read]) -> tuple[PublishedModule, ...]:
        return tuple(read_module(row) for row in self._transaction.rows(wanted))

    def _hold(self, name: ModuleName, *, last_version: int) -> tuple[int, int]:
        """Row and highest number of a module, new or not, locked; the number is raised to at least this one."""
        new = self._transaction.insert(ModuleRow).values(
            namespace=name.namespace, name=name.name, last_version=last_version
        )
        higher = case((ModuleRow.last_version < last_version, last_version), else_=ModuleRow.last_version)
        held = new.on_conflict_do_update(
            index_elements=[ModuleRow.namespace, ModuleRow.name], set_={"last_version": higher}
        )
        row = self._transaction.changed(held.returning(ModuleRow.id, ModuleRow.last_version))[0]
        return row[0], row[1]

    def _held(self, name: ModuleName, version: int) -> int:
        """Row of a module that has this version, locked. Raises NotFoundError."""
        module = select(ModuleRow.id).where(*named(name)).with_for_update()
        for (module_id,) in self._transaction.changed(module):
            wanted = select(VersionRow.id).where(VersionRow.module_id == module_id, VersionRow.version == version)
            if self._transaction.first(wanted):
                return module_id
        raise NotFoundError(f"there is no module {name}@{version}")

    def set_newest(self, module_id: int) -> None:
        """Find again which version searches show."""
        shown = select(VersionRow.version).where(VersionRow.module_id == module_id, VersionRow.yanked.is_(None))
        newest = shown.order_by(VersionRow.version.desc()).limit(1)
        found = update(ModuleRow).where(ModuleRow.id == module_id).values(newest=newest.scalar_subquery())
        (version,) = self._transaction.changed(found.returning(ModuleRow.newest))[0]
        of_module = update(VersionRow).where(VersionRow.module_id == module_id).returning(VersionRow.id)
        others = of_module.where(~VersionRow.superseded, VersionRow.version.is_distinct_from(version))
        self._supersede(others.values(superseded=True), superseded=True)
        again = of_module.where(VersionRow.superseded, VersionRow.version == version)
        self._supersede(again.values(superseded=False), superseded=False)

    def _supersede(self, versions: TypedReturnsRows[int], *, superseded: bool) -> None:
        """Mark versions by a change that gives their ids, and their words with them."""
        for (version_id,) in self._transaction.changed(versions):
            words = update(WordRow).where(WordRow.version_id == version_id)
            self._transaction.change(words.values(superseded=superseded))

    def _add_words(self, version_id: int, module: PublishedModule) -> None:
        """Record what a version is found by."""
        for some in chunks(words_of(module)):
            rows = [{"version_id": version_id, "kind": kind, "word": word} for kind, word in some]
            self._transaction.change(self._transaction.insert(WordRow).values(rows))


def _selected(selector: Selector, sight: Sight) -> Select[*Read]:
    """The version that a selector means, of any module."""
    if selector.version is not None:
        return every_version(sight).where(VersionRow.version == selector.version)
    if selector.digest is not None:
        return every_version(sight).where(VersionRow.digest == selector.digest)
    if selector.alias == LATEST:
        return every_version(sight).where(*SHOWN)
    pointing = (AliasRow.module_id == VersionRow.module_id) & (AliasRow.version == VersionRow.version)
    return every_version(sight).join(AliasRow, pointing).where(AliasRow.alias == selector.alias)


def _aliases(name: ModuleName, sight: Sight) -> Select[str, int, str, int]:
    """Aliases of a module, each with the digest it points at."""
    pointed = (AliasRow.module_id == VersionRow.module_id) & (AliasRow.version == VersionRow.version)
    aliases = select(AliasRow.alias, AliasRow.version, VersionRow.digest, AliasRow.revision)
    modules = aliases.join(VersionRow, pointed).join(ModuleRow, ModuleRow.id == AliasRow.module_id)
    return modules.where(in_sight(ModuleRow.namespace, sight), *named(name))


def _alias(row: Row[str, int, str, int]) -> Alias:
    alias, version, digest, revision = row
    return Alias(alias=alias, version=version, digest=Digest(digest), revision=revision)


def _moves(name: ModuleName, alias: str, sight: Sight) -> Select[int, int, str | None, datetime]:
    """All moves of an alias."""
    moves = select(AliasMoveRow.revision, AliasMoveRow.version, AliasMoveRow.digest, AliasMoveRow.moved_at)
    moves = moves.join(ModuleRow, ModuleRow.id == AliasMoveRow.module_id)
    return moves.where(in_sight(ModuleRow.namespace, sight), *named(name), AliasMoveRow.alias == alias)


def _move(row: Row[int, int, str | None, datetime]) -> AliasMove:
    revision, version, digest, moved_at = row
    return AliasMove(
        revision=revision,
        version=None if version == REMOVED else version,
        digest=None if digest is None else Digest(digest),
        moved_at=moved_at,
    )


def words_of(module: PublishedModule) -> tuple[tuple[str, str], ...]:
    """What a version is found by: kinds and words, each once."""
    classes = () if module.task is None else module.task.classes
    words = chain(((TAG, tag) for tag in module.tags), ((CLASS, trained.label) for trained in classes))
    return tuple(dict.fromkeys(words))


def _search_text(module: PublishedModule) -> str:
    """Everything that free words are looked for in, without regard to case."""
    parts = (f"{module.namespace}/{module.name}", module.description, *module.tags)
    return searchable("\n".join(parts))
