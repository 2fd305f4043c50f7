"""Arrays to safetensors bytes and back, for bytes that come from strangers."""

import json
import math
from collections.abc import Mapping
from typing import TypedDict

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save

Packed = NDArray[np.float64 | np.int64 | np.float32]

MOST_CLASSES = 100_000
MOST_DIMENSIONS = 32_768
LONGEST_HEADER_BYTES = 4096
KINDS: Mapping[str, type[np.float64 | np.float32 | np.int64]] = {"F64": np.float64, "F32": np.float32, "I64": np.int64}
INTEGER = frozenset({"counts", "zeros", "shuffled_zeros", "head_counts", "measured_groups"})
SINGLE = frozenset({"shuffled_sums"})
MEASURED = frozenset(
    {"total_class_moments", "head_counts", "measured_groups", "measured_knn", "measured_linear_probe", "measured_leep"}
)
MAY_LACK = MEASURED | {"class_moments", "second_moment", "moment_factors", "shuffled_sums", "shuffled_zeros"}


class _Entry(TypedDict):
    """One tensor as `safetensors.deserialize` gives it."""

    dtype: str
    shape: list[int]
    data: bytearray


_Entries = list[tuple[str, _Entry]]


def bytes_of(tensors: Mapping[str, Packed]) -> bytes:
    """One safetensors blob of float64, float32 and int64 arrays; equal arrays give equal bytes."""
    blob: bytes = save({name: np.ascontiguousarray(tensors[name]) for name in sorted(tensors)})
    return blob


def read_tensors(data: bytes, *, limit_bytes: int) -> dict[str, Packed]:
    """Read a small number of float64, float32 and int64 arrays out of a safetensors blob.

    Args:
        data: the blob; memory beyond it stays below its size.
        limit_bytes: largest size that is read at all.

    Returns:
        Arrays by name. Their values are not checked.

    Raises:
        ValueError: ``data`` is over the limit, its header is over 4,096 bytes or not as the format says, or a
            tensor is of another type.
    """
    if len(data) > limit_bytes:
        raise ValueError(f"{len(data)} bytes of statistics are over the limit of {limit_bytes}")
    _check_header_length(data)
    try:
        found: _Entries = deserialize(data)  # type: ignore[no-untyped-call]
    except (SafetensorError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"not a safetensors blob: {error}") from error
    return {name: _array(name, entry) for name, entry in found}


def triangle_of(symmetric: NDArray[np.float64]) -> NDArray[np.float64]:
    """Upper triangles of symmetric matrices, row after row: shape (..., d, d) to (..., d (d + 1) / 2)."""
    dimensions = symmetric.shape[-1]
    return np.concatenate([symmetric[..., row, row:] for row in range(dimensions)], axis=-1)


def square_of(triangle: Packed, dimensions: int) -> NDArray[np.float64]:
    """Symmetric matrices of upper triangles: shape (..., d (d + 1) / 2) to (..., d, d)."""
    square = np.empty((*triangle.shape[:-1], dimensions, dimensions))
    start = 0
    for row in range(dimensions):
        values = triangle[..., start : start + dimensions - row]
        square[..., row, row:] = values
        square[..., row:, row] = values
        start += dimensions - row
    return square


def packed_shape(tensors: Mapping[str, Packed]) -> tuple[int, int, int]:
    """Number of shards, classes and dimensions, by the class sums. Raises ValueError out of bounds."""
    shape = tensors["class_sums"].shape if "class_sums" in tensors else ()
    if len(shape) != 3 or min(shape) < 1 or shape[1] > MOST_CLASSES or shape[2] > MOST_DIMENSIONS:
        raise ValueError(f"class_sums need shape (shards, C <= {MOST_CLASSES}, d <= {MOST_DIMENSIONS}), got {shape}")
    return shape[0], shape[1], shape[2]


def shuffled_shapes(tensors: Mapping[str, Packed], *, classes: int, dimensions: int) -> dict[str, tuple[int, ...]]:
    """Shapes that shuffled sums beside the statistics must have. Raises ValueError for one without the other."""
    held = {"shuffled_sums", "shuffled_zeros"} & set(tensors)
    if len(held) == 1:
        raise ValueError(f"{held.pop()} without its other half")
    shuffles = tensors["shuffled_zeros"].shape[0] if held else 1
    return {"shuffled_sums": (shuffles, classes, dimensions), "shuffled_zeros": (shuffles, classes)}


def measured_shapes(tensors: Mapping[str, Packed], *, classes: int, dimensions: int) -> dict[str, tuple[int, ...]]:
    """Shapes that what was measured beside the statistics must have. Raises ValueError for too many source labels."""
    counts = tensors.get("head_counts")
    sources = 1 if counts is None else len(counts)
    if sources > MOST_CLASSES:
        raise ValueError(f"head_counts are of {sources} source labels, at most {MOST_CLASSES} are read")
    return {
        **dict.fromkeys(MEASURED, (1,)),
        "total_class_moments": (classes, dimensions * (dimensions + 1) // 2),
        "head_counts": (sources, classes),
        "measured_groups": (classes,),
    }


def check_packed(tensors: Mapping[str, Packed], shapes: Mapping[str, tuple[int, ...]]) -> None:
    """Raises ValueError unless these are tensors of those shapes, integer counts and finite numbers."""
    if set(tensors) | MAY_LACK != set(shapes) | MAY_LACK or set(tensors) - set(shapes):
        raise ValueError(f"expected tensors {sorted(shapes)} ({sorted(MAY_LACK)} if kept), got {sorted(tensors)[:9]}")
    for name, tensor in tensors.items():
        kind = np.int64 if name in INTEGER else np.float32 if name in SINGLE else np.float64
        if tensor.shape != shapes[name] or tensor.dtype != kind:
            raise ValueError(f"{name} must be {kind.__name__} of {shapes[name]}, got {tensor.dtype} of {tensor.shape}")
        if not np.all(np.isfinite(tensor)):
            raise ValueError(f"{name} must be finite")


def _check_header_length(data: bytes) -> None:
    length = int.from_bytes(data[:8], "little")
    if len(data) < 8 or length > min(LONGEST_HEADER_BYTES, len(data) - 8):
        raise ValueError(
            f"not a safetensors blob of statistics: {len(data)} bytes whose header claims {length}, "
            f"of at most {LONGEST_HEADER_BYTES}"
        )


def _array(name: str, entry: _Entry) -> Packed:
    dtype, shape, data = entry["dtype"], entry["shape"], entry["data"]
    kind = KINDS.get(dtype)
    if kind is None or math.prod(shape) * np.dtype(kind).itemsize != len(data):
        raise ValueError(f"tensor {name[:40]!r} must be F64, F32 or I64 and full, got {dtype} of shape {shape[:6]}")
    if len(shape) > 3 or 0 in shape:
        raise ValueError(f"tensor {name[:40]!r} must have one to three sides of at least 1, got {shape[:6]}")
    if kind is np.float32:
        return np.frombuffer(data, np.float32).reshape(shape)
    if kind is np.int64:
        return np.frombuffer(data, np.int64).reshape(shape)
    return np.frombuffer(data, np.float64).reshape(shape)
