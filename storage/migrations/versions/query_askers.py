"""Who waits for which running questions.

Who asked those that are running was not kept: any of them may cancel such a question, as before.

Revision ID: 0014
Revises: 0013
"""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the table, empty."""
    question = sa.ForeignKey("queries.id", name="fk_query_askers_query_id", ondelete="CASCADE")
    op.create_table(
        "query_askers",
        sa.Column("query_id", sa.Text(), question, nullable=False, primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False, primary_key=True),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("query_askers")
