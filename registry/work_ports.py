"""What the rules need from outside for work and questions: jobs, statistics, queries, outcomes; see `ports`."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Protocol

from registry.names import Digest
from registry.outcome_records import How, Outcome
from registry.records import (
    Job,
    JobStatus,
    KeptStatistics,
    Page,
    Progress,
    Query,
)
from registry.work import JobResult, Work, WorkKind


class JobRecords(Protocol):
    """The queue of work: the one durable truth about it."""

    def submit(self, work: Work, *, owner: str, at: datetime) -> Job:
        """Queue work, as asked for by `current_origin()`."""

    def submit_all(self, every: Sequence[Work], *, owner: str, at: datetime) -> tuple[Job, ...]:
        """Queue much work at once, in its order."""

    def get(self, job_id: int) -> Job | None:
        """One job."""

    def owner(self, job_id: int) -> str | None:
        """Who asked for a job."""

    def those(self, job_ids: Sequence[int]) -> tuple[Job, ...]:
        """Those of the jobs that are there, oldest first."""

    def any_open(self, job_ids: Sequence[int]) -> bool:
        """Whether one of the jobs is queued or running."""

    def list(
        self,
        *,
        kind: WorkKind | None,
        status: JobStatus | None,
        owner: str | None = None,
        limit: int,
        cursor: str | None,
    ) -> Page[Job]:
        """Newest first, without their results; of an owner, or of all."""

    def claim(
        self,
        kinds: Sequence[WorkKind],
        *,
        worker: str,
        at: datetime,
        lease_expires_at: datetime,
        among: Collection[int] | None = None,
    ) -> Job | None:
        """Give the oldest free job (queued, or with a lease that ran out) to a worker, in one statement.

        A job of the kind verify is given only where no other is free: whoever asks does not wait for it. `among` are
        the only jobs that may be given; None allows all.
        """

    def renew(
        self,
        job_id: int,
        *,
        attempt: int,
        progress: Progress,
        lease_expires_at: datetime,
        checkpoint: Digest | None = None,
    ) -> bool:
        """Keep the lease and say how far it is; False when another attempt holds the job, or it has ended.

        A checkpoint takes the place of the last one; None leaves that. Claims, releases and the end leave it too.
        """

    def open(self) -> tuple[Job, ...]:
        """Every job that is queued or running, oldest first."""

    def counts(self) -> tuple[tuple[WorkKind, JobStatus, int], ...]:
        """How many jobs are queued and running, by kind; flat in the number of those that have ended."""

    def oldest_queued(self) -> datetime | None:
        """When the oldest queued job was submitted."""

    def find_open(self, work: Work) -> Job | None:
        """The oldest job with this very work that is queued or running."""

    def release(self, job_id: int, *, attempt: int) -> bool:
        """Give a job back unharmed, for the next to claim; False when this attempt does not hold it."""

    def end(
        self,
        job_id: int,
        *,
        attempt: int | None,
        status: JobStatus,
        result: JobResult | None,
        error: str | None,
        at: datetime,
    ) -> bool:
        """End a job that is held by this attempt (None: whoever holds it); False when it is not."""


class StatisticsRecords(Protocol):
    """Which statistics are kept, by module, data, preprocessing, examples and seed (all in `key`)."""

    def add(self, *kept: KeptStatistics) -> None:
        """Record where statistics are; no error when they are there already. Those of one module go together."""

    def get(self, keys: Sequence[Digest]) -> dict[Digest, KeptStatistics]:
        """Those of the keys that are kept."""

    def of_modules(self, modules: Iterable[Digest]) -> dict[Digest, tuple[KeptStatistics, ...]]:
        """Everything kept for each of the modules; modules without any are left out."""

    def remove(self, key: Digest) -> None:
        """Forget what is kept under a key; no error when it is not there."""

    def remove_data(self, data: Digest) -> tuple[Digest, ...]:
        """Forget everything kept for a dataset; gives the blobs that nothing refers to any more."""


class QueryRecords(Protocol):
    """Questions and their answers, kept so that the same question gets the same bytes."""

    def add(self, query: Query, *, data: Sequence[Digest]) -> bool:
        """Record a query about these datasets; False, and no change, when this id is there already."""

    def get(self, query_id: str) -> Query | None:
        """One query."""

    def ask(self, query: Query, *, owner: str) -> None:
        """Record who asks a query that is there, also after stopping it; until it ends they wait for it."""

    def asked_by(self, owner: str | None, query_id: str) -> Query | None:
        """One query that this owner asked (None: whoever did), if all its candidates are in sight.

        It is cancelled for whoever stopped it, although it goes on where others ask it too.
        """

    def running(self) -> tuple[Query, ...]:
        """Every query that is running, oldest first."""

    def waiting_for(self, job_ids: Sequence[int]) -> tuple[Query, ...]:
        """The running queries that wait for one of these jobs, or have waited for it, oldest first."""

    def askers(self, query_id: str) -> tuple[str, ...]:
        """Who waits for a query, in order."""

    def running_count(self) -> int:
        """How many are running."""

    def replace(self, query: Query) -> None:
        """Store the new state of a query whose id is there; nobody waits for one that has ended."""

    def stop(self, query_id: str, *, owner: str | None) -> bool:
        """Record that this owner (None: everybody) waits for a query no more; True when nobody does."""

    def withdraw(self, data: Digest, *, owner: str) -> tuple[Query, ...]:
        """Forget that this owner asked about a dataset; gives the running queries about it that nobody waits for."""

    def remove_data(self, data: Digest) -> None:
        """Forget every query about this dataset."""


class OutcomeRecords(Protocol):
    """What modules reached on the tasks of queries, as each owner tells; they go with what the owner asked."""

    def put(self, outcomes: Sequence[Outcome], *, owner: str) -> None:
        """Record outcomes of queries that this owner asked, each in place of its own last one.

        There is one by query, module, metric and way.
        """

    def of_query(self, query_id: str, *, owner: str | None) -> tuple[Outcome, ...]:
        """Every outcome that this owner (None: anybody) told of a query, by module, metric and way."""

    def list(self, query_id: str, *, owner: str | None, limit: int, cursor: str | None) -> Page[Outcome]:
        """The same, a page at a time."""

    def of_owner(self, owner: str | None, *, metric: str | None, how: How | None) -> tuple[Outcome, ...]:
        """What this owner (None: anybody) told, by one metric or way if named, of queries that are in sight."""
