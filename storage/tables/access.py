"""Tables of who may do what: tokens, private namespaces and their members, who brought which bytes."""

from datetime import datetime

from sqlalchemy import (
    ForeignKey,
    Index,
)
from sqlalchemy.orm import Mapped, mapped_column

from storage.tables.declared import Table


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
