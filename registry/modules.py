"""Modules: publish, find, point aliases at, yank, delete."""

from dataclasses import dataclass
from datetime import datetime

from registry.architectures.contracts import TensorType
from registry.audit import note
from registry.audit_records import Kind
from registry.blobs import BlobKeeper
from registry.errors import (
    Fault,
    InvalidManifestError,
    NotFoundError,
    PreconditionFailedError,
    ReferencedError,
    TooLargeError,
)
from registry.lineage import MOST_RELATIVES, lineage_of
from registry.manifest import ModuleManifest
from registry.module_file import check_module_file, read_header
from registry.names import Digest, ModuleName, ModuleRef, Selector
from registry.namespaces import require_in_sight
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.records import (
    STAFF,
    Alias,
    AliasMove,
    BlobInfo,
    Lineage,
    ModuleOverview,
    ModulePage,
    ModuleSearch,
    PublishedModule,
    TensorEntry,
    TensorListing,
)
from registry.settings import Settings
from registry.tensor_file import StoredTensor
from registry.verification import found_of, request

VERSIONS_A_PAGE = 200
"""So many versions are told at once where nobody says how many."""


@dataclass(frozen=True, slots=True)
class Published:
    """A version, and whether this call made it; the same bytes are published once."""

    module: PublishedModule
    created: bool


@dataclass(frozen=True, slots=True)
class CheckedFile:
    """A module file that has passed every check."""

    blob: BlobInfo
    manifest: ModuleManifest


@dataclass(frozen=True, slots=True)
class AliasCondition:
    """What must hold before an alias moves: its present revision, or that it is new."""

    revision: int | None = None
    must_be_new: bool = False


