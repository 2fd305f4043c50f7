"""Which request asked for a job.

Revision ID: 0012
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for it."""
    op.add_column("jobs", sa.Column("origin", sa.Text()))


def downgrade() -> None:
    """Forget it."""
    op.drop_column("jobs", "origin")
