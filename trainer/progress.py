"""How far a run is: told twice a second at most, so that nobody waits for the device more often."""

import time
from collections.abc import Callable

from torch import Tensor

from registry.records import Progress

Report = Callable[[Progress], None]
ShouldStop = Callable[[], bool]

REPORT_SECONDS = 0.5


class Stopped(Exception):  # noqa: N818 (nothing went wrong: somebody wanted the run to end)
    """The run was asked to stop; nothing of it is to be published."""


class Tracker:
    """Counts the examples of a whole run and tells its progress."""

    def __init__(self, *, total: int, report: Report, should_stop: ShouldStop) -> None:
        """Args: total: examples of all epochs of all modules; report: where to tell; should_stop: asked often."""
        self._total = total
        self._done = 0
        self._report = report
        self._should_stop = should_stop
        self._started = time.monotonic()
        self._told = float("-inf")

    def advance(self, count: int, *, stage: str, epoch: int | None = None, objective: Tensor | None = None) -> None:
        """Count examples; tell when it is time again.

        Args:
            count: examples since the last call.
            stage: what is being trained.
            epoch: from 1, while training.
            objective: of the last batch; read from the device only when it is told.

        Raises:
            Stopped: the run is to end.
        """
        self._done += count
        if self._should_stop():
            raise Stopped
        now = time.monotonic()
        if now - self._told >= REPORT_SECONDS or self._done >= self._total:
            self._told = now
            value = None if objective is None else finite_or_none(float(objective))
            self._report(self._progress(stage, epoch=epoch, objective=value, now=now))

    def _progress(self, stage: str, *, epoch: int | None, objective: float | None, now: float) -> Progress:
        elapsed = now - self._started
        left = max(self._total - self._done, 0)
        return Progress(
            stage=stage,
            done=self._done,
            total=self._total,
            epoch=epoch,
            objective=objective,
            seconds_left=elapsed * left / self._done if self._done else None,
        )


def finite_or_none(value: float) -> float | None:
    """The value if it is a number that can be told, else None."""
    return value if abs(value) < float("inf") else None
