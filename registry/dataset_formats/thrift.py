"""Reads Thrift's compact protocol, in which parquet files describe themselves, within bounds.

pyarrow's own access to this description ends the process for some damaged files, so what must be known before
a file is handed to pyarrow is read here. Only fields that are asked for are kept; the others are passed over, for a
description of a few megabytes may hold millions of them.

Source:
    Apache Thrift, doc/specs/thrift-compact-protocol.md.
"""

from collections.abc import Mapping
from typing import TypeAlias

DEPTH_LIMIT = 12
VALUES_LIMIT = 2_000_000
KEPT_LIMIT = 500_000
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)

Value: TypeAlias = "int | bytes | list[Value] | Struct"
Struct: TypeAlias = "dict[int, Value]"
Wanted: TypeAlias = "Mapping[int, Wanted]"
"""Numbers of the fields to keep of a struct and, where these hold structs themselves, what to keep of them."""


class ThriftError(ValueError):
    """Bytes are not a struct of the compact protocol, or one that is over a bound."""


class ThriftReader:
    """Reads structs from bytes. ``position`` is where the next value begins; beyond the data it is ThriftError.

    Args:
        data: the bytes.
        values_limit: most values of all structs and lists together, kept or not.
    """

    def __init__(self, data: bytes, *, values_limit: int = VALUES_LIMIT) -> None:
        """Begin at the first byte."""
        self._data, self._values_limit = data, values_limit
        self._values = self._kept = 0
        self.position = 0

    def struct(self, wanted: Wanted, *, depth: int = 0) -> Struct:
        """The struct that begins here: the values of its wanted fields, by field number."""
        if depth > DEPTH_LIMIT:
            raise ThriftError("it is nested too deeply")
        found: Struct = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._integer()
            value = self._field(kind & 15, wanted.get(number), depth=depth)
            if number in wanted:
                found[number] = value
        return found

    def _field(self, kind: int, wanted: "Wanted | None", *, depth: int) -> Value:
        """A field's value; a truth value has no byte of its own, its kind tells it."""
        if kind in (_TRUE, _FALSE):
            self._count(wanted)
            return int(kind == _TRUE)
        return self._value(kind, wanted, depth=depth)

    def _count(self, wanted: "Wanted | None") -> None:
        self._values += 1
        if self._values > self._values_limit:
            raise ThriftError(f"it has more than {self._values_limit:,} values")
        self._kept += wanted is not None
        if self._kept > KEPT_LIMIT:
            raise ThriftError(f"it has more than {KEPT_LIMIT:,} values that matter")

    def _value(self, kind: int, wanted: "Wanted | None", *, depth: int) -> Value:
        """The value that begins here; of structs and lists that are not wanted, nothing is kept."""
        self._count(wanted)
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind == _STRUCT:
            return self.struct(wanted or {}, depth=depth + 1)
        if kind in (_LIST, _SET):
            return self._list(wanted, depth=depth + 1)
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ThriftError(f"it has a value of unknown kind {kind}")

    def _list(self, wanted: "Wanted | None", *, depth: int) -> list[Value]:
        if depth > DEPTH_LIMIT:
            raise ThriftError("it is nested too deeply")
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()
        values = (self._value(head & 15, wanted, depth=depth) for _ in range(count))
        return [value for value in values if wanted is not None]

    def _byte(self) -> int:
        if self.position >= len(self._data):
            raise ThriftError("it ends early")
        self.position += 1
        return self._data[self.position - 1]

    def _bytes(self, count: int) -> bytes:
        if self.position + count > len(self._data):
            raise ThriftError("it ends early")
        self.position += count
        return self._data[self.position - count : self.position]

    def _unsigned(self) -> int:
        value = shift = 0
        while shift < 70:
            byte = self._byte()
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7
        raise ThriftError("a number is too long")

    def _integer(self) -> int:
        value = self._unsigned()
        return (value >> 1) ^ -(value & 1)
