"""Uploads that may break off and go on.

Revision ID: 0008
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "uploads",
        sa.Column("id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("received", NUMBER, nullable=False),
        sa.Column("length", NUMBER),
        sa.Column("said", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        sa.Column("expires_at", MOMENT, nullable=False),
        sa.Column("lease", sa.Text()),
        sa.Column("lease_expires_at", MOMENT),
        sa.Column("digest", sa.Text()),
    )
    op.create_table(
        "upload_pieces",
        sa.Column("upload_id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("start", NUMBER, primary_key=True, nullable=False, autoincrement=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", NUMBER, nullable=False),
        sa.ForeignKeyConstraint(["upload_id"], ["uploads.id"], ondelete="CASCADE"),
    )
    for table, column in (("uploads", "expires_at"), ("uploads", "digest"), ("upload_pieces", "digest")):
        op.create_index(op.f(f"ix_{table}_{column}"), table, [column])


def downgrade() -> None:
    """Forget the uploads; their bytes stay, and nothing refers to them."""
    op.drop_table("upload_pieces")
    op.drop_table("uploads")
