"""The arrays of npz and safetensors files, found by reading headers; objects and other layouts are refused."""

import contextlib
import functools
import io
import tokenize
import zipfile
import zlib
from collections.abc import Iterator
from math import prod
from typing import IO, BinaryIO

import numpy as np
from numpy.lib import format as npy

from registry.dataset_formats.arrays import StoredArray, open_arrays
from registry.dataset_formats.candidates import DatasetLimits, Source
from registry.dataset_formats.zip_directory import open_archive
from registry.errors import InvalidDatasetError
from registry.tensor_file import (
    DIMENSIONS_LIMIT,
    SIDE_LIMIT,
    TensorFileError,
    TensorHeader,
    read_exactly,
    read_tensor_header,
    size_of,
)

ARRAYS_LIMIT = 1_000
NPY_HEADER_LIMIT = 10_000
TENSOR_DTYPES = {
    "BOOL": "|b1", "U8": "|u1", "I8": "|i1", "U16": "<u2", "I16": "<i2", "U32": "<u4", "I32": "<i4",
    "U64": "<u8", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip

_READING_ERRORS = (
    zipfile.BadZipFile,
    zlib.error,
    EOFError,
    OSError,
    NotImplementedError,
    RuntimeError,
    ValueError,
    MemoryError,
)
_HEADER_ERRORS = (
    ValueError, SyntaxError, tokenize.TokenError, TypeError, LookupError, AttributeError, ArithmeticError,
    RuntimeError, MemoryError,
)  # fmt: skip
"""What NumPy and the parts of Python under it raise for headers that are damaged, or that were made to be."""


def open_npz(file: BinaryIO, *, limits: DatasetLimits, labelled: bool) -> Source:
    """Open an npz file. Raises InvalidDatasetError, TooLargeError; pickled objects are never loaded."""
    archive = open_archive(file, entry_limit=ARRAYS_LIMIT, unpacked_limit_bytes=limits.unpacked_bytes)
    arrays = {}
    for info in archive.infolist():
        if info.filename.endswith(".npy"):
            name = info.filename.removesuffix(".npy")
            arrays[name] = _npy_array(archive, info, name)
    return open_arrays(arrays, file_format="npz", limits=limits, labelled=labelled)


@contextlib.contextmanager
def _told_of(name: str) -> Iterator[None]:
    """Turn what readers raise for a damaged array into an InvalidDatasetError."""
    try:
        yield
    except _READING_ERRORS as error:
        raise InvalidDatasetError(
            f"array {name[:200]!r} cannot be read: {str(error)[:200]}; save it with np.savez"
        ) from error


def _npy_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo, name: str) -> StoredArray:
    with _told_of(name):
        stream = archive.open(info)
        shape, fortran_order, dtype = _npy_header(stream)
    if dtype.hasobject:
        raise InvalidDatasetError(
            f"array {name[:200]!r} holds pickled objects, which could run code; save plain numbers or texts"
        )
    if fortran_order and len(shape) > 1:
        raise InvalidDatasetError(f"array {name[:200]!r} is stored column by column; save np.ascontiguousarray(array)")
    _check_shape(name, shape)
    wanted_bytes = prod(shape) * dtype.itemsize
    if info.file_size - stream.tell() != wanted_bytes:
        raise InvalidDatasetError(
            f"array {name[:200]!r} of {str(dtype)[:100]} {str(shape)[:200]} takes {wanted_bytes:,} bytes, "
            f"but {info.file_size - stream.tell():,} are there"
        )
    return StoredArray(name, dtype, shape, functools.partial(_read_stream, stream, name))


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[np.generic]]:
    """Shape, order and type from an array's header, which is measured before it is read. Raises ValueError."""
    version = npy.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"npy version {version} is not read")
    size = stream.read(2 if version == (1, 0) else 4)
    header_bytes = int.from_bytes(size, "little")
    if header_bytes > NPY_HEADER_LIMIT:
        raise ValueError(f"its header has {header_bytes:,} bytes; at most {NPY_HEADER_LIMIT:,} are allowed")
    header = io.BytesIO(size + stream.read(header_bytes))
    read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    try:
        shape, fortran_order, dtype = read_header(header, max_header_size=NPY_HEADER_LIMIT)
    except _HEADER_ERRORS as error:
        raise ValueError(f"its header describes no array ({str(error)[:150]})") from error
    # NumPy takes True for a number here, and refuses it when it is given a shape
    return tuple(map(int, shape)), fortran_order, dtype


def _check_shape(name: str, shape: tuple[int, ...]) -> None:
    """Raises InvalidDatasetError unless a shape is short and of numbers that can be counted to."""
    if len(shape) > DIMENSIONS_LIMIT or not all(0 <= side <= SIDE_LIMIT for side in shape):
        told = ", ".join(_told(side) for side in shape[: DIMENSIONS_LIMIT + 1])
        raise InvalidDatasetError(
            f"array {name[:200]!r} has shape ({told[:200]}) of {len(shape):,} numbers; save one with at most "
            f"{DIMENSIONS_LIMIT}, from 0 to 2**48"
        )


def _told(side: int) -> str:
    """A side for people; Python writes no number of thousands of digits."""
    return str(side) if abs(side) <= SIDE_LIMIT else f"about {'-' if side < 0 else ''}2**{side.bit_length()}"


def _read_stream(stream: IO[bytes], name: str, count: int) -> bytes:
    with _told_of(name):
        data = stream.read(count)
        if len(data) != count:
            raise EOFError(f"it ends after {len(data):,} of {count:,} bytes")
        return data


def open_tensors(file: BinaryIO, *, limits: DatasetLimits, labelled: bool) -> Source:
    """Open a safetensors file with images and labels. Raises InvalidDatasetError, TooLargeError."""
    try:
        header = read_tensor_header(file, size_bytes=size_of(file))
    except TensorFileError as error:
        raise InvalidDatasetError(f"the safetensors file cannot be read: {error}") from error
    arrays = {name: _tensor_array(file, header, name) for name in header.tensors}
    return open_arrays(arrays, file_format="safetensors", limits=limits, labelled=labelled)


def _tensor_array(file: BinaryIO, header: TensorHeader, name: str) -> StoredArray:
    tensor = header.tensors[name]
    if tensor.dtype not in TENSOR_DTYPES:
        raise InvalidDatasetError(f"tensor {name[:200]!r} is {tensor.dtype}; give U8 or F32 images, I64 labels")
    section = _Section(file, header.data_start + tensor.start)
    return StoredArray(name, np.dtype(TENSOR_DTYPES[tensor.dtype]), tensor.shape, section.read)


class _Section:
    """Reads on from a place in a file that others read from too."""

    def __init__(self, file: BinaryIO, position: int) -> None:
        self._file, self._position = file, position

    def read(self, count: int) -> bytes:
        """The next bytes, exactly so many. Raises InvalidDatasetError when the file ends before."""
        self._file.seek(self._position)
        try:
            data = read_exactly(self._file, count)
        except TensorFileError as error:
            raise InvalidDatasetError(f"the safetensors file cannot be read: {error}") from error
        self._position += count
        return data
