"""Safetensors files: headers read within bounds, bytes written the same way every time.

A header comes from anybody, so it is measured before it is parsed: its size, the number of its parts, its
nesting; and each tensor's place is checked by arithmetic before a byte of it is read. The layout is that of
https://github.com/huggingface/safetensors: eight bytes of header size, the header as JSON, the tensors' bytes
one after the other, without gaps.
"""

import json
import math
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import BinaryIO, Never

import numpy as np
from numpy.typing import NDArray

HEADER_LIMIT_BYTES = 16 * 1024 * 1024
MARKS_LIMIT = 1_000_000
DIMENSIONS_LIMIT = 16
SIDE_LIMIT = 2**48
NAME_LIMIT = 1_000
CHUNK_BYTES = 4 * 1024 * 1024
ALIGNMENT = 8
METADATA = "__metadata__"

ITEM_BYTES: Mapping[str, int] = {
    "BOOL": 1, "U8": 1, "I8": 1, "F8_E5M2": 1, "F8_E4M3": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2,
    "U32": 4, "I32": 4, "F32": 4, "U64": 8, "I64": 8, "F64": 8,
}  # fmt: skip

Floats = NDArray[np.float32]


class TensorFileError(ValueError):
    """Bytes are not a well-formed safetensors file; whoever reads for a user tells it as one of our errors."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """Type, shape and place of one tensor; ``start`` and ``end`` count bytes from the end of the header."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class TensorHeader:
    """A header that has passed every check: texts, tensors in the order of their bytes, where these begin."""

    metadata: Mapping[str, str]
    tensors: Mapping[str, StoredTensor]
    data_start: int


def read_tensor_header(
    file: BinaryIO, *, size_bytes: int, header_limit_bytes: int = HEADER_LIMIT_BYTES
) -> TensorHeader:
    """Read and check the header of a safetensors file; memory stays within a small multiple of the limit.

    Args:
        file: seekable.
        size_bytes: size of the whole file.
        header_limit_bytes: largest header that is read.

    Raises:
        TensorFileError: the header breaks the format, is over a bound, or does not cover the file's bytes.
    """
    file.seek(0)
    header_bytes = _header_size(file, size_bytes=size_bytes, limit_bytes=header_limit_bytes)
    text = read_exactly(file, header_bytes)
    if not text.startswith(b"{"):
        raise TensorFileError(f"the header must be a JSON object, it begins with {text[:10]!r}")
    try:
        entries = strict_json(text)
    except ValueError as error:
        raise TensorFileError(f"the header is not acceptable JSON: {error}") from error
    if not isinstance(entries, dict):
        raise TensorFileError("the header must be a JSON object")
    metadata = _metadata(entries.pop(METADATA, {}))
    data_start = 8 + header_bytes
    tensors = _in_order({name: _stored_tensor(name, entry) for name, entry in entries.items()})
    _check_places(tensors, data_bytes=size_bytes - data_start)
    return TensorHeader(metadata, tensors, data_start)


def _header_size(file: BinaryIO, *, size_bytes: int, limit_bytes: int) -> int:
    if size_bytes < 8 + 2:
        raise TensorFileError(f"the file has {size_bytes} bytes, fewer than the shortest safetensors file")
    header_bytes = int.from_bytes(read_exactly(file, 8), "little")
    if header_bytes > size_bytes - 8:
        raise TensorFileError(
            f"the header says it has {header_bytes:,} bytes, but the file has {size_bytes:,} in all; "
            "the file is cut off or no safetensors file"
        )
    if header_bytes > limit_bytes:
        raise TensorFileError(f"the header has {header_bytes:,} bytes; at most {limit_bytes:,} are allowed")
    return header_bytes


def read_exactly(file: BinaryIO, count: int) -> bytes:
    """Read ``count`` bytes. Raises TensorFileError when the file ends before."""
    data = file.read(count)
    if len(data) != count:
        raise TensorFileError(f"the file ends early: wanted {count:,} bytes, got {len(data):,}")
    return data


