"""What the collector remembers: bytes that nothing refers to and since when, and when it looks again.

Revision ID: 0011
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables, empty: the first look has not been yet."""
    op.create_table(
        "unreferred_blobs",
        sa.Column("digest", sa.Text(), nullable=False, primary_key=True),
        sa.Column("since", sa.DateTime(timezone=True), nullable=False),
    )
    op.create_index("ix_unreferred_blobs_since_digest", "unreferred_blobs", ["since", "digest"])
    op.create_table(
        "turns",
        sa.Column("name", sa.Text(), nullable=False, primary_key=True),
        sa.Column("next_at", sa.DateTime(timezone=True), nullable=False),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_table("turns")
    op.drop_index("ix_unreferred_blobs_since_digest", "unreferred_blobs")
    op.drop_table("unreferred_blobs")
