"""Tables of datasets and tasks, of jobs, and of questions with all that is kept of their answers."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    ForeignKeyConstraint,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.tables.declared import Table


class DatasetRow(Table):
    """One dataset, however many hold it."""

    __tablename__ = "datasets"
    __table_args__ = (Index(None, "created_at", "digest"),)

    digest: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]
    record: Mapped[str]


class DatasetOwnerRow(Table):
    """Who holds a dataset."""

    __tablename__ = "dataset_owners"

    dataset: Mapped[str] = mapped_column(ForeignKey("datasets.digest"), primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True, index=True)


class TaskRow(Table):
    """One task; dataset and tasks may go in either order within a transaction."""

    __tablename__ = "tasks"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    dataset: Mapped[str] = mapped_column(
        ForeignKey("datasets.digest", deferrable=True, initially="DEFERRED"), index=True
    )
    created_at: Mapped[datetime]
    record: Mapped[str]


class TaskOwnerRow(Table):
    """Who made a task, or made the same one; whoever else holds its dataset knows nothing of it."""

    __tablename__ = "task_owners"

    task_id: Mapped[str] = mapped_column(ForeignKey("tasks.id", ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True, index=True)


class JobRow(Table):
    """One job. Its number is never given again, so that the oldest is always the lowest."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "status", "id"),
        Index(None, "owner", "id"),
        Index(None, "work", postgresql_using="hash"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    owner: Mapped[str]
    status: Mapped[str]
    work: Mapped[str]
    attempt: Mapped[int]
    releases: Mapped[int]
    worker: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    progress: Mapped[str]
    result: Mapped[str | None]
    error: Mapped[str | None]
    created_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    checkpoint: Mapped[str | None]
    origin: Mapped[str | None]


class StatisticsRow(Table):
    """Where the statistics of one module on one dataset are; no blob where it could not be scored."""

    __tablename__ = "kept_statistics"

    key: Mapped[str] = mapped_column(primary_key=True)
    module: Mapped[str] = mapped_column(index=True)
    data: Mapped[str] = mapped_column(index=True)
    blob: Mapped[str | None] = mapped_column(index=True)
    record: Mapped[str]


class StandingRow(Table):
    """What is known of a module's bytes from all data they were scored on: the shortlist of a large zoo."""

    __tablename__ = "module_standings"
    __table_args__ = (Index(None, "standing", "module"),)

    module: Mapped[str] = mapped_column(primary_key=True)
    standing: Mapped[float]
    data_count: Mapped[int]


class QueryRow(Table):
    """One question and its answer."""

    __tablename__ = "queries"
    __table_args__ = (Index(None, "status", "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    status: Mapped[str]
    created_at: Mapped[datetime]
    record: Mapped[str]


class QueryDataRow(Table):
    """A dataset that a query is about."""

    __tablename__ = "query_data"

    query_id: Mapped[str] = mapped_column(ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True)
    data: Mapped[str] = mapped_column(primary_key=True, index=True)


class QueryJobRow(Table):
    """A job that a running query waits for, or has waited for."""

    __tablename__ = "query_jobs"

    query_id: Mapped[str] = mapped_column(ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True)
    job: Mapped[int] = mapped_column(primary_key=True, index=True)


class QueryNamespaceRow(Table):
    """A namespace of a query's candidates: whoever may not know of it may not know of the answer."""

    __tablename__ = "query_namespaces"

    query_id: Mapped[str] = mapped_column(ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True)


class QueryAskerRow(Table):
    """Who asked a query, and whether they wait for it; whoever else holds its datasets knows nothing of it."""

    __tablename__ = "query_askers"

    query_id: Mapped[str] = mapped_column(ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True, index=True)
    state: Mapped[str]


class OutcomeRow(Table):
    """What a module reached on the task of a query, as one of those who asked it tells."""

    __tablename__ = "outcomes"
    __table_args__ = (
        ForeignKeyConstraint(
            ["query_id", "owner"], ["query_askers.query_id", "query_askers.owner"], ondelete="CASCADE"
        ),
        Index(None, "owner", "metric", "how"),
    )

    query_id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)
    module: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    how: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[str]
