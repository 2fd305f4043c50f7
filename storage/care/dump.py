"""Rows as lines of JSON: the same for every database, so that what was written from one can be read into another."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

from sqlalchemy import Column, Connection, Integer, Table, func, insert, select, text
from sqlalchemy.orm import Session

from registry.errors import StorageError
from registry.frozen import Frozen
from storage.translation import disk_translated

ROWS_AT_ONCE = 500
TIME = "$time"
"""The one key of the object that stands for a moment; everything else in a row is text, a number or null."""

Value = str | int | float | None | datetime


class TableFile(Frozen):
    """The file of one table's rows: how many, and the digest of the file."""

    table: str
    file: str
    rows: int
    digest: str


def write_table(session: Session, table: Table, file: Path) -> TableFile:
    """Write every row of a table as a line, in the order of its keys. Raises StorageFullError, StorageError."""
    found, rows = hashlib.sha256(), 0
    ordered = select(table).order_by(*table.primary_key.columns).execution_options(yield_per=ROWS_AT_ONCE)
    with disk_translated(f"the folder {file.parent}"), file.open("wb") as out:
        for row in session.execute(ordered).mappings():
            line = json.dumps({name: _written(value) for name, value in row.items()}, allow_nan=False) + "\n"
            out.write(line.encode())
            found.update(line.encode())
            rows += 1
    return TableFile(table=table.name, file=file.name, rows=rows, digest="sha256:" + found.hexdigest())


def check_table(told: TableFile, folder: Path) -> None:
    """Raises StorageError unless the file of a table is what was written."""
    with disk_translated(f"the folder {folder}"), (folder / told.file).open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if f"sha256:{found}" != told.digest:
        raise StorageError(f"{folder / told.file} is damaged, it now has sha256:{found}; use another backup")


def read_table(connection: Connection, table: Table, told: TableFile, folder: Path) -> None:
    """Insert every row of a file. Raises StorageError where a row is none."""
    with disk_translated(f"the folder {folder}"), (folder / told.file).open() as lines:
        rows = (_row(line, table, folder / told.file) for line in lines)
        while some := list(islice(rows, ROWS_AT_ONCE)):
            connection.execute(insert(table), some)
    _go_on_counting(connection, table)


def _row(line: str, table: Table, file: Path) -> dict[str, Value]:
    try:
        row = {name: _read(value) for name, value in json.loads(line).items()}
    except (ValueError, AttributeError) as error:
        raise StorageError(f"{file} holds a line that is no row ({error}); use another backup") from error
    if row.keys() != set(table.columns.keys()):
        raise StorageError(f"{file} holds a row that is none of the table {table.name}; use another backup")
    return row


def _written(value: Value) -> Value | dict[str, str]:
    if not isinstance(value, datetime):
        return value
    return {TIME: (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(UTC).isoformat()}


def _read(value: Value | dict[str, str]) -> Value:
    return datetime.fromisoformat(value[TIME]) if isinstance(value, dict) else value


def _go_on_counting(connection: Connection, table: Table) -> None:
    """Have PostgreSQL number the next row after those that were inserted with their numbers; SQLite does so itself."""
    keys: Sequence[Column[int]] = [key for key in table.primary_key.columns if isinstance(key.type, Integer)]
    if connection.dialect.name != "postgresql" or len(keys) != 1 or len(table.primary_key.columns) != 1:
        return
    sequence = connection.scalar(text("SELECT pg_get_serial_sequence(:table, :key)"), _named(table, keys[0]))
    highest = connection.scalar(select(func.max(keys[0])))
    if sequence is not None and highest is not None:
        connection.execute(text("SELECT setval(:sequence, :highest)"), {"sequence": sequence, "highest": highest})


def _named(table: Table, key: Column[int]) -> dict[str, str]:
    return {"table": table.name, "key": key.name}


def lines_of(file: Path) -> Iterator[str]:
    """The lines of a text file, without their ends."""
    with disk_translated(f"the folder {file.parent}"), file.open() as lines:
        yield from (line.rstrip("\n") for line in lines)
