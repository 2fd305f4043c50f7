"""Versions are found by whether they are verified as by anything else, however many there are.

A program of the revision before goes on beside it, but searches by `verified` miss what it verifies until
`zoo doctor --repair` has looked at it.

Revision ID: 0016
Revises: 0015
"""

import sqlalchemy as sa
from alembic import op

revision = "0016"
down_revision = "0015"
branch_labels = None
depends_on = None

INDEX = "ix_versions_shown_verified"
MARK = """
    UPDATE versions SET verified = true WHERE digest IN (SELECT digest FROM verifications WHERE state = 'verified')
"""


def upgrade() -> None:
    """Mark the versions that workers have verified, and index those that searches show."""
    op.add_column("versions", sa.Column("verified", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.execute(MARK)
    op.create_index(
        INDEX,
        "versions",
        ["verified", "published_at", "module_id"],
        postgresql_where=sa.text("NOT superseded"),
        sqlite_where=sa.text("superseded = 0"),
    )


def downgrade() -> None:
    """Drop both."""
    op.drop_index(INDEX, "versions")
    op.drop_column("versions", "verified")
