"""The first tables.

Revision ID: 0001
Revises:
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make every table."""
    _modules()
    _words()
    _aliases()
    _pipelines()
    _datasets()
    _tasks()
    _jobs()
    _statistics()
    _queries()
    _changes()


def downgrade() -> None:
    """Drop every table, those that refer to others first."""
    for table in (
        *("counters", "changes", "query_data", "queries", "kept_statistics", "jobs", "tasks"),
        *("dataset_owners", "datasets", "pipeline_modules", "pipelines", "alias_moves", "aliases"),
        *("version_words", "versions", "modules"),
    ):
        op.drop_table(table)


def _modules() -> None:
    op.create_table(
        "modules",
        _number("id", key=True),
        _text("namespace"),
        _text("name"),
        _number("last_version"),
        sa.Column("newest", NUMBER),
        sa.UniqueConstraint("namespace", "name"),
    )
    op.create_table(
        "versions",
        _number("id", key=True),
        _number("module_id"),
        _number("version"),
        _text("digest"),
        sa.Column("below", sa.Text()),
        _text("role"),
        _text("takes"),
        _text("gives"),
        sa.Column("data", sa.Text()),
        _text("search_text"),
        _moment("published_at"),
        sa.Column("yanked", sa.Text()),
        _text("record"),
        sa.ForeignKeyConstraint(["module_id"], ["modules.id"]),
        sa.UniqueConstraint("module_id", "version"),
        sa.UniqueConstraint("module_id", "digest"),
    )
    _index("versions", "digest")
    _index("versions", "below")


def _words() -> None:
    op.create_table(
        "version_words",
        _number("version_id", key=True),
        _text("kind", key=True),
        _text("word", key=True),
        sa.ForeignKeyConstraint(["version_id"], ["versions.id"], ondelete="CASCADE"),
    )
    _index("version_words", "kind", "word")


def _aliases() -> None:
    op.create_table(
        "aliases",
        _number("module_id", key=True),
        _text("alias", key=True),
        _number("version"),
        _number("revision"),
        sa.ForeignKeyConstraint(["module_id", "version"], ["versions.module_id", "versions.version"]),
    )
    _index("aliases", "module_id", "version")
    op.create_table(
        "alias_moves",
        _number("module_id", key=True),
        _text("alias", key=True),
        _number("revision", key=True),
        _number("version"),
        _moment("moved_at"),
        sa.ForeignKeyConstraint(["module_id"], ["modules.id"]),
    )


def _pipelines() -> None:
    op.create_table("pipelines", _text("id", key=True), _text("name"), _moment("created_at"), _text("record"))
    _index("pipelines", "created_at", "id")
    _index("pipelines", "name", "created_at")
    op.create_table(
        "pipeline_modules",
        _text("pipeline_id", key=True),
        _number("position", key=True),
        _text("digest"),
        sa.ForeignKeyConstraint(["pipeline_id"], ["pipelines.id"], ondelete="CASCADE"),
    )
    _index("pipeline_modules", "digest")


def _datasets() -> None:
    op.create_table("datasets", _text("digest", key=True), _moment("created_at"), _text("record"))
    _index("datasets", "created_at", "digest")
    op.create_table(
        "dataset_owners",
        _text("dataset", key=True),
        _text("owner", key=True),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.digest"]),
    )
    _index("dataset_owners", "owner")


def _tasks() -> None:
    op.create_table(
        "tasks",
        _text("id", key=True),
        _text("dataset"),
        _moment("created_at"),
        _text("record"),
        sa.ForeignKeyConstraint(["dataset"], ["datasets.digest"], deferrable=True, initially="DEFERRED"),
    )
    _index("tasks", "dataset")
    _index("tasks", "created_at", "id")


def _jobs() -> None:
    op.create_table(
        "jobs",
        _number("id", key=True),
        _text("kind"),
        _text("owner"),
        _text("status"),
        _text("work"),
        _number("attempt"),
        _number("releases"),
        sa.Column("worker", sa.Text()),
        sa.Column("lease_expires_at", MOMENT),
        _text("progress"),
        sa.Column("result", sa.Text()),
        sa.Column("error", sa.Text()),
        _moment("created_at"),
        sa.Column("finished_at", MOMENT),
        sqlite_autoincrement=True,
    )
    _index("jobs", "status", "id")


def _statistics() -> None:
    op.create_table(
        "kept_statistics",
        _text("key", key=True),
        _text("module"),
        _text("data"),
        sa.Column("blob", sa.Text()),
        _text("record"),
    )
    for column in ("module", "data", "blob"):
        _index("kept_statistics", column)


def _queries() -> None:
    op.create_table("queries", _text("id", key=True), _text("status"), _moment("created_at"), _text("record"))
    _index("queries", "status", "created_at", "id")
    op.create_table(
        "query_data",
        _text("query_id", key=True),
        _text("data", key=True),
        sa.ForeignKeyConstraint(["query_id"], ["queries.id"], ondelete="CASCADE"),
    )
    _index("query_data", "data")


def _changes() -> None:
    op.create_table(
        "changes",
        sa.Column("serial", NUMBER, primary_key=True, autoincrement=False),
        _text("kind"),
        _text("ref"),
        _moment("at"),
    )
    op.create_table("counters", _text("name", key=True), _number("last"))


def _text(name: str, *, key: bool = False) -> sa.Column[str]:
    return sa.Column(name, sa.Text(), primary_key=key, nullable=False)


def _number(name: str, *, key: bool = False) -> sa.Column[int]:
    return sa.Column(name, NUMBER, primary_key=key, nullable=False)


def _moment(name: str) -> sa.Column[object]:
    return sa.Column(name, MOMENT, nullable=False)


def _index(table: str, *columns: str) -> None:
    op.create_index(op.f(f"ix_{table}_{'_'.join(columns)}"), table, list(columns))