class ModuleService:
    """The rules about modules. Published bytes never change; a version is visible whole or not at all."""

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock, settings: Settings, keeper: BlobKeeper) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._clock, self._settings = begin, blobs, clock, settings
        self._keeper = keeper

    def check(self, blob: Digest) -> CheckedFile:
        """Check stored bytes as a module file. Raises InvalidModuleFileError and its kin, TooLargeError."""
        info = self._blobs.info(blob)
        if info.size_bytes > self._settings.module_limit_bytes:
            raise TooLargeError(
                f"the file has {info.size_bytes} bytes, more than the limit of "
                f"{self._settings.module_limit_bytes} (ZOO_MODULE_LIMIT_BYTES)"
            )
        with self._blobs.open(blob) as file:
            manifest = check_module_file(
                file,
                size_bytes=info.size_bytes,
                parameter_limit=self._settings.module_limit_parameters,
                features_limit=self._settings.features_limit,
            )
        _require_storable(manifest)
        return CheckedFile(info, manifest)

    def publish(self, name: ModuleName, blob: Digest, *, by: str = STAFF) -> Published:
        """Publish stored bytes as the next version of a module, or give the version that has them already.

        In the same step a worker is asked to verify them, unless one has with success. `by` is who asks.
        """
        checked = self.check(blob)
        with self._begin() as work:
            require_in_sight(work, name.namespace, what=str(name))
            published = self.record(work, name, checked, by=by)
            request(work, blob, at=self._clock())
        return published

    def rehearse(self, name: ModuleName, blob: Digest) -> ModuleManifest:
        """Everything `publish` checks, and nothing kept. Raises what `publish` would."""
        checked = self.check(blob)
        with self._begin() as work:
            require_in_sight(work, name.namespace, what=str(name))
            if work.modules.find(name, Selector(digest=blob)) is None:
                _require_below(work, checked.manifest)
        return checked.manifest

    def record(self, work: UnitOfWork, name: ModuleName, checked: CheckedFile, *, by: str = STAFF) -> Published:
        """Record a checked file within a transaction: the next version, or the one with these bytes."""
        self._keeper.require_beside(work, checked.blob.digest)
        version = work.modules.next_version(name)
        known = work.modules.find(name, Selector(digest=checked.blob.digest))
        if known is not None:
            return Published(known, created=False)
        _require_below(work, checked.manifest)
        module = PublishedModule(
            **dict(checked.manifest),
            namespace=name.namespace,
            name=name.name,
            version=version,
            digest=checked.blob.digest,
            size_bytes=checked.blob.size_bytes,
            published_at=self._clock(),
            verification=found_of(work, checked.blob.digest),
        )
        work.modules.add(module)
        note(work, "publish", module.ref, at=module.published_at, by=by, detail=module.digest)
        return Published(module, created=True)

    def get(self, ref: ModuleRef) -> PublishedModule:
        """One version. Raises NotFoundError."""
        with self._begin() as work:
            return find_module(work, ref)

    def overview(self, name: ModuleName, *, limit: int = VERSIONS_A_PAGE, cursor: str | None = None) -> ModuleOverview:
        """A module with a page of its versions, newest first, and its aliases.

        Raises:
            NotFoundError: there is no such module.
            InvalidInputError: the cursor belongs to another list.
        """
        with self._begin() as work:
            page = work.modules.summaries(name, limit=limit, cursor=cursor)
            there = page.items or (cursor is not None and work.modules.summaries(name, limit=1, cursor=None).items)
            aliases = work.modules.aliases(name)
        if not there:
            raise NotFoundError(f"there is no module {name}")
        return ModuleOverview(
            namespace=name.namespace,
            name=name.name,
            versions=page.items,
            aliases={alias.alias: alias.version for alias in aliases},
            next_cursor=page.next_cursor,
        )

    def search(self, query: ModuleSearch, *, limit: int, cursor: str | None, facets: bool) -> ModulePage:
        """The newest version of each module that fits, a page at a time. Raises InvalidInputError."""
        with self._begin() as work:
            page = work.modules.search(query, limit=limit, cursor=cursor)
            counts = work.modules.facets(query) if facets else None
        return ModulePage(items=page.items, next_cursor=page.next_cursor, facets=counts)

    def tensors(self, ref: ModuleRef) -> TensorListing:
        """The header of a version's file. Raises NotFoundError."""
        module = self.get(ref)
        with self._blobs.open(module.digest) as file:
            header = read_header(file, size_bytes=module.size_bytes)
        entries = {name: _entry(tensor, header.data_start) for name, tensor in header.tensors.items()}
        return TensorListing(digest=module.digest, tensors=entries)

    def lineage(self, ref: ModuleRef, *, limit: int = MOST_RELATIVES, cursor: str | None = None) -> Lineage:
        """All a version stands on and a page of all that stands on it. Raises NotFoundError, InvalidInputError."""
        with self._begin() as work:
            return lineage_of(work, find_module(work, ref), limit=limit, cursor=cursor)

    def alias(self, name: ModuleName, alias: str) -> Alias:
        """Where an alias points. Raises NotFoundError."""
        with self._begin() as work:
            found = work.modules.alias(name, alias)
        if found is None:
            raise NotFoundError(f"{name} has no alias {alias!r}")
        return found

    def set_alias(
        self, name: ModuleName, alias: str, version: int, *, condition: AliasCondition, by: str = STAFF
    ) -> Alias:
        """Point an alias at a version, if nobody moved it meanwhile.

        Raises:
            NotFoundError: there is no such version.
            PreconditionFailedError: the alias is not at the revision the caller saw.
        """
        with self._begin() as work:
            module = find_module(work, ModuleRef(name, Selector(version=version)))
            last = work.modules.last_alias_move(name, alias)
            revision = _next_revision(last, condition, alias)
            moved = Alias(alias=alias, version=version, digest=module.digest, revision=revision)
            at = _not_before(last, self._clock())
            if not work.modules.move_alias(name, moved, at=at):
                raise PreconditionFailedError(f"alias {alias!r} was moved at the same moment; read it and try again")
            note(work, "alias", f"{name}@{alias}", at=at, by=by, detail=str(version))
        return moved

    def remove_alias(self, name: ModuleName, alias: str, *, condition: AliasCondition, by: str = STAFF) -> None:
        """Take an alias away, if nobody moved it meanwhile; its history stays, and its revisions go on.

        Raises:
            NotFoundError: there is no such alias.
            PreconditionFailedError: it is not at the revision the caller saw.
        """
        with self._begin() as work:
            present = work.modules.alias(name, alias)
            if present is None:
                raise NotFoundError(f"{name} has no alias {alias!r}")
            last = work.modules.last_alias_move(name, alias)
            _next_revision(last, condition, alias)
            at = _not_before(last, self._clock())
            if not work.modules.remove_alias(name, present, at=at):
                raise PreconditionFailedError(f"alias {alias!r} was moved at the same moment; read it and try again")
            note(work, "unalias", f"{name}@{alias}", at=at, by=by)

    def alias_history(self, name: ModuleName, alias: str) -> tuple[AliasMove, ...]:
        """Every move of an alias, oldest first, removals too. Raises NotFoundError where there never was one."""
        with self._begin() as work:
            moves = work.modules.alias_history(name, alias)
        if not moves:
            raise NotFoundError(f"{name} has no alias {alias!r}")
        return moves

    def alias_at(self, name: ModuleName, alias: str, at: datetime) -> AliasMove:
        """The move by which an alias pointed where it did at a moment; from the very moment of a move, that one.

        Raises NotFoundError where it was not there then.
        """
        moves = self.alias_history(name, alias)
        standing = [move for move in moves if move.moved_at <= at]
        if not standing:
            first = moves[0].moved_at.isoformat()
            raise NotFoundError(f"{name} had no alias {alias!r} at {at.isoformat()}; it was set first at {first}")
        if standing[-1].version is None:
            gone = standing[-1].moved_at.isoformat()
            raise NotFoundError(f"{name} had no alias {alias!r} at {at.isoformat()}; it was removed at {gone}")
        return standing[-1]

    def yank(self, name: ModuleName, version: int, reason: str | None, *, by: str = STAFF) -> PublishedModule:
        """Hide a version from searches and `latest`, or, with None, show it again. It is still fetched when named."""
        ref = ModuleRef(name, Selector(version=version))
        with self._begin() as work:
            module = find_module(work, ref)
            if module.yanked == reason:
                return module
            work.modules.set_yanked(name, version, reason)
            kind: Kind = "unyank" if reason is None else "yank"
            note(work, kind, str(ref), at=self._clock(), by=by, detail=reason or "")
            return find_module(work, ref)

    def delete(self, name: ModuleName, version: int, *, by: str = STAFF) -> None:
        """Remove a version. Raises NotFoundError, and ReferencedError listing what refers to it."""
        ref = ModuleRef(name, Selector(version=version))
        with self._begin() as work:
            work.hold()
            module = find_module(work, ref)
            users = _users(work, module) or _hidden_users(work.seeing_everything(), module)
            if users:
                raise ReferencedError(
                    f"{ref} cannot be deleted while {len(users)} others refer to it; yank it instead, or remove them",
                    faults=users,
                )
            work.modules.delete(name, version)
            note(work, "delete", str(ref), at=self._clock(), by=by, detail=module.digest)


