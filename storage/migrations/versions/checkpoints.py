"""Where the last checkpoint of a job is.

Revision ID: 0003
Revises: 0002
"""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make room for it."""
    op.add_column("jobs", sa.Column("checkpoint", sa.Text()))


def downgrade() -> None:
    """Forget where they are; their bytes stay, and nothing refers to them."""
    op.drop_column("jobs", "checkpoint")
