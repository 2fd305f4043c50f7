"""Pipelines: modules that run one after the other, pinned to their digests."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO, Self

from registry.architectures.contracts import Link, check_chain
from registry.audit import note
from registry.blobs import PIECE_BYTES, check_digest
from registry.errors import ConflictError, Fault, InvalidNameError, NotFoundError, PipelineMisfitError
from registry.key_records import RequestKey
from registry.names import Digest, ModuleRef, parse_word
from registry.pipeline_file import open_pipeline_file
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.records import STAFF, BlobInfo, Page, PinnedModule, Pipeline, PublishedModule
from registry.request_keys import Made, once
from registry.verification import refusal
from registry.work import PredictWork

REFUSED = "refused"
"""Code of the fault of a module that workers refused."""

MEASURED_REMEMBERED = 128
"""Of how many pipeline files digest and size are remembered; they can be found again from the bytes."""


@dataclass(frozen=True, slots=True)
class _Resolved:
    """The modules that were found, and a fault for each reference that was not."""

    modules: tuple[PublishedModule | None, ...]
    faults: tuple[Fault, ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """A pipeline, and whether this call made it."""

    pipeline: Pipeline
    created: bool


class PipelineService:
    """The rules about pipelines: every misfit in one answer, references pinned the moment it is composed.

    A module that workers have not verified yet may be in a pipeline, one that they refused may not.
    """

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._clock = begin, blobs, clock
        self._measured = lru_cache(maxsize=MEASURED_REMEMBERED)(self._measure)

    def seen_by(self, look: Begin) -> Self:
        """The same, for somebody who sees what units of work of this kind see; what is remembered is shared."""
        seen = copy(self)
        seen._begin = look
        return seen

    def check(self, refs: Sequence[str]) -> tuple[Fault, ...]:
        """Every misfit of these modules, one after the other; empty when they fit."""
        with self._begin() as work:
            return _faults(_resolve(work, refs))

    def compose(self, name: str, refs: Sequence[str], *, by: str = STAFF, key: RequestKey | None = None) -> Composed:
        """Make a pipeline. Raises InvalidNameError, PipelineMisfitError with every misfit, KeyReusedError."""

        def record() -> Made[Pipeline]:
            composed = self.record(work, name, refs, by=by)
            return Made(composed.pipeline, created=composed.created)

        with self._begin() as work:
            work.hold()
            made = once(work, key, record, model=Pipeline, at=self._clock())
        return Composed(made.model, created=made.created)

    def record(self, work: UnitOfWork, name: str, refs: Sequence[str], *, by: str = STAFF) -> Composed:
        """The same within a transaction; it holds, so that no module goes between the check and the record."""
        parse_word(name, what="pipeline name")
        work.hold()
        resolved = _resolve(work, refs)
        faults = _faults(resolved)
        if faults:
            raise PipelineMisfitError(f"these modules do not make a pipeline: {faults[0].detail}", faults=faults)
        modules = [module for module in resolved.modules if module is not None]
        pinned = tuple(PinnedModule(ref=part.ref, digest=part.digest, role=part.role) for part in modules)
        pipeline = Pipeline(
            id=_pipeline_id(name, [part.digest for part in pinned]),
            name=name,
            modules=pinned,
            labels=modules[-1].labels or (),
            created_at=self._clock(),
        )
        known = work.pipelines.get(pipeline.id)
        if known is not None:
            return Composed(known, created=False)
        note(work, "compose", pipeline.id, at=pipeline.created_at, by=by, detail=name)
        return _kept(work, pipeline)

    def get(self, pipeline_id: str) -> Pipeline:
        """One pipeline by its id, or the newest of that name. Raises NotFoundError."""
        with self._begin() as work:
            pipeline = work.pipelines.get(pipeline_id) or work.pipelines.newest_named(pipeline_id)
        if pipeline is None:
            raise NotFoundError(f"there is no pipeline {pipeline_id[:200]!r}; compose one with POST /pipelines")
        return pipeline

    def list(self, *, limit: int, cursor: str | None, holding: Digest | None = None) -> Page[Pipeline]:
        """All pipelines, newest first; those that hold a module if it is named."""
        with self._begin() as work:
            return work.pipelines.list(limit=limit, cursor=cursor, holding=holding)

    def prediction(self, pipeline_id: str, images: Digest) -> PredictWork:
        """The work of running a pipeline over stored images. Raises NotFoundError, ConflictError."""
        return PredictWork(modules=tuple(part.digest for part in self.usable(pipeline_id).modules), images=images)

    def usable(self, pipeline_id: str) -> Pipeline:
        """A pipeline that can run. Raises NotFoundError, and ConflictError naming the modules that were refused."""
        pipeline = self.get(pipeline_id)
        with self._begin() as work:
            found = work.verifications.get(part.digest for part in pipeline.modules)
        faults = [
            Fault(f"/modules/{index}", f"{part.ref} was refused by a worker: {found[part.digest].reason}", REFUSED)
            for index, part in enumerate(pipeline.modules)
            if part.digest in found and found[part.digest].refused
        ]
        if faults:
            raise ConflictError(
                f"pipeline {pipeline.name} cannot run: {faults[0].detail}; compose it of other versions", faults=faults
            )
        return pipeline

    def measured(self, pipeline: Pipeline) -> BlobInfo:
        """Digest and size of a pipeline's file, whose bytes never change; all of them are verified the first time.

        Raises:
            NotFoundError, CorruptBlobError: bytes of a module are gone or damaged.
        """
        return self._measured(pipeline)

    def _measure(self, pipeline: Pipeline) -> BlobInfo:
        for part in pipeline.modules:
            with self._blobs.open(part.digest) as file:
                check_digest(file, part.digest)
        hashed, size_bytes = hashlib.sha256(), 0
        with self.open_file(pipeline) as file:
            while piece := file.read(PIECE_BYTES):
                hashed.update(piece)
                size_bytes += len(piece)
        return BlobInfo(digest=Digest(f"sha256:{hashed.hexdigest()}"), size_bytes=size_bytes)

    def open_file(self, pipeline: Pipeline) -> AbstractContextManager[BinaryIO]:
        """One safetensors file of the whole pipeline, seekable, read from the modules' files as it is read.

        Raises:
            NotFoundError, CorruptBlobError: when it is entered, bytes of a module are gone or damaged.
        """
        with self._begin() as work:
            modules = [work.modules.by_digest(part.digest)[0] for part in pipeline.modules]
        return open_pipeline_file(self._blobs, pipeline.name, modules)


def _resolve(work: UnitOfWork, refs: Sequence[str]) -> _Resolved:
    """Find every module; an unknown or ill-written reference is a fault, not the end."""
    modules: list[PublishedModule | None] = []
    faults = []
    for index, text in enumerate(refs):
        try:
            ref = ModuleRef.parse(text)
        except InvalidNameError as error:
            modules.append(None)
            faults.append(Fault(f"/modules/{index}", error.detail, error.code))
            continue
        modules.append(work.modules.find(ref.name, ref.selector))
        if modules[-1] is None:
            faults.append(Fault(f"/modules/{index}", f"there is no module {ref}", "not_found"))
    return _Resolved(tuple(modules), tuple(faults))


def _faults(resolved: _Resolved) -> tuple[Fault, ...]:
    """Everything wrong in one answer: what was not found or was refused, and what does not fit among the rest."""
    return resolved.faults + _refusals(resolved.modules) + _misfits(resolved.modules)


def _refusals(modules: Sequence[PublishedModule | None]) -> tuple[Fault, ...]:
    """Which modules cannot be used because workers refused them."""
    return tuple(
        Fault(f"/modules/{index}", refusal(module), REFUSED)
        for index, module in enumerate(modules)
        if module is not None and module.verification.refused
    )


def _misfits(modules: Sequence[PublishedModule | None]) -> tuple[Fault, ...]:
    """Where the modules do not fit one after the other."""
    links = [None if module is None else _link(module) for module in modules]
    return check_chain(links)


def _link(module: PublishedModule) -> Link:
    return Link(module=module.ref, role=module.role.value, takes=module.takes, gives=module.gives)


def _kept(work: UnitOfWork, pipeline: Pipeline) -> Composed:
    """A new pipeline; where the same bytes are one already that the caller may not know of, under another id."""
    if work.pipelines.add(pipeline):
        return Composed(pipeline, created=True)
    parts = [f"{part.ref} {part.digest}" for part in pipeline.modules]
    other = pipeline.model_copy(update={"id": _pipeline_id(pipeline.name, parts)})
    known = work.pipelines.get(other.id)
    if known is None:
        work.pipelines.add(other)
    return Composed(known or other, created=known is None)


def _pipeline_id(name: str, digests: Sequence[str]) -> str:
    """The id of a pipeline: the same name and modules give the same id."""
    text = json.dumps([name, *digests])
    return "pipeline-" + hashlib.sha256(text.encode()).hexdigest()[:24]
