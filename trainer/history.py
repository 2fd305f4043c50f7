"""What a run tells of every epoch, for those who watch it or look back at it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class EpochRecord:
    """One epoch of a stage.

    Args:
        stage: what was trained, for people.
        epoch: from 1.
        objectives: mean of every part; larger is better.
        seconds: of the stage so far.
        parts: what each part is called.
        alignments: upper-triangle alignment of every part on the last batch, None where it looks at no features.
        learning_rate: of the last step.
        examples_per_second: examples of the epoch over its time.
    """

    stage: str
    epoch: int
    objectives: tuple[float, ...]
    seconds: float
    parts: tuple[str, ...]
    alignments: tuple[float | None, ...]
    learning_rate: float
    examples_per_second: float


History = Callable[[EpochRecord], None]


def untold(_: EpochRecord) -> None:
    """Keep no history."""
