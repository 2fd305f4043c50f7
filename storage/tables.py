"""The tables. A row never leaves this package: records are kept whole as JSON text, beside the columns they are
found by.
"""

from datetime import UTC, datetime

from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    Text,
    UniqueConstraint,
    event,
    false,
    func,
    text,
)
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
BIG = BigInteger().with_variant(Integer(), "sqlite")
"""Eight bytes everywhere; only an INTEGER is a row's own number in SQLite."""


class UtcTime(TypeDecorator[datetime]):
    """An aware moment in UTC; SQLite, which knows no time zones, keeps the UTC clock as text that sorts."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To the database. Raises ValueError for a time without a zone."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; times are aware and in UTC")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """From the database."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Table(DeclarativeBase):
    """What all tables share: how names, numbers and times are kept."""

    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {str: Text(), int: BIG, float: Double(), datetime: UtcTime()}  # noqa: RUF012 - declarative


NAME = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that lists are sorted by: by its letters' numbers on every database, whatever its language."""

MAKE_GRAMS = """
    CREATE FUNCTION zoo_grams(whole text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT coalesce(array_agg(DISTINCT gram), '{}') FROM (
            SELECT letter || lead(letter, 1) OVER places AS two,
                   letter || lead(letter, 1) OVER places || lead(letter, 2) OVER places AS three
            FROM unnest(string_to_array(whole, NULL)) WITH ORDINALITY AS letters (letter, place)
            WINDOW places AS (ORDER BY place)
        ) AS parts, unnest(ARRAY[two, three]) AS grams (gram) WHERE gram IS NOT NULL
    $$
"""
"""All two and three letters that follow one another in a text, which PostgreSQL can index but has no function for."""


@event.listens_for(Table.metadata, "before_create")
def _make_functions(target: MetaData, connection: Connection, **options: object) -> None:
    """Make what the indexes below are made with."""
    del target, options
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(MAKE_GRAMS)


def shown_index(name: str, *columns: str) -> Index:
    """An index of those versions alone that searches find."""
    return Index(
        f"ix_versions_shown_{name}",
        *columns,
        postgresql_where=text("NOT superseded"),
        sqlite_where=text("superseded = 0"),  # SQLite takes the index only where a query says it in these words
    )


