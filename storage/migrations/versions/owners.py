"""Who made a task, who asked a query, who told an outcome; and the namespaces of a query's candidates.

What was there is everybody's who holds its datasets, as it was before. A program of the revision before goes on beside
it, but what is made and asked with it is to be made and asked again, and it can keep no outcomes.

Revision ID: 0014
Revises: 0013
"""

import json
from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 500
NAMESPACES = sa.table("query_namespaces", sa.column("query_id", sa.Text()), sa.column("namespace", sa.Text()))
OUTCOME = ("module", "metric", "how")


def upgrade() -> None:
    """Make the tables, and give what is there to all owners of its datasets."""
    _claims("task_owners", "task_id", "tasks.id")
    _claims("query_askers", "query_id", "queries.id", sa.Column("state", sa.Text(), nullable=False))
    _namespaces()
    op.execute(
        "INSERT INTO task_owners (task_id, owner) SELECT tasks.id, dataset_owners.owner "
        "FROM tasks JOIN dataset_owners ON dataset_owners.dataset = tasks.dataset"
    )
    op.execute(
        "INSERT INTO query_askers (query_id, owner, state) SELECT asked.query_id, held.owner, "
        "(SELECT CASE status WHEN 'running' THEN 'waiting' ELSE 'asked' END FROM queries WHERE id = asked.query_id) "
        "FROM query_data AS asked JOIN dataset_owners AS held ON held.dataset = asked.data "
        "GROUP BY asked.query_id, held.owner "
        "HAVING count(*) = (SELECT count(*) FROM query_data AS every WHERE every.query_id = asked.query_id)"
    )
    op.execute("CREATE TABLE outcomes_before AS SELECT * FROM outcomes")
    asker = sa.ForeignKeyConstraint(
        ["query_id", "owner"], ["query_askers.query_id", "query_askers.owner"], ondelete="CASCADE"
    )
    _outcomes("query_id", "owner", goes_with=asker)
    op.create_index("ix_outcomes_owner_metric_how", "outcomes", ["owner", "metric", "how"])
    op.execute(
        "INSERT INTO outcomes (query_id, owner, module, metric, how, record) "
        "SELECT told.query_id, query_askers.owner, told.module, told.metric, told.how, told.record "
        "FROM outcomes_before AS told JOIN query_askers ON query_askers.query_id = told.query_id"
    )
    op.drop_table("outcomes_before")


def downgrade() -> None:
    """Go back to outcomes that are everybody's: the last one told stands."""
    last: dict[Sequence[str], tuple[str, str]] = {}
    told = sa.text("SELECT query_id, module, metric, how, record FROM outcomes ORDER BY owner")
    for *key, record in op.get_bind().execute(told).all():
        at = str(json.loads(record)["posted_at"])
        last[tuple(key)] = max(last.get(tuple(key), ("", "")), (at, record))
    _outcomes("query_id", goes_with=sa.ForeignKeyConstraint(["query_id"], ["queries.id"], ondelete="CASCADE"))
    op.create_index("ix_outcomes_metric_how", "outcomes", ["metric", "how"])
    names = ("query_id", *OUTCOME, "record")
    table = sa.table("outcomes", *(sa.column(name, sa.Text()) for name in names))
    op.bulk_insert(table, [dict(zip(names, (*key, record), strict=True)) for key, (_, record) in last.items()])
    for made in ("query_namespaces", "query_askers", "task_owners"):
        op.drop_table(made)


def _claims(table: str, key: str, of: str, *more: sa.Column[str]) -> None:
    """Make a table of owners of something."""
    op.create_table(
        table,
        sa.Column(key, sa.Text(), sa.ForeignKey(of, ondelete="CASCADE"), nullable=False, primary_key=True),
        sa.Column("owner", sa.Text(), nullable=False, primary_key=True),
        *more,
    )
    op.create_index(f"ix_{table}_owner", table, ["owner"])


def _namespaces() -> None:
    """Make the table, and write down what every query says."""
    op.create_table(
        "query_namespaces",
        sa.Column("query_id", sa.Text(), sa.ForeignKey("queries.id", ondelete="CASCADE"), primary_key=True),
        sa.Column("namespace", sa.Text(), nullable=False, primary_key=True),
    )
    connection, last = op.get_bind(), ""
    some = sa.text(f"SELECT id, record FROM queries WHERE id > :last ORDER BY id LIMIT {ROWS_AT_ONCE}")
    while found := connection.execute(some, {"last": last}).all():
        last = found[-1].id
        rows = [{"query_id": key, "namespace": name} for key, record in found for name in _named(record)]
        op.bulk_insert(NAMESPACES, rows)


def _named(record: str) -> list[str]:
    """The namespaces that a query's record names."""
    return sorted(set(json.loads(record).get("namespaces", ())))


def _outcomes(*of: str, goes_with: sa.ForeignKeyConstraint) -> None:
    """Make the table of outcomes anew, empty, with another key."""
    op.drop_table("outcomes")
    op.create_table(
        "outcomes",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in (*of, *OUTCOME)),
        sa.Column("record", sa.Text(), nullable=False),
        goes_with,
    )
