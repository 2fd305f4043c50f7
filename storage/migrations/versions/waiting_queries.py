"""Which running questions wait for which jobs.

A program of the revision before goes on beside it: the questions it opens wait for whoever asks, as all did before, or
for the next time that the service looks after them.

Revision ID: 0013
Revises: 0012
"""

import json

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

JOBS = sa.table("query_jobs", sa.column("query_id", sa.Text()), sa.column("job", sa.BigInteger()))


def upgrade() -> None:
    """Make the table, with the questions that are running."""
    op.create_table(
        "query_jobs",
        _query_id("query_jobs"),
        sa.Column("job", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False, primary_key=True),
    )
    op.create_index("ix_query_jobs_job", "query_jobs", ["job"])
    running = sa.text("SELECT id, record FROM queries WHERE status = 'running'")
    for query_id, record in op.get_bind().execute(running).all():
        op.bulk_insert(JOBS, [{"query_id": query_id, "job": job} for job in json.loads(record)["jobs"]])


def downgrade() -> None:
    """Drop it."""
    op.drop_index("ix_query_jobs_job", "query_jobs")
    op.drop_table("query_jobs")


def _query_id(table: str) -> sa.Column[str]:
    """The question that a row is of, and goes with."""
    question = sa.ForeignKey("queries.id", name=f"fk_{table}_query_id", ondelete="CASCADE")
    return sa.Column("query_id", sa.Text(), question, nullable=False, primary_key=True)