class ModuleRow(Table):
    """One module. `last_version` is the highest number ever given; `newest` is what searches and `latest` find."""

    __tablename__ = "modules"
    __table_args__ = (UniqueConstraint("namespace", "name"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    namespace: Mapped[str] = mapped_column(NAME)
    name: Mapped[str] = mapped_column(NAME)
    last_version: Mapped[int]
    newest: Mapped[int | None]


class VersionRow(Table):
    """One published version, and what it is searched by. `record` is all of it but `yanked` and `verification`.

    Where `superseded`, another version is found in its place; `newest` of the module decides, this keeps the indexes of
    searches as small as the number of modules.
    """

    __tablename__ = "versions"
    __table_args__ = (
        UniqueConstraint("module_id", "version"),
        UniqueConstraint("module_id", "digest"),
        Index("ix_versions_by_age", "published_at", "module_id", "version", "role", "digest"),
        shown_index("by_age", "published_at", "module_id"),
        shown_index("role", "role", "published_at", "module_id"),
        shown_index("module", "module_id"),
        shown_index("id", "id", "published_at", "module_id", "version", "role", "takes", "gives"),
        shown_index("takes", "takes", "published_at", "module_id"),
        shown_index("gives", "gives", "published_at", "module_id"),
        shown_index("data", "data"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    module_id: Mapped[int] = mapped_column(ForeignKey("modules.id"))
    version: Mapped[int]
    digest: Mapped[str] = mapped_column(index=True)
    below: Mapped[str | None] = mapped_column(index=True)
    role: Mapped[str]
    takes: Mapped[str]
    gives: Mapped[str]
    data: Mapped[str | None]
    search_text: Mapped[str]
    published_at: Mapped[datetime]
    yanked: Mapped[str | None]
    record: Mapped[str]
    superseded: Mapped[bool] = mapped_column(default=False, server_default=false())


GRAMS_INDEX = Index(
    "ix_versions_shown_grams",
    func.zoo_grams(VersionRow.search_text),
    postgresql_using="gin",
    postgresql_where=~VersionRow.superseded,
).ddl_if(dialect="postgresql")
"""Finds text within text. SQLite reads the text of every module instead."""


class VerificationRow(Table):
    """What workers found of a module's bytes; bytes that none has looked at have no row."""

    __tablename__ = "verifications"

    digest: Mapped[str] = mapped_column(primary_key=True)
    state: Mapped[str]
    record: Mapped[str]


class WordRow(Table):
    """A word that a version is found by: a tag, or a class of the task it was trained on; superseded as it is."""

    __tablename__ = "version_words"
    __table_args__ = (Index(None, "kind", "word"), shown_index("words", "kind", "word", "version_id"))

    version_id: Mapped[int] = mapped_column(ForeignKey("versions.id", ondelete="CASCADE"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    word: Mapped[str] = mapped_column(primary_key=True)
    superseded: Mapped[bool] = mapped_column(default=False, server_default=false())


class AliasRow(Table):
    """Where an alias points now."""

    __tablename__ = "aliases"
    __table_args__ = (
        ForeignKeyConstraint(["module_id", "version"], ["versions.module_id", "versions.version"]),
        Index(None, "module_id", "version"),
    )

    module_id: Mapped[int] = mapped_column(primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[int]
    revision: Mapped[int]


class AliasMoveRow(Table):
    """One move of an alias; it stays when the version or the alias goes. Version 0: the alias was removed."""

    __tablename__ = "alias_moves"

    module_id: Mapped[int] = mapped_column(ForeignKey("modules.id"), primary_key=True)
    alias: Mapped[str] = mapped_column(primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    version: Mapped[int]
    moved_at: Mapped[datetime]
    digest: Mapped[str | None]


class PipelineRow(Table):
    """One composed pipeline."""

    __tablename__ = "pipelines"
    __table_args__ = (Index(None, "created_at", "id"), Index(None, "name", "created_at"))

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    created_at: Mapped[datetime]
    record: Mapped[str]


class PipelineModuleRow(Table):
    """One module of a pipeline."""

    __tablename__ = "pipeline_modules"

    pipeline_id: Mapped[str] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True)
    digest: Mapped[str] = mapped_column(index=True)


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


class JobRow(Table):
    """One job. Its number is never given again, so that the oldest is always the lowest."""

    __tablename__ = "jobs"
    __table_args__ = (
        Index(None, "status", "id"),
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


class OutcomeRow(Table):
    """What a module reached on the task of a query."""

    __tablename__ = "outcomes"
    __table_args__ = (Index(None, "metric", "how"),)

    query_id: Mapped[str] = mapped_column(ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True)
    module: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    how: Mapped[str] = mapped_column(primary_key=True)
    record: Mapped[str]


class TokenRow(Table):
    """One token, found by the hash of its secret, or of the cookie that is made from it."""

    __tablename__ = "tokens"
    __table_args__ = (Index(None, "created_at", "id"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    secret_hash: Mapped[str] = mapped_column(unique=True)
    cookie_hash: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    record: Mapped[str]


class NamespaceRow(Table):
    """A namespace that not everybody may know of; those without a row are public."""

    __tablename__ = "private_namespaces"

    namespace: Mapped[str] = mapped_column(primary_key=True)
    created_at: Mapped[datetime]


class NamespaceMemberRow(Table):
    """Who may know of a private namespace."""

    __tablename__ = "namespace_members"
    __table_args__ = (Index(None, "owner", "namespace"),)

    namespace: Mapped[str] = mapped_column(
        ForeignKey("private_namespaces.namespace", ondelete="CASCADE"), primary_key=True
    )
    owner: Mapped[str] = mapped_column(primary_key=True)


class PipelineNamespaceRow(Table):
    """A namespace that a pipeline's modules are of: whoever may not know of it may not know of the pipeline."""

    __tablename__ = "pipeline_namespaces"

    pipeline_id: Mapped[str] = mapped_column(ForeignKey("pipelines.id", ondelete="CASCADE"), primary_key=True)
    namespace: Mapped[str] = mapped_column(primary_key=True, index=True)


class BlobOwnerRow(Table):
    """Who brought bytes by their digest, and so may have them again."""

    __tablename__ = "blob_owners"

    digest: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str] = mapped_column(primary_key=True)


class UploadRow(Table):
    """One upload in progress, or complete and waiting to be used. `lease` is held by the request that adds to it."""

    __tablename__ = "uploads"

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    received: Mapped[int]
    length: Mapped[int | None]
    said: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    lease: Mapped[str | None]
    lease_expires_at: Mapped[datetime | None]
    digest: Mapped[str | None] = mapped_column(index=True)


class UploadPieceRow(Table):
    """Bytes of an upload from `start` on, in a blob of their own."""

    __tablename__ = "upload_pieces"

    upload_id: Mapped[str] = mapped_column(ForeignKey("uploads.id", ondelete="CASCADE"), primary_key=True)
    start: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    digest: Mapped[str] = mapped_column(index=True)
    size_bytes: Mapped[int]


class AuditRow(Table):
    """One change, public or not. Triggers of the database refuse to alter or remove a row."""

    __tablename__ = "audit"
    __table_args__ = (Index(None, "public", "serial"), Index(None, "ref", "serial"))

    serial: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kind: Mapped[str]
    ref: Mapped[str]
    namespace: Mapped[str | None]
    actor: Mapped[str]
    request: Mapped[str | None]
    detail: Mapped[str]
    at: Mapped[datetime]
    public: Mapped[bool]
    hash: Mapped[str]


class RequestKeyRow(Table):
    """What was answered to a request that came with a key of its own."""

    __tablename__ = "request_keys"

    owner: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)
    fingerprint: Mapped[str]
    answer: Mapped[str]
    created: Mapped[bool]
    about: Mapped[str | None] = mapped_column(index=True)
    at: Mapped[datetime] = mapped_column(index=True)


class WebhookRow(Table):
    """One webhook, how far it is, and who serves it until when."""

    __tablename__ = "webhooks"
    __table_args__ = (Index(None, "owner", "created_at"),)

    id: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]
    created_at: Mapped[datetime]
    secret: Mapped[str]
    record: Mapped[str]
    serial: Mapped[int]
    failures: Mapped[int]
    failing_since: Mapped[datetime | None]
    next_at: Mapped[datetime]
    disabled: Mapped[str | None]
    holder: Mapped[str | None]
    held_until: Mapped[datetime | None]


class DeliveryRow(Table):
    """One try to deliver a change to a webhook."""

    __tablename__ = "webhook_deliveries"
    __table_args__ = (Index(None, "webhook", "at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    webhook: Mapped[str] = mapped_column(ForeignKey("webhooks.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    serial: Mapped[int]
    record: Mapped[str]


class CounterRow(Table):
    """The last number given, under a name; whoever raises it holds it until the transaction ends."""

    __tablename__ = "counters"

    name: Mapped[str] = mapped_column(primary_key=True)
    last: Mapped[int]


class UnreferredBlobRow(Table):
    """Bytes that nothing referred to when the collector looked, and since when; they go once that is long enough."""

    __tablename__ = "unreferred_blobs"
    __table_args__ = (Index(None, "since", "digest"),)

    digest: Mapped[str] = mapped_column(primary_key=True)
    since: Mapped[datetime]


class TurnRow(Table):
    """Something that the processes of a service do in turn, and when it is due again."""

    __tablename__ = "turns"

    name: Mapped[str] = mapped_column(primary_key=True)
    next_at: Mapped[datetime]
