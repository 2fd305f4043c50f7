"""Tables of modules, their versions, aliases and verifications, and of pipelines."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    UniqueConstraint,
    false,
    func,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.tables.declared import NAME, Table, shown_index


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
    searches as small as the number of modules. `verified` is what `verifications` says of its bytes.
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
        shown_index("verified", "verified", "published_at", "module_id"),
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
    verified: Mapped[bool] = mapped_column(default=False, server_default=false())


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
    __table_args__ = (shown_index("words", "kind", "word", "version_id"),)

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
