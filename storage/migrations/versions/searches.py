"""What makes searches and publishing independent of how many versions there are.

A program of the revision before goes on beside it: versions it adds are not superseded, and those it should have marked
are marked when their module changes next; what is found is decided by `newest` as before.

Revision ID: 0007
Revises: 0006
"""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INDEXES = {
    "by_age": ["published_at", "module_id"],
    "module": ["module_id"],
    "takes": ["takes", "published_at", "module_id"],
    "gives": ["gives", "published_at", "module_id"],
    "data": ["data"],
}
NAMES = ("namespace", "name")
MARK = """
    UPDATE versions SET superseded = true WHERE NOT EXISTS (
        SELECT 1 FROM modules WHERE modules.id = versions.module_id AND modules.newest = versions.version
    )
"""
MAKE_TRIGRAMS = """
    CREATE FUNCTION zoo_trigrams(whole text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT coalesce(array_agg(DISTINCT three), '{}') FROM (
            SELECT letter || lead(letter, 1) OVER places || lead(letter, 2) OVER places AS three
            FROM unnest(string_to_array(whole, NULL)) WITH ORDINALITY AS letters (letter, place)
            WINDOW places AS (ORDER BY place)
        ) AS threes WHERE three IS NOT NULL
    $$
"""
INDEX_TRIGRAMS = """
    CREATE INDEX ix_versions_shown_trigrams ON versions USING gin (zoo_trigrams(search_text)) WHERE NOT superseded
"""


def upgrade() -> None:
    """Mark the versions that searches do not show, and index the others; names sort the same on every database."""
    op.add_column("versions", sa.Column("superseded", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(MARK)
    for name, columns in INDEXES.items():
        op.create_index(
            f"ix_versions_shown_{name}",
            "versions",
            columns,
            postgresql_where=sa.text("NOT superseded"),
            sqlite_where=sa.text("superseded = 0"),
        )
    op.create_index("ix_jobs_work", "jobs", ["work"], postgresql_using="hash")
    if _is_postgres():
        op.execute(MAKE_TRIGRAMS)
        op.execute(INDEX_TRIGRAMS)
        _sort_names('COLLATE "C"')


def downgrade() -> None:
    """Drop the column and what was built on it."""
    if _is_postgres():
        op.execute("DROP INDEX ix_versions_shown_trigrams")
        op.execute("DROP FUNCTION zoo_trigrams(text)")
        _sort_names('COLLATE "default"')
    op.drop_index("ix_jobs_work", "jobs")
    for name in INDEXES:
        op.drop_index(f"ix_versions_shown_{name}", "versions")
    op.drop_column("versions", "superseded")


def _sort_names(collation: str) -> None:
    for name in NAMES:
        op.execute(f"ALTER TABLE modules ALTER COLUMN {name} TYPE text {collation}")


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"
