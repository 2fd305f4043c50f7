"""Reads Thrift's compact protocol, in which parquet files describe themselves, within bounds.

pyarrow's own access to this description ends the process for some damaged files, so what must be known before
a file is handed to pyarrow is read here.

Source:
    Apache Thrift, doc/specs/thrift-compact-protocol.md.
"""

from typing import TypeAlias

DEPTH_LIMIT = 12
VALUES_LIMIT = 2_000_000
_TRUE, _FALSE, _BYTE, _DOUBLE, _BINARY, _LIST, _SET, _STRUCT = 1, 2, 3, 7, 8, 9, 10, 12
_INTEGERS = (4, 5, 6)

Value: TypeAlias = "int | bytes | list[Value] | Struct"
Struct: TypeAlias = "dict[int, Value]"


class ThriftError(ValueError):
    """Bytes are not a struct of the compact protocol, or one that is over a bound."""


class ThriftReader:
    """Reads structs from bytes. ``position`` is where the next value begins; beyond the data it is ThriftError."""

    def __init__(self, data: bytes) -> None:
        """Begin at the first byte."""
        self._data, self._values = data, 0
        self.position = 0

    def struct(self, *, depth: int = 0) -> Struct:
        """The struct that begins here: values by field number."""
        if depth > DEPTH_LIMIT:
            raise ThriftError("it is nested too deeply")
        found: Struct = {}
        number = 0
        while kind := self._byte():
            number = number + (kind >> 4) if kind >> 4 else self._integer()
            flag = kind & 15 in (_TRUE, _FALSE)
            found[number] = int(kind & 15 == _TRUE) if flag else self._value(kind & 15, depth=depth)
        return found

    def _value(self, kind: int, *, depth: int) -> Value:
        self._values += 1
        if self._values > VALUES_LIMIT:
            raise ThriftError(f"it has more than {VALUES_LIMIT:,} values")
        if kind in _INTEGERS:
            return self._integer()
        if kind == _BINARY:
            return self._bytes(self._unsigned())
        if kind == _STRUCT:
            return self.struct(depth=depth + 1)
        if kind in (_LIST, _SET):
            return self._list(depth=depth + 1)
        if kind in (_TRUE, _FALSE, _BYTE):
            return self._byte()
        if kind == _DOUBLE:
            return self._bytes(8)
        raise ThriftError(f"it has a value of unknown kind {kind}")

    def _list(self, *, depth: int) -> list[Value]:
        if depth > DEPTH_LIMIT:
            raise ThriftError("it is nested too deeply")
        head = self._byte()
        count = head >> 4 if head >> 4 != 15 else self._unsigned()
        return [self._value(head & 15, depth=depth) for _ in range(count)]

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
