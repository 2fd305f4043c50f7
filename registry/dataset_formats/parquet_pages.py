"""The pages of a parquet column, measured before anything is unpacked.

A footer may say that a column is small while its pages unpack to gigabytes, and one value in a dictionary may
stand for a million rows. Each page begins with a header that names its true size, so these headers are walked
first: only the first three fields matter, the rest is stepped over.

Source:
    Apache Parquet format (parquet.thrift, PageHeader), Apache Thrift compact protocol.
"""

from dataclasses import dataclass
from typing import BinaryIO

HEADER_BYTES = (256, 64 * 1024, 16 * 1024 * 1024)
DEPTH_LIMIT = 8
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _STRUCT = 1, 2, 3, 7, 8, 12
_INTEGERS = (4, 5, 6)


class PageError(ValueError):
    """A page header cannot be read."""


@dataclass(frozen=True, slots=True)
class PageSizes:
    """What the pages of one column unpack to: all together, and the largest."""

    total_bytes: int
    largest_bytes: int


def measure_pages(file: BinaryIO, *, start: int, size_bytes: int, page_limit: int) -> PageSizes:
    """Walk the page headers of one column chunk.

    Args:
        file: seekable.
        start: where the chunk's first page begins.
        size_bytes: size of the chunk as it is stored.
        page_limit: most pages that are walked.

    Raises:
        PageError: a header cannot be read, reaches beyond the chunk, or there are too many pages.
    """
    position, end, pages = start, start + size_bytes, 0
    total = largest = 0
    while position < end:
        pages += 1
        if pages > page_limit:
            raise PageError(f"a column has more than {page_limit:,} pages")
        fields, length = _page_header(file, position, end)
        unpacked, stored = fields.get(2, -1), fields.get(3, -1)
        if unpacked < 0 or stored < 0 or position + length + stored > end:
            raise PageError("a page reaches beyond its column")
        position += length + stored
        total, largest = total + unpacked, max(largest, unpacked)
    return PageSizes(total, largest)


def _page_header(file: BinaryIO, position: int, end: int) -> tuple[dict[int, int], int]:
    """Integer fields of the header at a position, and its length; large headers (statistics) are read again."""
    for wanted in HEADER_BYTES:
        file.seek(position)
        data = file.read(min(wanted, end - position))
        reader = _Compact(data)
        try:
            return reader.integer_fields(), reader.position
        except IndexError:
            continue
    raise PageError(f"the page header at byte {position:,} cannot be read")


class _Compact:
    """Reads structs of Thrift's compact protocol; beyond its data it raises IndexError."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.position = 0

    def integer_fields(self) -> dict[int, int]:
        """The integer fields of the struct that begins here, by field number; others are stepped over."""
        found: dict[int, int] = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._signed()
            if kind & 15 in _INTEGERS:
                found[number] = self._signed()
            else:
                self._skip(kind & 15, depth=1)
        return found

    def _byte(self) -> int:
        value = self.data[self.position]
        self.position += 1
        return value

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise PageError("a number in a page header is too long")

    def _signed(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)

    def _skip(self, kind: int, *, depth: int) -> None:
        if depth > DEPTH_LIMIT:
            raise PageError("a page header is nested too deeply")
        if kind in _INTEGERS:
            self._unsigned()
        elif kind in (_BYTE, _DOUBLE):
            self.position += 1 if kind == _BYTE else 8
        elif kind == _BINARY:
            length = self._unsigned()
            self.position += length
        elif kind == _STRUCT:
            self._skip_struct(depth=depth)
        elif kind not in (_TRUE, _FALSE):
            raise PageError(f"a page header has a field of kind {kind}")

    def _skip_struct(self, *, depth: int) -> None:
        while kind := self._byte():
            if not kind >> 4:
                self._signed()
            self._skip(kind & 15, depth=depth + 1)