def find_module(work: UnitOfWork, ref: ModuleRef) -> PublishedModule:
    """One version within a transaction. Raises NotFoundError."""
    module = work.modules.find(ref.name, ref.selector)
    if module is None:
        raise NotFoundError(f"there is no module {ref}; `GET /modules?q={ref.name.name}` searches for it")
    return module


def _require_storable(manifest: ModuleManifest) -> None:
    """Raises InvalidManifestError for a text with NUL, which not every database keeps."""
    classes = () if manifest.task is None else manifest.task.classes
    texts = {
        "/module/labels": manifest.labels or (),
        "/module/task/classes": [text for each in classes for text in (each.label, *each.merged)],
        "/module/description": (manifest.description,),
        "/module/license": (manifest.license,),
    }
    faults = [
        Fault(place, f"{place}: {text[:100]!r} has NUL in it; leave it out", "invalid_manifest")
        for place, several in texts.items()
        for text in several
        if "\x00" in text
    ]
    if faults:
        raise InvalidManifestError(f"the manifest is wrong: {faults[0].detail}", faults=faults)


def _require_below(work: UnitOfWork, manifest: ModuleManifest) -> None:
    """Raises InvalidManifestError unless what the module stands on is here and gives what it takes."""
    if manifest.below is None:
        return
    below = work.modules.by_digest(manifest.below)
    if not below:
        raise InvalidManifestError(
            f"the module stands on {manifest.below}, which is not in this zoo; publish that module first",
            faults=[Fault("/module/below", f"{manifest.below} is not published here", "unknown_module")],
        )
    _require_fit(below[0].gives, manifest.takes, below[0].ref)


