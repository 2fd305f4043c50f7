"""Indexes for what is asked often: the changes of one namespace, the jobs of one owner; and one less that none used.

Revision ID: 0015
Revises: 0014
"""

from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make two indexes, and drop one that only slowed publishing down."""
    op.create_index("ix_audit_namespace_serial", "audit", ["namespace", "serial"])
    op.create_index("ix_jobs_owner_id", "jobs", ["owner", "id"])
    op.drop_index("ix_version_words_kind_word", "version_words")


def downgrade() -> None:
    """The other way round."""
    op.create_index("ix_version_words_kind_word", "version_words", ["kind", "word"])
    op.drop_index("ix_jobs_owner_id", "jobs")
    op.drop_index("ix_audit_namespace_serial", "audit")
