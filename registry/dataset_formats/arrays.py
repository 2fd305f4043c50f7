"""Datasets as two arrays, images and labels, in an npz or a safetensors file; never pickled objects.

Both are read side by side, a few images at a time; whole images are held as pixels only, never as they are stored.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from registry.dataset_formats.candidates import Candidate, DatasetLimits, Finding, Pixels, Source, WrongLabel
from registry.dataset_formats.labels import NAME_LIMIT, LabelError, label_name, wide_text
from registry.errors import InvalidDatasetError, TooLargeError

IMAGE_NAMES = ("images", "image", "x", "data", "img", "imgs", "pixels")
LABEL_NAMES = ("labels", "label", "y", "target", "targets", "class", "classes")
CHUNK_BYTES = 4 * 1024 * 1024
PIECE_BYTES = 512 * 1024
LAYOUT = "images as (n, h, w), (n, h, w, 1 or 3) or (n, 1 or 3, h, w), labels as (n,)"

Values = NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class StoredArray:
    """One array of a file: its type, its shape, and how to read its next bytes, in C order.

    `read` gives exactly as many bytes as it is asked for, or raises InvalidDatasetError.
    """

    name: str
    dtype: np.dtype[np.generic]
    shape: tuple[int, ...]
    read: Callable[[int], bytes]

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return prod(self.shape[1:]) * self.dtype.itemsize

    def pieces(self, rows: int) -> Iterator[Values]:
        """The values of the next rows in their order, shape (m,), so many at a time that they take PIECE_BYTES."""
        count, at_most = rows * prod(self.shape[1:]), max(1, PIECE_BYTES // self.dtype.itemsize)
        for start in range(0, count, at_most):
            taken = min(at_most, count - start)
            yield np.frombuffer(self.read(taken * self.dtype.itemsize), dtype=self.dtype)


def open_arrays(
    arrays: Mapping[str, StoredArray],
    *,
    file_format: Literal["npz", "safetensors"],
    limits: DatasetLimits,
    labelled: bool,
) -> Source:
    """Find images and labels among a file's arrays, and check types, shapes and sizes.

    Raises:
        InvalidDatasetError: there are no such arrays, or they do not fit each other.
        TooLargeError: a bound is passed.
    """
    images = _one_array(arrays, IMAGE_NAMES)
    labels = _one_array(arrays, LABEL_NAMES) if labelled else None
    if images is None or (labelled and labels is None):
        found = ", ".join(f"{array.name[:60]} {array.shape}" for array in list(arrays.values())[:20])
        wanted = "arrays named images and labels" if labelled else "an array named images"
        raise InvalidDatasetError(f"the {file_format} file needs {wanted}, but has: {found or 'none'}")
    _check_images(images, limits=limits)
    if labels is not None:
        _check_labels(labels, count=images.shape[0])
    return Source(file_format, images.shape[0], _findings(images, labels))


def _one_array(arrays: Mapping[str, StoredArray], names: tuple[str, ...]) -> StoredArray | None:
    by_name = {name.lower(): array for name, array in arrays.items()}
    return next((by_name[name] for name in names if name in by_name), None)


def _check_images(images: StoredArray, *, limits: DatasetLimits) -> None:
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InvalidDatasetError(
            f"array {images.name!r} has dtype {str(images.dtype)[:100]}; images are uint8, or floats from 0 to 1"
        )
    count, height, width, _ = _image_shape(images)
    if min(images.shape) < 1:
        raise InvalidDatasetError(f"array {images.name!r} of shape {images.shape} holds no images")
    if count > limits.examples:
        raise TooLargeError(f"the file has {count:,} images; at most {limits.examples:,} are allowed")
    if height * width > limits.image_pixels:
        raise TooLargeError(
            f"images of {height:,} x {width:,} pixels; at most {limits.image_pixels:,} are allowed "
            "(ZOO_IMAGE_LIMIT_PIXELS)"
        )
    if count * images.row_bytes > limits.unpacked_bytes:
        raise TooLargeError(
            f"array {images.name!r} takes {count * images.row_bytes:,} bytes; "
            f"at most {limits.unpacked_bytes:,} are allowed"
        )


def _image_shape(images: StoredArray) -> tuple[int, int, int, int]:
    """Shape as (n, h, w, c). Raises InvalidDatasetError for another number of dimensions or channels."""
    shape = images.shape
    if len(shape) == 3:
        return (*shape, 1)
    if len(shape) == 4 and shape[3] in (1, 3):
        return (shape[0], shape[1], shape[2], shape[3])
    if len(shape) == 4 and shape[1] in (1, 3):
        return (shape[0], shape[2], shape[3], shape[1])
    raise InvalidDatasetError(f"array {images.name!r} has shape {shape}; give {LAYOUT}")


def _check_labels(labels: StoredArray, *, count: int) -> None:
    if labels.shape[:1] != (count,) or prod(labels.shape[1:]) != 1:
        raise InvalidDatasetError(
            f"array {labels.name!r} has shape {labels.shape} for {count:,} images; give one label for each, "
            f"shape ({count},), as whole numbers or texts"
        )
    if labels.dtype.kind not in "iubfUS":
        raise InvalidDatasetError(
            f"array {labels.name!r} has dtype {str(labels.dtype)[:100]}; labels are whole numbers or texts"
        )
    if not 0 < labels.dtype.itemsize <= 4 * NAME_LIMIT:
        raise InvalidDatasetError(
            f"array {labels.name!r} has dtype {labels.dtype}; give class names of 1 to {NAME_LIMIT} characters"
        )


def _findings(images: StoredArray, labels: StoredArray | None) -> Iterator[Finding]:
    names = itertools.repeat(None) if labels is None else _class_names(labels)
    count, at_most = images.shape[0], max(1, CHUNK_BYTES // images.row_bytes)
    for first in range(0, count, at_most):
        chunk = _Chunk(images, first_row=first, count=min(at_most, count - first))
        for index in range(chunk.count):
            item, name = str(first + index), next(names)
            if isinstance(name, LabelError):
                yield WrongLabel(item, str(name))
            else:
                yield Candidate(item, name, functools.partial(chunk.image, index))
        chunk.pass_over()


def _class_names(labels: StoredArray) -> Iterator[str | LabelError]:
    """The name of the class of each row, or why its label cannot stand."""
    for piece in labels.pieces(labels.shape[0]):
        for index in range(len(piece)):
            yield _class_name(piece, index)


def _class_name(labels: Values, index: int) -> str | LabelError:
    """The class of one row; texts are decoded here, for NumPy fails on numbers that are no characters."""
    try:
        if labels.dtype.kind == "U":
            return label_name(wide_text(labels[index : index + 1].tobytes(), big_endian=labels.dtype.str[0] == ">"))
        return label_name(labels[index])
    except LabelError as error:
        return error


class _Chunk:
    """The next images of an array; they are read, and become pixels, once one of them is asked for.

    Args:
        images: the array, read as far as the first of these images.
        first_row: the first image's position in the array.
        count: number of images.
    """

    def __init__(self, images: StoredArray, *, first_row: int, count: int) -> None:
        self.count = count
        self._images, self._first_row, self._pieces = images, first_row, images.pieces(count)

    def image(self, index: int) -> Pixels:
        """One image. Shape (h, w, c), uint8. Raises ValueError once all have been passed over."""
        pixels: Pixels = self._pixels[index]
        return pixels

    def pass_over(self) -> None:
        """Read what nobody has asked for, so that the array is read as far as the images that follow."""
        for _ in self._pieces:
            pass

    @functools.cached_property
    def _pixels(self) -> Pixels:
        stored = self._levels().reshape(self.count, *self._images.shape[1:])
        height, width, channels = _image_shape(self._images)[1:]
        if stored.ndim == 4 and stored.shape[1:] != (height, width, channels):
            stored = stored.transpose(0, 2, 3, 1)
        return stored.reshape(-1, height, width, channels)

    def _levels(self) -> Pixels:
        """Pixel values 0 to 255 in the array's order; floats must lie in [0, 1]."""
        levels = np.empty(self.count * prod(self._images.shape[1:]), dtype=np.uint8)
        scale, place = _Scale(), 0
        for piece in self._pieces:
            levels[place : place + len(piece)] = piece if piece.dtype == np.uint8 else scale.levels(piece)
            place += len(piece)
        rows = f"{self._first_row} to {self._first_row + self.count - 1}"
        if place < len(levels):
            raise ValueError(f"the images of rows {rows} have been passed over")
        if not scale.fits:
            raise InvalidDatasetError(
                f"the images of rows {rows} have values from {scale.low:g} to {scale.high:g}; "
                "scale floats to [0, 1], or give uint8 from 0 to 255"
            )
        return levels


class _Scale:
    """Brings floats from [0, 1] to [0, 255], piece by piece, and keeps in mind the lowest and highest of all."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf

    @property
    def fits(self) -> bool:
        """Whether all values were in [0, 1]; not one may be NaN."""
        return self.low >= 0 and self.high <= 1

    def levels(self, piece: Values) -> Pixels:
        """Levels of the next values; nothing of use once a value did not fit."""
        with np.errstate(over="ignore", invalid="ignore"):
            values = piece.astype(np.float64)
            self.low = float(np.minimum(self.low, values.min()))
            self.high = float(np.maximum(self.high, values.max()))
        if not self.fits:
            return np.zeros(len(values), dtype=np.uint8)
        return np.rint(values * 255).astype(np.uint8)
