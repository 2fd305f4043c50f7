"""Tokens in SQL."""

from datetime import datetime

from sqlalchemy import ColumnElement, Row, delete, or_, select, update

from registry.access import TokenRole
from registry.records import Page
from registry.token_records import KeptToken, Token
from storage.cursors import beyond, read_cursor, write_cursor
from storage.tables import TokenRow
from storage.transaction import Transaction

ORDER = "newest"


class SqlTokenRecords:
    """Tokens, found by hashes of their secrets; no secret is here."""

    def __init__(self, transaction: Transaction) -> None:
        """Args: transaction: the one all records of a unit of work share."""
        self._transaction = transaction

    def add(self, kept: KeptToken) -> None:
        """Record a token."""
        token = kept.token
        new = self._transaction.insert(TokenRow).values(
            id=token.id,
            secret_hash=kept.secret_hash,
            cookie_hash=kept.cookie_hash,
            role=token.role,
            created_at=token.created_at,
            expires_at=token.expires_at,
            last_used_at=token.last_used_at,
            record=token.model_dump_json(exclude={"last_used_at"}),
        )
        self._transaction.change(new)

    def get(self, token_id: str) -> Token | None:
        """One token by its id."""
        return self._one(TokenRow.id == token_id)

    def by_secret(self, hashed: str) -> Token | None:
        """The token whose secret has this hash."""
        return self._one(TokenRow.secret_hash == hashed)

    def by_cookie(self, hashed: str) -> Token | None:
        """The token whose cookie has this hash."""
        return self._one(TokenRow.cookie_hash == hashed)

    def list(self, *, limit: int, cursor: str | None) -> Page[Token]:
        """Newest first."""
        wanted = select(TokenRow.record, TokenRow.last_used_at, TokenRow.created_at, TokenRow.id)
        if cursor is not None:
            keys = read_cursor(cursor, ORDER, (datetime, str))
            wanted = wanted.where(beyond((TokenRow.created_at, TokenRow.id), keys, descending=True))
        wanted = wanted.order_by(TokenRow.created_at.desc(), TokenRow.id.desc())
        rows = self._transaction.rows(wanted.limit(limit + 1))
        more = write_cursor(ORDER, rows[limit - 1][2:]) if len(rows) > limit else None
        return Page(items=tuple(_token(record, used) for record, used, _, _ in rows[:limit]), next_cursor=more)

    def remove(self, token_id: str) -> bool:
        """Forget a token; False when it is not there."""
        gone = delete(TokenRow).where(TokenRow.id == token_id)
        return bool(self._transaction.changed(gone.returning(TokenRow.id)))

    def note_use(self, token_id: str, *, at: datetime) -> None:
        """Record when a token was used last."""
        self._transaction.change(update(TokenRow).where(TokenRow.id == token_id).values(last_used_at=at))

    def has_admin(self, *, at: datetime) -> bool:
        """Whether there is a token of the role admin that has not expired."""
        lasting = or_(TokenRow.expires_at.is_(None), TokenRow.expires_at > at)
        admin = select(TokenRow.id).where(TokenRow.role == TokenRole.ADMIN, lasting)
        return self._transaction.first(admin.limit(1)) is not None

    def _one(self, condition: ColumnElement[bool]) -> Token | None:
        row: Row[str, datetime | None] | None = self._transaction.first(
            select(TokenRow.record, TokenRow.last_used_at).where(condition)
        )
        return None if row is None else _token(row[0], row[1])


def _token(record: str, last_used_at: datetime | None) -> Token:
    return Token.model_validate_json(record).model_copy(update={"last_used_at": last_used_at})