def strict_json(text: bytes | str) -> object:
    """Parse JSON that says one thing only: no key twice, no NaN or Infinity, no deep nesting, few parts.

    Raises:
        ValueError: the text is not such JSON; the sentence says what is wrong.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8")
    marks = sum(map(text.count, "{[,"))
    if marks > MARKS_LIMIT:
        raise ValueError(f"it has {marks:,} parts; at most {MARKS_LIMIT:,} are allowed")
    try:
        return json.loads(text, object_pairs_hook=_object_of_distinct_keys, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def _object_of_distinct_keys(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise ValueError(f"key {key[:200]!r} is there twice")
        found[key] = value
    return found


def _refuse_constant(constant: str) -> Never:
    raise ValueError(f"{constant} is not a JSON number")


def _metadata(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise TensorFileError(f"{METADATA} must map texts to texts")
    return value


def _stored_tensor(name: str, entry: object) -> StoredTensor:
    """Check one entry by itself: its keys, its type, its shape, and that its bytes are as many as these say."""
    if not name or len(name) > NAME_LIMIT:
        raise TensorFileError(f"tensor names have 1 to {NAME_LIMIT} characters, got {len(name)}")
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise TensorFileError(f"tensor {name[:200]!r} must have exactly dtype, shape and data_offsets")
    dtype = entry["dtype"]
    if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
        raise TensorFileError(f"tensor {name[:200]!r} has dtype {str(dtype)[:40]!r}; known are {', '.join(ITEM_BYTES)}")
    shape = _whole_numbers(entry["shape"], f"shape of tensor {name[:200]!r}")
    offsets = _whole_numbers(entry["data_offsets"], f"data_offsets of tensor {name[:200]!r}")
    if len(offsets) != 2:
        raise TensorFileError(f"data_offsets of tensor {name[:200]!r} must be two numbers, got {len(offsets)}")
    wanted_bytes = math.prod(shape) * ITEM_BYTES[dtype]
    if offsets[1] - offsets[0] != wanted_bytes:
        raise TensorFileError(
            f"tensor {name[:200]!r} of {dtype} {shape} takes {wanted_bytes:,} bytes, "
            f"but its data_offsets {list(offsets)} span {offsets[1] - offsets[0]:,}"
        )
    return StoredTensor(dtype, shape, offsets[0], offsets[1])


def _whole_numbers(value: object, what: str) -> tuple[int, ...]:
    """Raises TensorFileError unless ``value`` is a short list of integers in [0, SIDE_LIMIT]."""
    if not isinstance(value, list) or len(value) > DIMENSIONS_LIMIT:
        raise TensorFileError(f"{what} must be a list of at most {DIMENSIONS_LIMIT} numbers")
    for number in value:
        if type(number) is not int or not 0 <= number <= SIDE_LIMIT:
            raise TensorFileError(f"{what} must hold whole numbers from 0 to 2**48, got {str(number)[:40]}")
    return tuple(value)


def _in_order(tensors: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    return dict(sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)))


def _check_places(tensors: Mapping[str, StoredTensor], *, data_bytes: int) -> None:
    """Raises TensorFileError unless the tensors, in their order, cover the file's data once and wholly."""
    position = 0
    for name, tensor in tensors.items():
        if tensor.start < position:
            raise TensorFileError(f"tensor {name[:200]!r} overlaps the one before: it begins at {tensor.start:,}")
        if tensor.start > position:
            raise TensorFileError(f"{tensor.start - position:,} bytes before tensor {name[:200]!r} belong to no tensor")
        position = tensor.end
    if position != data_bytes:
        raise TensorFileError(
            f"the tensors take {position:,} bytes, but {data_bytes:,} follow the header; "
            "the file is cut off, or has bytes that belong to no tensor"
        )


def chunks_of(file: BinaryIO, *, start: int, end: int, chunk_bytes: int = CHUNK_BYTES) -> Iterator[bytes]:
    """The bytes of a file from ``start`` to ``end``, in chunks. Raises TensorFileError when it ends before."""
    file.seek(start)
    for position in range(start, end, chunk_bytes):
        yield read_exactly(file, min(chunk_bytes, end - position))


def header_bytes(metadata: Mapping[str, str], tensors: Mapping[str, StoredTensor]) -> bytes:
    """Size and header as they stand at the beginning of a file, padded so that the tensors begin aligned."""
    entries: dict[str, object] = {METADATA: dict(metadata)}
    for name, tensor in tensors.items():
        places = [tensor.start, tensor.end]
        entries[name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": places}
    text = json.dumps(entries, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-len(text) % ALIGNMENT)
    return len(text).to_bytes(8, "little") + text


def places_of(tensors: Mapping[str, Floats]) -> dict[str, StoredTensor]:
    """Where each tensor goes: one after the other, in the order in which they are given."""
    places, position = {}, 0
    for name, values in tensors.items():
        end = position + 4 * values.size
        places[name] = StoredTensor("F32", values.shape, position, end)
        position = end
    return places


def write_tensor_file(file: BinaryIO, tensors: Mapping[str, Floats], *, metadata: Mapping[str, str]) -> None:
    """Write a safetensors file, tensors in the order in which they are given, values little-endian."""
    file.write(header_bytes(metadata, places_of(tensors)))
    for values in tensors.values():
        file.write(np.ascontiguousarray(values, dtype="<f4").reshape(-1).view(np.uint8).data)


def read_floats(file: BinaryIO, tensors: Mapping[str, StoredTensor], *, data_start: int) -> dict[str, Floats]:
    """Tensors of a checked file as float32 arrays, in the order in which they are given.

    Raises:
        TensorFileError: a tensor is not of dtype F32, or the file ends early.
    """
    return {name: _read_one(file, name, tensor, data_start) for name, tensor in tensors.items()}


def _read_one(file: BinaryIO, name: str, tensor: StoredTensor, data_start: int) -> Floats:
    if tensor.dtype != "F32":
        raise TensorFileError(f"tensor {name[:200]!r} is {tensor.dtype}, not F32")
    values: Floats = np.empty(tensor.shape, dtype=np.float32)
    file.seek(data_start + tensor.start)
    data = read_exactly(file, tensor.end - tensor.start)
    values.reshape(-1)[:] = np.frombuffer(data, dtype="<f4")
    return values


def size_of(file: BinaryIO) -> int:
    """Size of a seekable file in bytes; leaves it at its beginning."""
    size_bytes = file.seek(0, os.SEEK_END)
    file.seek(0)
    return size_bytes
