"""Parquet files with an image column and a label column, as the Hugging Face hub lays them out.

The image column holds encoded image files: either a struct with the field ``bytes``, or bytes. Only this field
and the label are read, a few rows at a time; how few is told by the largest page, for one value may stand for
many rows.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as kinds

from registry.dataset_formats.candidates import (
    BrokenImageError,
    Candidate,
    DatasetLimits,
    Finding,
    Pixels,
    Source,
    WrongLabel,
)
from registry.dataset_formats.images import decode_image
from registry.dataset_formats.labels import LabelError, class_names_of, label_name
from registry.dataset_formats.parquet_pages import Footer, measure_pages, read_footer
from registry.errors import InvalidDatasetError, TooLargeError

IMAGE_NAMES = ("image", "img", "images", "picture", "photo", "jpg", "png", "x")
LABEL_NAMES = ("label", "labels", "class", "target", "fine_label", "category", "classes", "targets", "y")
BATCH_BYTES = 64 * 1024 * 1024
BATCH_ROWS = 256
BUFFER_BYTES = 1024 * 1024

_ARROW_ERRORS = (pa.ArrowException, OSError, ValueError, LookupError, OverflowError)


@dataclass(frozen=True, slots=True)
class _Columns:
    """Paths of the two columns in the file, and the names of the classes where the file has them."""

    image: str
    label: str | None
    class_names: tuple[str, ...] | None


def open_parquet(file: BinaryIO, *, limits: DatasetLimits, labelled: bool) -> Source:
    """Open a parquet file of images; with labels, it needs a label column too.

    Raises:
        InvalidDatasetError: the file is damaged, or has no such columns.
        TooLargeError: it has too many rows, or unpacks to too many bytes.
    """
    with _told_as_damage():
        footer = read_footer(file)
        if footer.rows > limits.examples:
            raise TooLargeError(f"the parquet file has {footer.rows:,} rows; at most {limits.examples:,} are allowed")
        file.seek(0)
        table = pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER_BYTES)
        columns = _choose_columns(table.schema_arrow, labelled=labelled)
        batch_rows = _batch_rows(file, footer, columns, limits=limits)
    return Source("parquet", footer.rows, _findings(table, columns, batch_rows=batch_rows, limits=limits))


@contextlib.contextmanager
def _told_as_damage() -> Iterator[None]:
    """Turn what is raised for damaged files into an InvalidDatasetError."""
    try:
        yield
    except _ARROW_ERRORS as error:
        raise _damaged(error) from error


def _damaged(error: Exception) -> InvalidDatasetError:
    return InvalidDatasetError(f"the parquet file cannot be read: {str(error)[:300]}; write it again")


def _choose_columns(schema: pa.Schema, *, labelled: bool) -> _Columns:
    """Find the two columns by name or, where only one can be meant, by type. Raises InvalidDatasetError."""
    if len(set(schema.names)) != len(schema.names):
        raise InvalidDatasetError("the parquet file has several columns of one name; rename them")
    image = _one_column(schema, IMAGE_NAMES, _holds_images)
    label = _one_column(schema, LABEL_NAMES, _holds_labels) if labelled else None
    if image is None or (labelled and label is None):
        found = ", ".join(f"{field.name[:60]} ({str(field.type)[:60]})" for field in list(schema)[:20])
        wanted = "an image column (a struct with bytes, or bytes)" + " and a label column" * labelled
        raise InvalidDatasetError(
            f"the parquet file needs {wanted}, but has: {found}; name the columns image and label"
        )
    path = f"{image}.bytes" if kinds.is_struct(schema.field(image).type) else image
    metadata = (schema.metadata or {}).get(b"huggingface")
    return _Columns(path, label, class_names_of(metadata, label) if label else None)


def _one_column(schema: pa.Schema, names: tuple[str, ...], fits: Callable[[pa.DataType], bool]) -> str | None:
    """The column that fits: the first by name, else the only one there is."""
    fitting: dict[str, str] = {field.name.lower(): field.name for field in schema if fits(field.type)}
    named = [fitting[name] for name in names if name in fitting]
    if named:
        return named[0]
    return next(iter(fitting.values())) if len(fitting) == 1 else None


def _holds_images(kind: pa.DataType) -> bool:
    if kinds.is_struct(kind):
        index = kind.get_field_index("bytes")
        return index >= 0 and _is_binary(kind.field(index).type)
    return _is_binary(kind)


def _is_binary(kind: pa.DataType) -> bool:
    return bool(kinds.is_binary(kind) or kinds.is_large_binary(kind) or kinds.is_binary_view(kind))


def _holds_labels(kind: pa.DataType) -> bool:
    if kinds.is_dictionary(kind):
        kind = kind.value_type
    texts = kinds.is_string(kind) or kinds.is_large_string(kind) or kinds.is_string_view(kind)
    return bool(texts or kinds.is_integer(kind) or kinds.is_boolean(kind) or kinds.is_floating(kind))


def _batch_rows(file: BinaryIO, footer: Footer, columns: _Columns, *, limits: DatasetLimits) -> int:
    """How many rows may be read at once, after measuring every page of the two columns.

    Raises:
        TooLargeError: the pages unpack to more than the limit.
        ParquetError: they cannot be measured.
    """
    total, largest = 0, 1
    for piece in footer.pieces:
        if piece.path in (columns.image, columns.label):
            sizes = measure_pages(file, piece)
            total, largest = total + sizes.total_bytes, max(largest, sizes.largest_bytes)
        if total > limits.unpacked_bytes:
            raise TooLargeError(
                f"the columns of the parquet file unpack to more than {limits.unpacked_bytes:,} bytes, "
                "the most that are allowed"
            )
    return max(1, min(BATCH_ROWS, BATCH_BYTES // largest))


def _findings(table: pq.ParquetFile, columns: _Columns, *, batch_rows: int, limits: DatasetLimits) -> Iterator[Finding]:
    wanted = [columns.image] + ([columns.label] if columns.label else [])
    row = 0
    with _told_as_damage():
        for batch in table.iter_batches(batch_size=batch_rows, columns=wanted, use_threads=False):
            images = _column(batch, columns.image)
            labels = _column(batch, columns.label).to_pylist() if columns.label else [None] * len(images)
            for image, label in zip(images, labels, strict=True):
                yield _finding(row, image, label, columns=columns, limits=limits)
                row += 1


def _column(batch: pa.RecordBatch, path: str) -> pa.Array:
    """A column of a batch, or the field ``bytes`` of one."""
    column = batch.column(path.removesuffix(".bytes"))
    return column.field("bytes") if kinds.is_struct(column.type) else column


def _finding(row: int, image: pa.Scalar, label: object, *, columns: _Columns, limits: DatasetLimits) -> Finding:
    item = str(row)
    name = None
    if columns.label:
        try:
            name = label_name(label, columns.class_names)
        except LabelError as error:
            return WrongLabel(item, str(error))
    return Candidate(item, name, functools.partial(_load, image, item, limits))


def _load(image: pa.Scalar, item: str, limits: DatasetLimits) -> Pixels:
    data = image.as_py()
    if not data:
        raise BrokenImageError("has no bytes; a path alone is not enough, embed the image files")
    if len(data) > limits.image_file_bytes:
        raise TooLargeError(
            f"the image of row {item} has {len(data):,} bytes; at most {limits.image_file_bytes:,} are allowed"
        )
    return decode_image(data, item=f"row {item}", pixel_limit=limits.image_pixels)
