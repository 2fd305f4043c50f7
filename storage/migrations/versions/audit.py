"""One append-only audit in place of the changes; answers kept under a request's key; what aliases pointed at; webhooks.

Revision ID: 0010
Revises: 0006
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

ROWS_AT_ONCE = 500
NUMBER = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
MOMENT = sa.DateTime(timezone=True)
STAFF = "zoo"
LOST = "lost"

CHANGES = sa.table("changes", sa.column("serial", NUMBER), sa.column("kind"), sa.column("ref"), sa.column("at", MOMENT))
COUNTERS = sa.table("counters", sa.column("name"), sa.column("last", NUMBER))
AUDIT = sa.table(
    "audit",
    sa.column("serial", NUMBER),
    *(sa.column(name) for name in ("kind", "ref", "namespace", "actor", "request", "detail")),
    sa.column("at", MOMENT),
    sa.column("public", sa.Boolean()),
    sa.column("hash"),
)
Values = dict[str, str | int | bool | datetime | None]


def upgrade() -> None:
    """Make the tables, and carry over what has happened so far; who did it was not kept then."""
    _audit()
    _request_keys()
    _webhooks()
    op.add_column("alias_moves", sa.Column("digest", sa.Text()))
    op.execute(
        "UPDATE alias_moves SET digest = (SELECT versions.digest FROM versions "
        "WHERE versions.module_id = alias_moves.module_id AND versions.version = alias_moves.version)"
    )
    entries = _entries()
    while some := list(islice(entries, ROWS_AT_ONCE)):
        op.bulk_insert(AUDIT, some)
    op.drop_table("changes")
    _guard()


def downgrade() -> None:
    """Go back to the public changes alone."""
    op.create_table(
        "changes",
        sa.Column("serial", NUMBER, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("ref", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
    )
    public = sa.select(AUDIT.c.serial, AUDIT.c.kind, AUDIT.c.ref, AUDIT.c.at).where(
        AUDIT.c.public, AUDIT.c.kind != "unalias"
    )
    op.execute(sa.insert(CHANGES).from_select(["serial", "kind", "ref", "at"], public))
    op.execute("DELETE FROM alias_moves WHERE version = 0")
    op.drop_column("alias_moves", "digest")
    for table in ("request_keys", "webhook_deliveries", "webhooks"):
        op.drop_table(table)
    op.drop_table("audit")
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION audit_is_only_added_to()")


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("serial", NUMBER, primary_key=True, autoincrement=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("kind", "ref")),
        sa.Column("namespace", sa.Text()),
        sa.Column("actor", sa.Text(), nullable=False),
        sa.Column("request", sa.Text()),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("public", sa.Boolean(), nullable=False),
        sa.Column("hash", sa.Text(), nullable=False),
    )
    op.create_index("ix_audit_public_serial", "audit", ["public", "serial"])
    op.create_index("ix_audit_ref_serial", "audit", ["ref", "serial"])


def _request_keys() -> None:
    op.create_table(
        "request_keys",
        *(sa.Column(name, sa.Text(), primary_key=True, nullable=False) for name in ("owner", "key")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("fingerprint", "answer")),
        sa.Column("created", sa.Boolean(), nullable=False),
        sa.Column("about", sa.Text()),
        sa.Column("at", MOMENT, nullable=False),
    )
    op.create_index("ix_request_keys_about", "request_keys", ["about"])
    op.create_index("ix_request_keys_at", "request_keys", ["at"])


def _webhooks() -> None:
    op.create_table(
        "webhooks",
        sa.Column("id", sa.Text(), primary_key=True, nullable=False),
        sa.Column("owner", sa.Text(), nullable=False),
        sa.Column("created_at", MOMENT, nullable=False),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("secret", "record")),
        *(sa.Column(name, NUMBER, nullable=False) for name in ("serial", "failures")),
        sa.Column("failing_since", MOMENT),
        sa.Column("next_at", MOMENT, nullable=False),
        *(sa.Column(name, sa.Text()) for name in ("disabled", "holder")),
        sa.Column("held_until", MOMENT),
    )
    op.create_index("ix_webhooks_owner_created_at", "webhooks", ["owner", "created_at"])
    op.create_table(
        "webhook_deliveries",
        sa.Column("id", NUMBER, primary_key=True, nullable=False),
        sa.Column("webhook", sa.Text(), nullable=False),
        sa.Column("at", MOMENT, nullable=False),
        sa.Column("serial", NUMBER, nullable=False),
        sa.Column("record", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["webhook"], ["webhooks.id"], ondelete="CASCADE"),
    )
    op.create_index("ix_webhook_deliveries_webhook_at", "webhook_deliveries", ["webhook", "at"])


def _guard() -> None:
    """Have the database refuse to alter or remove an entry, whoever asks."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            "CREATE FUNCTION audit_is_only_added_to() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE EXCEPTION 'the audit is only added to'; END $$"
        )
        op.execute(
            "CREATE TRIGGER audit_only_added_to BEFORE UPDATE OR DELETE OR TRUNCATE ON audit "
            "FOR EACH STATEMENT EXECUTE FUNCTION audit_is_only_added_to()"
        )
        return
    op.execute(
        "CREATE TRIGGER audit_refuses_replacement BEFORE INSERT ON audit "
        "WHEN EXISTS (SELECT 1 FROM audit WHERE serial = NEW.serial) "
        "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END"
    )
    for what in ("UPDATE", "DELETE"):
        op.execute(
            f"CREATE TRIGGER audit_refuses_{what.lower()} BEFORE {what} ON audit "
            "BEGIN SELECT RAISE(ABORT, 'the audit is only added to'); END"
        )


def _entries() -> Iterator[Values]:
    """An entry for every serial that was given, chained: of its change, or, where going back kept none, of that."""
    hashed, serial, at = "", 0, datetime.now(UTC)
    for change in _changes():
        for given in range(serial + 1, change.serial + 1):
            at = _aware(change.at)
            public = given == change.serial
            kind, ref = (change.kind, change.ref) if public else (LOST, "audit")
            entry = _entry(hashed, given, kind=kind, ref=ref, at=at, public=public)
            yield entry
            hashed, serial = str(entry["hash"]), given
    last = op.get_bind().scalar(sa.select(COUNTERS.c.last).where(COUNTERS.c.name == "changes")) or 0
    for given in range(serial + 1, last + 1):
        entry = _entry(hashed, given, kind=LOST, ref="audit", at=at, public=False)
        yield entry
        hashed = str(entry["hash"])


def _changes() -> Iterator[sa.Row[tuple[int, str, str, datetime]]]:
    """All changes in their order; some are read at a time."""
    last, ordered = 0, sa.select(CHANGES).order_by(CHANGES.c.serial).limit(ROWS_AT_ONCE)
    while rows := op.get_bind().execute(ordered.where(CHANGES.c.serial > last)).all():
        yield from rows
        last = rows[-1].serial


def _aware(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def _entry(before: str, serial: int, *, kind: str, ref: str, at: datetime, public: bool) -> Values:
    """An entry, with the hash that the program of this revision computes."""
    said = [before, serial, kind, ref, STAFF, None, "", at.isoformat(timespec="microseconds")]
    return {
        "serial": serial,
        "kind": kind,
        "ref": ref,
        "namespace": ref.partition("/")[0] if public else None,
        "actor": STAFF,
        "request": None,
        "detail": "",
        "at": at,
        "public": public,
        "hash": hashlib.sha256(json.dumps(said, separators=(",", ":")).encode()).hexdigest(),
    }
