"""What can be counted about the zoo at any moment: open work, running questions, connections to the database."""

import threading
import time
from collections.abc import Callable
from datetime import datetime

from registry.frozen import Frozen
from registry.ports import Begin, Clock
from registry.records import JobStatus
from registry.work import WorkKind

FRESH_SECONDS = 5.0
"""So long an observation is given again, however often somebody asks."""


class OpenJobs(Frozen):
    """How many jobs of one kind are queued or running."""

    kind: WorkKind
    status: JobStatus
    count: int


class Observation(Frozen):
    """The zoo at a moment. `connections` are those to the database that are in use in this process."""

    jobs: tuple[OpenJobs, ...]
    oldest_queued_seconds: float
    queries_running: int
    connections: int


class ObservationService:
    """Counts, and remembers for a few seconds what it counted."""

    def __init__(self, begin: Begin, clock: Clock, connections: Callable[[], int]) -> None:
        """Args: begin: records; clock: tells ages; connections: how many to the database are in use."""
        self._begin, self._clock, self._connections = begin, clock, connections
        self._lock = threading.Lock()
        self._last: tuple[float, Observation] | None = None

    def observe(self) -> Observation:
        """The zoo now, or a few seconds ago; whoever comes while another counts waits for that."""
        with self._lock:
            now = time.monotonic()
            if self._last is None or now - self._last[0] > FRESH_SECONDS:
                self._last = (now, self._count())
            return self._last[1]

    def _count(self) -> Observation:
        connections = self._connections()
        with self._begin() as work:
            oldest = work.jobs.oldest_queued()
            return Observation(
                jobs=tuple(OpenJobs(kind=kind, status=status, count=n) for kind, status, n in work.jobs.counts()),
                oldest_queued_seconds=self._age(oldest),
                queries_running=work.queries.running_count(),
                connections=connections,
            )

    def _age(self, moment: datetime | None) -> float:
        return 0.0 if moment is None else max(0.0, (self._clock() - moment).total_seconds())
