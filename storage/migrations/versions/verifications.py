"""What workers found of modules; those that are published already are to be looked at.

Revision ID: 0002
Revises: 0001
"""

import json
from collections.abc import Iterator
from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 500
VERSIONS = sa.table("versions", sa.column("digest", sa.Text()))
JOBS = sa.table(
    "jobs",
    *(sa.column(name, sa.Text()) for name in ("kind", "owner", "status", "work", "progress")),
    *(sa.column(name, sa.BigInteger()) for name in ("attempt", "releases")),
    sa.column("created_at", sa.DateTime(timezone=True)),
)


def upgrade() -> None:
    """Make the table, and queue a look at everything that is published."""
    op.create_table(
        "verifications",
        *(sa.Column(name, sa.Text(), nullable=False, primary_key=name == "digest") for name in _COLUMNS),
    )
    for jobs in _looks():
        op.bulk_insert(JOBS, jobs)


def downgrade() -> None:
    """Drop the table, and the looks at modules, which the program before this did not know."""
    op.drop_table("verifications")
    op.execute(sa.delete(JOBS).where(JOBS.c.kind == "verify"))


_COLUMNS = ("digest", "state", "record")


def _looks() -> Iterator[list[dict[str, str | int | datetime]]]:
    """A job for each of the published files, some at a time."""
    found = op.get_bind().execute(sa.select(VERSIONS.c.digest).distinct().order_by(VERSIONS.c.digest))
    digests = [str(digest) for (digest,) in found]
    for start in range(0, len(digests), ROWS_AT_ONCE):
        yield [_look(digest) for digest in digests[start : start + ROWS_AT_ONCE]]


def _look(digest: str) -> dict[str, str | int | datetime]:
    return {
        "kind": "verify",
        "owner": "zoo",
        "status": "queued",
        "work": json.dumps({"kind": "verify", "module": digest}, separators=(",", ":")),
        "progress": "{}",
        "attempt": 0,
        "releases": 0,
        "created_at": datetime.now(UTC),
    }
