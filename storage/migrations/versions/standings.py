"""How modules stand, and what finds the newest of them: the shortlist of a large zoo.

Revision ID: 0006
Revises: 0004
"""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

BY_AGE = ("published_at", "module_id", "version", "role", "digest")


def upgrade() -> None:
    """Make the table, empty: a module gets its standing when it is scored next, as the scorer is another now."""
    op.create_table(
        "module_standings",
        sa.Column("module", sa.Text(), nullable=False, primary_key=True),
        sa.Column("standing", sa.Double(), nullable=False),
        sa.Column("data_count", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
    )
    op.create_index("ix_module_standings_standing_module", "module_standings", ["standing", "module"])
    op.create_index("ix_versions_by_age", "versions", list(BY_AGE))


def downgrade() -> None:
    """Drop both."""
    op.drop_index("ix_versions_by_age", "versions")
    op.drop_table("module_standings")
