"""What modules reached on the tasks of queries.

Revision ID: 0004
Revises: 0003
"""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

KEY = ("query_id", "module", "metric", "how")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "outcomes",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in KEY),
        sa.Column("record", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], ondelete="CASCADE"),
    )
    op.create_index(op.f("ix_outcomes_metric_how"), "outcomes", ["metric", "how"])


def downgrade() -> None:
    """Forget the outcomes."""
    op.drop_table("outcomes")