def _require_fit(gives: TensorType, takes: TensorType, ref: str) -> None:
    """Raises InvalidManifestError unless what is below gives what is taken."""
    if gives != takes:
        detail = f"{ref} below gives {gives.shape}, but the module takes {takes.shape}"
        raise InvalidManifestError(detail, faults=[Fault("/module/takes", detail, "shape_mismatch")])


def _not_before(last: AliasMove | None, now: datetime) -> datetime:
    """When a move happens: now, but never before the last, whatever the clocks of two services say."""
    return now if last is None else max(now, last.moved_at)


def _next_revision(last: AliasMove | None, condition: AliasCondition, alias: str) -> int:
    """The revision a move gives. Raises PreconditionFailedError when the condition does not hold."""
    revision = 0 if last is None else last.revision
    is_there = last is not None and last.version is not None
    if condition.must_be_new and is_there:
        raise PreconditionFailedError(f"alias {alias!r} exists at revision {revision}; use If-Match to move it")
    if condition.revision is not None and (not is_there or condition.revision != revision):
        present = f"is at revision {revision}" if is_there else "is not there"
        raise PreconditionFailedError(f"alias {alias!r} {present}, not {condition.revision}; read it and try again")
    return revision + 1


def _users(work: UnitOfWork, module: PublishedModule) -> list[Fault]:
    """What would break if this version went: aliases, and, unless its bytes stay elsewhere, modules and pipelines."""
    name = ModuleName(module.namespace, module.name)
    faults = [
        Fault(f"/aliases/{alias.alias}", f"alias {alias.alias} points at it", "alias")
        for alias in work.modules.aliases(name)
        if alias.version == module.version
    ]
    elsewhere = len(work.modules.by_digest(module.digest)) > 1
    above = () if elsewhere else work.modules.standing_on(module.digest)
    pipelines = [
        pipeline
        for pipeline in work.pipelines.using(module.digest)
        if not elsewhere or any(part.ref == module.ref for part in pipeline.modules)
    ]
    faults += [Fault(f"/modules/{part.ref}", f"{part.ref} stands on it", "module") for part in above]
    return faults + [
        Fault(f"/pipelines/{pipeline.id}", f"pipeline {pipeline.name} holds it", "pipeline") for pipeline in pipelines
    ]


def _hidden_users(work: UnitOfWork, module: PublishedModule) -> list[Fault]:
    """That what would break is none of the caller's to know of; nothing where nothing would."""
    users = _users(work, module)
    return [Fault("", "something that you may not know of refers to it", "hidden")] if users else []


def _entry(tensor: StoredTensor, data_start: int) -> TensorEntry:
    return TensorEntry(
        dtype=tensor.dtype,
        shape=tensor.shape,
        byte_range=(data_start + tensor.start, data_start + tensor.end),
    )
