"""What a run tells of its epochs, as event files that TensorBoard draws."""

from pathlib import Path
from types import TracebackType
from typing import Self

from tensorboardX import SummaryWriter  # type: ignore[import-untyped]

from trainer.history import EpochRecord


class EventFiles:
    """Writes a run's epochs into a folder while a block runs; a run that goes on adds a file of its own.

    Curves are named by what they show and of what: ``objective/module_1``. Their steps are epochs.
    """

    def __init__(self, folder: Path) -> None:
        """Args: folder: where the files go; it is made if need be."""
        self._folder = folder

    def __enter__(self) -> Self:
        self._writer = SummaryWriter(str(self._folder))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()

    def tell(self, record: EpochRecord) -> None:
        """Add an epoch: of every part its objective and alignment, of the stage its rate and speed."""
        for part, objective, alignment in zip(record.parts, record.objectives, record.alignments, strict=True):
            self._add("objective", part, objective, epoch=record.epoch)
            if alignment is not None:
                self._add("alignment", part, alignment, epoch=record.epoch)
        self._add("learning_rate", record.stage, record.learning_rate, epoch=record.epoch)
        self._add("images_per_second", record.stage, record.examples_per_second, epoch=record.epoch)
        self._writer.flush()

    def _add(self, what: str, of: str, value: float, *, epoch: int) -> None:
        self._writer.add_scalar(f"{what}/{of.replace(' ', '_')}", value, epoch)
