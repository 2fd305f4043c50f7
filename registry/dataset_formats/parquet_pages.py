"""What a parquet file says of itself, and what its pages truly unpack to, before pyarrow is given the file.

A footer may say that a column is small while its pages unpack to gigabytes, and one value in a dictionary may
stand for a million rows. Each page begins with a header that names its true size, so these headers are walked.

Source:
    Apache Parquet format, parquet.thrift: FileMetaData, RowGroup, ColumnChunk, PageHeader.
"""

from dataclasses import dataclass
from typing import BinaryIO

from registry.dataset_formats.thrift import Struct, ThriftError, ThriftReader, Value, Wanted
from registry.tensor_file import read_exactly, size_of

FOOTER_LIMIT_BYTES = 16 * 1024 * 1024
HEADER_BYTES = (256, 64 * 1024, 16 * 1024 * 1024)
PAGE_VALUES_LIMIT = 1_000
MAGIC = b"PAR1"

_CONTENT: Wanted = {3: {}, 5: {}, 7: {}, 9: {}, 11: {}}
_CHUNK: Wanted = {1: {}, 3: _CONTENT, 8: {}, 9: {}}
_FOOTER: Wanted = {3: {}, 4: {1: _CHUNK, 3: {}}}
_PAGE: Wanted = {2: {}, 3: {}}
"""Fields of ColumnMetaData, ColumnChunk, FileMetaData with its RowGroups, and PageHeader that are read here."""


class ParquetError(ValueError):
    """A parquet file is damaged, or of a kind that is not read."""


@dataclass(frozen=True, slots=True)
class ColumnPiece:
    """One column of one row group: its path, where its pages are, and how many values they hold."""

    path: str
    start: int
    size_bytes: int
    values: int


@dataclass(frozen=True, slots=True)
class Footer:
    """What the end of a parquet file says: its number of rows, and every piece of every column."""

    rows: int
    pieces: tuple[ColumnPiece, ...]


@dataclass(frozen=True, slots=True)
class PageSizes:
    """What the pages of one column piece unpack to: all together, and the largest."""

    total_bytes: int
    largest_bytes: int


def read_footer(file: BinaryIO) -> Footer:
    """Read the end of a parquet file.

    Raises:
        ParquetError: the footer is missing, too large, damaged, encrypted, or points to other files.
    """
    size = size_of(file)
    if size < 12:
        raise ParquetError(f"it has only {size} bytes")
    file.seek(size - 8)
    tail = read_exactly(file, 8)
    footer_bytes = int.from_bytes(tail[:4], "little")
    if tail[4:] != MAGIC:
        raise ParquetError("it has no footer; it may be cut off, or encrypted")
    if footer_bytes > min(size - 12, FOOTER_LIMIT_BYTES):
        raise ParquetError(f"its footer says it has {footer_bytes:,} bytes")
    file.seek(size - 8 - footer_bytes)
    try:
        content = ThriftReader(read_exactly(file, footer_bytes)).struct(_FOOTER)
    except ThriftError as error:
        raise ParquetError(f"its footer is damaged: {error}") from error
    groups = [_as_struct(group) for group in _list(content, 4)]
    rows = [_integer(group, 3) for group in groups]
    if min(rows, default=0) < 0 or sum(rows) != _integer(content, 3):
        raise ParquetError(f"its footer says {_integer(content, 3)} rows, its groups have {sum(rows)}")
    pieces = tuple(_piece(_as_struct(chunk), size=size) for group in groups for chunk in _list(group, 1))
    return Footer(sum(rows), pieces)


def _piece(chunk: Struct, *, size: int) -> ColumnPiece:
    if 1 in chunk or 8 in chunk or 9 in chunk:
        raise ParquetError("a column is encrypted, or in another file")
    content = _as_struct(chunk.get(3, 0))
    starts = [_integer(content, 9)]
    if isinstance(content.get(11), int) and _integer(content, 11) > 0:
        starts.append(_integer(content, 11))
    path = ".".join(_as_bytes(step).decode("utf-8", "replace") for step in _list(content, 3))
    piece = ColumnPiece(path, min(starts), _integer(content, 7), _integer(content, 5))
    if piece.start < 4 or piece.size_bytes < 0 or piece.values < 0 or piece.start + piece.size_bytes > size:
        raise ParquetError(f"column {path[:60]!r} is said to be outside the file")
    return piece


def measure_pages(file: BinaryIO, piece: ColumnPiece) -> PageSizes:
    """Walk the page headers of one piece of a column. Raises ParquetError when one cannot be read."""
    position, end, pages = piece.start, piece.start + piece.size_bytes, 0
    total = largest = 0
    while position < end:
        pages += 1
        if pages > piece.values + 2:
            raise ParquetError(f"column {piece.path[:60]!r} has more pages than values")
        header, length = _page_header(file, position, end)
        unpacked, stored = _integer(header, 2), _integer(header, 3)
        if unpacked < 0 or stored < 0 or position + length + stored > end:
            raise ParquetError(f"a page of column {piece.path[:60]!r} reaches beyond it")
        position += length + stored
        total, largest = total + unpacked, max(largest, unpacked)
    return PageSizes(total, largest)


def _page_header(file: BinaryIO, position: int, end: int) -> tuple[Struct, int]:
    """The header at a position, and its length; large headers (those with statistics) are read again."""
    told = ""
    for wanted in HEADER_BYTES:
        file.seek(position)
        reader = ThriftReader(file.read(min(wanted, end - position)), values_limit=PAGE_VALUES_LIMIT)
        try:
            return reader.struct(_PAGE), reader.position
        except ThriftError as error:
            told = str(error)
    raise ParquetError(f"the page header at byte {position:,} cannot be read: {told}")


def _integer(fields: Struct, number: int) -> int:
    value = fields.get(number)
    if not isinstance(value, int):
        raise ParquetError(f"field {number} of its description is missing")
    return value


def _list(fields: Struct, number: int) -> list[Value]:
    value = fields.get(number, [])
    if not isinstance(value, list):
        raise ParquetError(f"field {number} of its description is no list")
    return value


def _as_struct(value: Value) -> Struct:
    if not isinstance(value, dict):
        raise ParquetError("its description has something else for a struct")
    return value


def _as_bytes(value: Value) -> bytes:
    if not isinstance(value, bytes):
        raise ParquetError("its description has something else for a text")
    return value
