"""Checkpoints: all of a run's state in one safetensors file, so that a killed run can go on."""

import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

import structlog
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from client.cache import digest_of_bytes
from registry.frozen import Frozen
from registry.recipes import TrainingRecipe
from registry.tensor_file import TensorFileError, read_tensor_header

log = structlog.get_logger()

Tensors = Mapping[str, Tensor]

NOTES = "notes"

FORMAT = 1
"""Grows when a checkpoint of before can no longer be gone on from."""


class StageNotes(Frozen):
    """Where a stage is, in numbers: the epoch and batch that come next, and what was seen so far."""

    stage: int
    epoch: int = 1
    batch: int = 0
    elapsed_seconds: float = 0.0
    examples_done: int = 0
    best: float | None = None
    best_objectives: tuple[float, ...] = ()
    waited: int = 0
    finished: bool = False
    objectives: tuple[float, ...] = ()


class RunNotes(Frozen):
    """Which run a checkpoint is of, the notes of its stages, the finished ones first, and a check of all bytes."""

    run: str
    stages: tuple[StageNotes, ...]
    checksum: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The state of one stage: its notes and its tensors."""

    notes: StageNotes
    tensors: Tensors


Sink = Callable[[bytes], None]


def nowhere(_: bytes) -> None:
    """Keep no checkpoint."""


class DamagedCheckpointError(Exception):
    """A checkpoint's tensors are not those it was written with."""


@dataclass(slots=True)
class Journal:
    """What a run has done so far, written to `sink` every so many seconds.

    Args:
        run: identity of the run: recipe and data; a checkpoint of another run is not taken.
        sink: where a checkpoint's bytes go; it must replace the last one whole.
        every_seconds: time between checkpoints.
    """

    run: str
    sink: Sink = nowhere
    every_seconds: float = float("inf")
    _stages: dict[int, Snapshot] = field(default_factory=dict)
    _written: float = field(default_factory=time.monotonic)

    @property
    def due(self) -> bool:
        """Whether it is time for another checkpoint."""
        return time.monotonic() - self._written >= self.every_seconds

    def stage(self, number: int) -> Snapshot | None:
        """How far a stage came, or None if it has not begun."""
        return self._stages.get(number)

    def keep(self, snapshot: Snapshot) -> None:
        """Remember a stage's state, and write all there is when that is due; nothing where no checkpoint is kept."""
        if self.sink is nowhere:
            return
        self._stages[snapshot.notes.stage] = Snapshot(snapshot.notes, dict(_copied(snapshot.tensors)))
        if self.due:
            self.sink(self._bytes())
            self._written = time.monotonic()

    def resume(self, data: bytes) -> bool:
        """Take up a checkpoint; False, and nothing taken, where it is of another run or damaged."""
        try:
            notes, tensors = _parse(data)
        except (TensorFileError, SafetensorError, ValidationError, KeyError, DamagedCheckpointError) as error:
            log.warning("checkpoint not readable, the run starts anew", why=str(error))
            return False
        if notes.run != self.run:
            log.warning("checkpoint is of another run, this one starts anew", of=notes.run, run=self.run)
            return False
        self._stages = {stage.stage: Snapshot(stage, under(tensors, f"{stage.stage}/")) for stage in notes.stages}
        last = notes.stages[-1]
        log.info("the run goes on from a checkpoint", stage=last.stage, epoch=last.epoch, batch=last.batch)
        return True

    def _bytes(self) -> bytes:
        tensors = {f"{number}/{name}": t for number, stage in self._stages.items() for name, t in stage.tensors.items()}
        stages = tuple(stage.notes for _, stage in sorted(self._stages.items()))
        notes = RunNotes(run=self.run, stages=stages, checksum=_checksum(tensors))
        return save(tensors, metadata={NOTES: notes.model_dump_json()})


def _copied(tensors: Tensors) -> Iterator[tuple[str, Tensor]]:
    """Tensors in main memory that nobody else changes, row-major as the file wants them."""
    for name, tensor in tensors.items():
        yield name, tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _parse(data: bytes) -> tuple[RunNotes, dict[str, Tensor]]:
    """Notes and tensors of a checkpoint's bytes, each checked as the file of a stranger would be."""
    header = read_tensor_header(BytesIO(data), size_bytes=len(data))
    notes, tensors = RunNotes.model_validate_json(header.metadata[NOTES]), load(data)
    if _checksum(tensors) != notes.checksum:
        raise DamagedCheckpointError("its tensors are not those it was written with")
    return notes, tensors


def _checksum(tensors: Tensors) -> int:
    """CRC-32 of names and bytes, to tell damage."""
    found = 0
    for name in sorted(tensors):
        found = zlib.crc32(tensors[name].reshape(-1).view(torch.uint8).numpy().data, zlib.crc32(name.encode(), found))
    return found


def under(tensors: Tensors, prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def file_sink(path: Path) -> Sink:
    """Write checkpoints to one file, each replacing the last whole; where that fails, the run goes on without."""

    def write(data: bytes) -> None:
        unfinished = _unfinished(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            unfinished.write_bytes(data)
            unfinished.replace(path)
        except OSError as error:
            log.warning("checkpoint not written, the run goes on", path=str(path), why=str(error))

    return write


def forget(path: Path) -> None:
    """Remove a file of checkpoints, also one that was not finished."""
    for file in (path, _unfinished(path)):
        file.unlink(missing_ok=True)


def _unfinished(path: Path) -> Path:
    return path.with_name(f"{path.name}.part")


@dataclass(frozen=True, slots=True)
class Saved:
    """How a run is kept safe.

    Args:
        sink: where a checkpoint's bytes go.
        every_seconds: time between checkpoints.
        resume_from: the last checkpoint's bytes, if there is one.
    """

    sink: Sink = nowhere
    every_seconds: float = float("inf")
    resume_from: bytes | None = None

    def journal(self, recipe: TrainingRecipe) -> Journal:
        """The journal of a run of this recipe, from the checkpoint where that is of the same run."""
        run = digest_of_bytes(f"{FORMAT} {recipe.model_dump_json()}".encode())
        journal = Journal(run, self.sink, self.every_seconds)
        if self.resume_from is not None:
            journal.resume(self.resume_from)
        return journal


NOT_SAVED = Saved()
