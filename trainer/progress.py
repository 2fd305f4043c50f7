"""How far a run is: told twice a second at most, so that nobody waits for the device more often."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from registry.records import Progress

Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]

REPORT_SECONDS = 0.5


class Stopped(Exception):  # noqa: N818 (nothing went wrong: somebody wanted the run to end)
    """The run was asked to stop; nothing of it is to be published."""


@dataclass(frozen=True, slots=True)
class Step:
    """What is told of a step: the stage, its epoch from 1, the objective and the alignment of the last batch."""

    stage: str
    epoch: int | None = None
    objective: float | None = None
    alignment: float | None = None


class Tracker:
    """Counts the examples of a whole run and tells its progress."""

    def __init__(self, *, total: int, report: Report, should_stop: ShouldStop) -> None:
        """Args: total: examples of all epochs of all modules; report: where to tell; should_stop: asked often."""
        self._total = total
        self.done = 0
        self._taken_up = 0
        self._report = report
        self._should_stop = should_stop
        self._started = time.monotonic()
        self._told = float("-inf")

    def take_up(self, done: int) -> None:
        """Count on from a checkpoint."""
        self.done = self._taken_up = max(done, self.done)
        self._started = time.monotonic()

    def advance(self, count: int, *, stage: str) -> None:
        """Count examples and tell of the stage when it is time again. Raises Stopped as `count` does."""
        if self.count(count):
            self.tell(Step(stage))

    def count(self, count: int) -> bool:
        """Count examples; whether it is time to tell.

        Raises:
            Stopped: the run is to end.
        """
        self.done += count
        if self._should_stop():
            raise Stopped
        return time.monotonic() - self._told >= REPORT_SECONDS or self.done >= self._total

    def tell(self, step: Step) -> None:
        """Report how far the run is."""
        self._told = time.monotonic()
        speed = (self.done - self._taken_up) / max(self._told - self._started, 1e-9)
        self._report(
            Progress(
                stage=step.stage,
                done=self.done,
                total=self._total,
                epoch=step.epoch,
                objective=None if step.objective is None else finite_or_none(step.objective),
                alignment=None if step.alignment is None else finite_or_none(step.alignment),
                examples_per_second=speed if self.done > self._taken_up else None,
                seconds_left=max(self._total - self.done, 0) / speed if self.done > self._taken_up else None,
            )
        )


def finite_or_none(value: float) -> float | None:
    """The value if it is a number that can be told, else None."""
    return value if abs(value) < float("inf") else None
