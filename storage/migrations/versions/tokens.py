"""Tokens, private namespaces, and who brought which bytes.

Revision ID: 0009
Revises: 0006
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TIME = sa.DateTime(timezone=True)
"""As the tables keep it; SQLite has text."""


def upgrade() -> None:
    """Make the tables; the pipelines that are there get the namespaces of their modules."""
    _tokens()
    _namespaces()
    op.create_table(
        "blob_owners",
        sa.Column("digest", sa.Text(), nullable=False, primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False, primary_key=True),
    )
    _fill()


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False, primary_key=True),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("cookie_hash", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", TIME, nullable=False),
        sa.Column("expires_at", TIME, nullable=True),
        sa.Column("last_used_at", TIME, nullable=True),
        sa.Column("record", sa.Text(), nullable=False),
        sa.UniqueConstraint("secret_hash", name="uq_tokens_secret_hash"),
        sa.UniqueConstraint("cookie_hash", name="uq_tokens_cookie_hash"),
    )
    op.create_index("ix_tokens_created_at_id", "tokens", ["created_at", "id"])


def _namespaces() -> None:
    op.create_table(
        "private_namespaces",
        sa.Column("namespace", sa.Text(), nullable=False, primary_key=True),
        sa.Column("created_at", TIME, nullable=False),
    )
    op.create_table(
        "namespace_members",
        sa.Column(
            "namespace",
            sa.Text(),
            sa.ForeignKey("private_namespaces.namespace", name="fk_namespace_members_namespace", ondelete="CASCADE"),
            nullable=False,
            primary_key=True,
        ),
        sa.Column("owner", sa.Text(), nullable=False, primary_key=True),
    )
    op.create_index("ix_namespace_members_owner_namespace", "namespace_members", ["owner", "namespace"])
    op.create_table(
        "pipeline_namespaces",
        sa.Column(
            "pipeline_id",
            sa.Text(),
            sa.ForeignKey("pipelines.id", name="fk_pipeline_namespaces_pipeline_id", ondelete="CASCADE"),
            nullable=False,
            primary_key=True,
        ),
        sa.Column("namespace", sa.Text(), nullable=False, primary_key=True),
    )
    op.create_index("ix_pipeline_namespaces_namespace", "pipeline_namespaces", ["namespace"])


def _fill() -> None:
    """Write down the namespaces of every pipeline that is there."""
    made = sa.table("pipeline_namespaces", sa.column("pipeline_id", sa.Text()), sa.column("namespace", sa.Text()))
    connection = op.get_bind()
    for pipeline_id, record in connection.execute(sa.text("SELECT id, record FROM pipelines")).all():
        names = {part["ref"].partition("/")[0] for part in json.loads(record)["modules"]}
        rows = [{"pipeline_id": pipeline_id, "namespace": name} for name in sorted(names)]
        if rows:
            connection.execute(sa.insert(made), rows)


def downgrade() -> None:
    """Drop them all; the tokens are lost, and what was private is public."""
    for table in ("blob_owners", "pipeline_namespaces", "namespace_members", "private_namespaces", "tokens"):
        op.drop_table(table)
