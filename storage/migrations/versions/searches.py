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
    "role": ["role", "published_at", "module_id"],
    "module": ["module_id"],
    "id": ["id", "published_at", "module_id", "version", "role", "takes", "gives"],
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
MARK_WORDS = """
    UPDATE version_words SET superseded = true WHERE version_id IN (SELECT id FROM versions WHERE superseded)
"""
MAKE_GRAMS = """
    CREATE FUNCTION zoo_grams(whole text) RETURNS text[] LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
        SELECT coalesce(array_agg(DISTINCT gram), '{}') FROM (
            SELECT letter || lead(letter, 1) OVER places AS two,
                   letter || lead(letter, 1) OVER places || lead(letter, 2) OVER places AS three
            FROM unnest(string_to_array(whole, NULL)) WITH ORDINALITY AS letters (letter, place)
            WINDOW places AS (ORDER BY place)
        ) AS parts, unnest(ARRAY[two, three]) AS grams (gram) WHERE gram IS NOT NULL
    $$
"""
INDEX_GRAMS = """
    CREATE INDEX ix_versions_shown_grams ON versions USING gin (zoo_grams(search_text)) WHERE NOT superseded
"""


def upgrade() -> None:
    """Mark the versions that searches do not show, and index the others; names sort the same on every database."""
    for table, mark in (("versions", MARK), ("version_words", MARK_WORDS)):
        op.add_column(table, sa.Column("superseded", sa.Boolean(), nullable=False, server_default=sa.false()))
        op.execute(mark)
    for name, columns in INDEXES.items():
        _index_shown(name, "versions", columns)
    _index_shown("words", "version_words", ["kind", "word", "version_id"])
    op.create_index("ix_jobs_work", "jobs", ["work"], postgresql_using="hash")
    if _is_postgres():
        op.execute(MAKE_GRAMS)
        op.execute(INDEX_GRAMS)
        _sort_names('COLLATE "C"')


def downgrade() -> None:
    """Drop the column and what was built on it."""
    if _is_postgres():
        op.execute("DROP INDEX ix_versions_shown_grams")
        op.execute("DROP FUNCTION zoo_grams(text)")
        _sort_names('COLLATE "default"')
    op.drop_index("ix_jobs_work", "jobs")
    for name in INDEXES:
        op.drop_index(f"ix_versions_shown_{name}", "versions")
    op.drop_index("ix_versions_shown_words", "version_words")
    for table in ("version_words", "versions"):
        op.drop_column(table, "superseded")


def _index_shown(name: str, table: str, columns: list[str]) -> None:
    op.create_index(
        f"ix_versions_shown_{name}",
        table,
        columns,
        postgresql_where=sa.text("NOT superseded"),
        sqlite_where=sa.text("superseded = 0"),
    )


def _sort_names(collation: str) -> None:
    for name in NAMES:
        op.execute(f"ALTER TABLE modules ALTER COLUMN {name} TYPE text {collation}")


def _is_postgres() -> bool:
    return op.get_bind().dialect.name == "postgresql"
