"""Pages of lists: where the next one begins, written so that nobody builds on what is inside."""

import base64
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import TypeVar

from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from registry.errors import Fault, InvalidInputError
from registry.moments import in_utc
from registry.records import Page
from storage.transaction import Transaction

Item = TypeVar("Item")
Key = str | int | datetime
Column = InstrumentedAttribute[str] | InstrumentedAttribute[int] | InstrumentedAttribute[datetime]


def write_cursor(order: str, keys: Sequence[Key]) -> str:
    """The cursor after an item with these sort keys."""
    plain = [key.isoformat() if isinstance(key, datetime) else key for key in keys]
    return base64.urlsafe_b64encode(json.dumps([order, *plain]).encode()).decode().rstrip("=")


def read_cursor(cursor: str, order: str, kinds: Sequence[type[Key]]) -> tuple[Key, ...]:
    """Sort keys of a cursor. Raises InvalidInputError unless it was written for this order."""
    try:
        plain = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        return _read_keys(plain, order, kinds)
    except (ValueError, RecursionError) as error:
        detail = f"cursor {cursor[:100]!r} does not belong to this list; leave it out to start from its beginning"
        raise InvalidInputError(detail, faults=[Fault("/cursor", detail, "bad_cursor")]) from error


def beyond(columns: Sequence[Column], keys: Sequence[Key], *, descending: bool) -> ColumnElement[bool]:
    """Whether a row comes after the one with these sort keys."""
    here = tuple_(*columns)
    there = tuple_(*(literal(key, column.type) for key, column in zip(keys, columns, strict=True)))
    return here < there if descending else here > there


def newest_first(
    transaction: Transaction,
    statement: Select[str, datetime, str],
    *,
    order: tuple[InstrumentedAttribute[datetime], InstrumentedAttribute[str]],
    page: tuple[int, str | None],
    read: Callable[[str], Item],
) -> Page[Item]:
    """A page of records, newest first.

    Args:
        transaction: where to read.
        statement: selects record, time and key.
        order: the columns of time and key.
        page: how many items, and the cursor, None for the beginning.
        read: makes the item of a record.
    """
    limit, cursor = page
    if cursor is not None:
        keys = read_cursor(cursor, "newest", (datetime, str))
        statement = statement.where(beyond(order, keys, descending=True))
    rows = transaction.rows(statement.order_by(order[0].desc(), order[1].desc()).limit(limit + 1))
    more = write_cursor("newest", rows[limit - 1][1:]) if len(rows) > limit else None
    return Page(items=tuple(read(record) for record, _, _ in rows[:limit]), next_cursor=more)


def _read_keys(plain: object, order: str, kinds: Sequence[type[Key]]) -> tuple[Key, ...]:
    """Sort keys from what a cursor holds. Raises ValueError unless it was written for this order."""
    if not isinstance(plain, list) or len(plain) != len(kinds) + 1 or plain[0] != order:
        raise ValueError(f"not a cursor for {order!r}")
    return tuple(_read_key(key, kind) for key, kind in zip(plain[1:], kinds, strict=True))


def _read_key(key: object, kind: type[Key]) -> Key:
    """One sort key, as databases take it. Raises ValueError unless it is of its kind."""
    if kind is datetime and isinstance(key, str):
        moment = datetime.fromisoformat(key)
        if moment.tzinfo is not None:
            return in_utc(moment)
    if kind is int and isinstance(key, int) and abs(key) < 2**63:
        return key
    if kind is str and isinstance(key, str) and b"\x00" not in key.encode():  # half characters cannot be encoded
        return key
    raise ValueError(f"{key!r} is not of kind {kind.__name__}")
