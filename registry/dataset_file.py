"""Uploaded images, with or without labels, read within bounds: one pass, one image at a time.

What an upload is, is told by its bytes. Reading it once, and decoding every image, is the check; what cannot
be used is refused with each fault named, or left out where the uploader asked for that.
"""

import unicodedata
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from registry.dataset_formats.array_files import open_npz, open_tensors
from registry.dataset_formats.candidates import Candidate, DatasetLimits, Pixels, Source, limits_from
from registry.dataset_formats.detect import ACCEPTED, ACCEPTED_UNLABELLED, detect_format
from registry.dataset_formats.images import decode_image
from registry.dataset_formats.reader import DatasetReader, Example
from registry.dataset_formats.zip_folders import LAYOUT, open_zip
from registry.dataset_sketch import DatasetSketch
from registry.errors import InvalidDatasetError, InvalidTaskError, TooLargeError
from registry.manifest import Preprocessing
from registry.preprocessing import prepare_image
from registry.records import LeftOut
from registry.sketches import SketchBuilder

__all__ = [
    "DatasetLimits",
    "DatasetReader",
    "DatasetSummary",
    "Example",
    "LabelledImages",
    "NamedImages",
    "check_images",
    "detect_format",
    "in_natural_order",
    "limits_from",
    "load_arrays",
    "load_images",
    "read_examples",
    "read_labels",
    "summarise",
]


@dataclass(frozen=True, slots=True)
class DatasetSummary:
    """What a dataset holds; ``counts`` goes with ``classes``, ``shape`` is (h, w, c) of most images.

    By ``sketch`` near-duplicates are found in other datasets.
    """

    format: Literal["zip", "parquet", "npz", "safetensors"]
    examples: int
    classes: tuple[str, ...]
    counts: tuple[int, ...]
    shape: tuple[int, int, int]
    same_shape: bool
    left_out: tuple[LeftOut, ...]
    left_out_count: int
    sketch: DatasetSketch


class LabelledImages(NamedTuple):
    """Prepared images (n, h, w, c) uint8, the class index of each (n,) int64, and the names of the classes."""

    images: Pixels
    labels: NDArray[np.int64]
    classes: tuple[str, ...]


class NamedImages(NamedTuple):
    """Prepared images (n, h, w, c) uint8, and the name of each in the upload."""

    images: Pixels
    items: tuple[str, ...]


def read_examples(
    file: BinaryIO, *, limits: DatasetLimits, labelled: bool = True, leave_out_broken: bool = False
) -> DatasetReader:
    """Open an upload; without labels it may also be one image file, or a zip of images in any folders.

    Args:
        file: seekable; it stays open while the reader is used.
        limits: what it may amount to.
        labelled: whether every image must have a label.
        leave_out_broken: leave images out that cannot be decoded, rather than refuse the upload.

    Raises:
        InvalidDatasetError: the upload's outside is not acceptable.
        TooLargeError: a bound is passed.
    """
    match detect_format(file, labelled=labelled):
        case "zip":
            source = open_zip(file, limits=limits, labelled=labelled)
        case "parquet":
            from registry.dataset_formats.parquet_rows import open_parquet  # noqa: PLC0415 - pyarrow takes 30 MB

            source = open_parquet(file, limits=limits, labelled=labelled)
        case "npz":
            source = open_npz(file, limits=limits, labelled=labelled)
        case "safetensors":
            source = open_tensors(file, limits=limits, labelled=labelled)
        case "image":
            source = _single_image(file, limits=limits, labelled=labelled)
    return DatasetReader(source, limits=limits, leave_out_broken=leave_out_broken)


def _single_image(file: BinaryIO, *, limits: DatasetLimits, labelled: bool) -> Source:
    if labelled:
        raise InvalidDatasetError(f"the upload is a single image, and has no labels; send {ACCEPTED}")
    file.seek(0)
    data = file.read(limits.image_file_bytes + 1)
    if len(data) > limits.image_file_bytes:
        raise TooLargeError(f"the image has more than {limits.image_file_bytes:,} bytes, the most that are allowed")

    def load() -> Pixels:
        return decode_image(data, item="image", pixel_limit=limits.image_pixels)

    return Source("image", 1, iter([Candidate("image", None, load)]))


def summarise(file: BinaryIO, *, limits: DatasetLimits, leave_out_broken: bool = False) -> DatasetSummary:
    """Read and decode a whole labelled upload, which is the check, and say what it holds.

    Args:
        file: seekable.
        limits: what it may amount to.
        leave_out_broken: leave images out that cannot be decoded, rather than refuse the upload.

    Returns:
        Classes in natural order: numbers by value, then texts.

    Raises:
        InvalidDatasetError: it is no labelled dataset of two classes or more; a fault for each thing.
        TooLargeError: a bound is passed.
    """
    reader = read_examples(file, limits=limits, leave_out_broken=leave_out_broken)
    counts: Counter[str] = Counter()
    shapes: Counter[tuple[int, int, int]] = Counter()
    sketching = SketchBuilder()
    for example in reader:
        sketching.add(example.image)
        counts[example.label or ""] += 1
        height, width, channels = example.image.shape
        shapes[height, width, channels] += 1
    _check_classes(counts)
    classes = in_natural_order(counts)
    return DatasetSummary(
        format=cast(Literal["zip", "parquet", "npz", "safetensors"], reader.format),
        examples=counts.total(),
        classes=classes,
        counts=tuple(counts[name] for name in classes),
        shape=max(shapes, key=lambda shape: (shapes[shape], shape)),
        same_shape=len(shapes) == 1,
        left_out=tuple(reader.left_out),
        left_out_count=reader.left_out_count,
        sketch=sketching.sketch(),
    )


def _check_classes(counts: Mapping[str, int]) -> None:
    if len(counts) < 2:
        found = ", ".join(repr(name) for name in counts) or "none"
        raise InvalidDatasetError(
            f"a dataset needs images of at least two classes, found {len(counts)}: {found}; in a zip, {LAYOUT}"
        )
    looks: dict[str, str] = {}
    for name in counts:
        other = looks.setdefault(unicodedata.normalize("NFC", name), name)
        if other != name:
            raise InvalidDatasetError(
                f"two classes are called {name!r}, which Unicode can write in two ways ({other!a}, {name!a}); "
                "give them one name, or two that can be told apart"
            )


def in_natural_order(names: Collection[str]) -> tuple[str, ...]:
    """Names of classes in the order in which people count: numbers by value, then texts."""
    numbers = sorted((name for name in names if _is_number(name)), key=lambda name: (int(name), name))
    return (*numbers, *sorted(name for name in names if not _is_number(name)))


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit()


def read_labels(file: BinaryIO, *, limits: DatasetLimits) -> tuple[str, ...]:
    """The label of every image, in the order of the upload; no image is decoded, so broken ones count too.

    Returns:
        One name a row; the position is what `load_arrays` calls a row.

    Raises:
        InvalidDatasetError, TooLargeError: as `summarise` does, but for images.
    """
    reader = read_examples(file, limits=limits)
    labels = tuple(candidate.label or "" for candidate in reader.candidates())
    reader.finish()
    return labels


def load_arrays(
    file: BinaryIO,
    *,
    preprocessing: Preprocessing,
    limits: DatasetLimits,
    classes: Mapping[str, Sequence[str]] | None = None,
    rows: Collection[int] | None = None,
    leave_out_broken: bool = True,
) -> LabelledImages:
    """Load a dataset's images, prepared for an input module, with the classes of a task.

    Args:
        file: seekable.
        preprocessing: what the input module takes.
        limits: what the upload may amount to.
        classes: each class of the task and the dataset labels merged into it; images of other labels are not
            loaded. None or empty: the dataset's own classes, in natural order.
        rows: positions in `read_labels` to keep; only these images are decoded. None: all.
        leave_out_broken: leave broken images out, as was agreed when the dataset was uploaded.

    Returns:
        Images in the order of the upload, labels by position in the names of the classes.

    Raises:
        InvalidDatasetError: the upload is not acceptable.
        InvalidTaskError: no image has one of the labels, or a label is in two classes.
        TooLargeError: a bound is passed; also that of memory, when prepared images take more than unpacked ones may.
    """
    reader = read_examples(file, limits=limits, leave_out_broken=leave_out_broken)
    return read_arrays(reader, preprocessing=preprocessing, limits=limits, classes=classes, rows=rows)


def read_arrays(
    reader: DatasetReader,
    *,
    preprocessing: Preprocessing,
    limits: DatasetLimits,
    classes: Mapping[str, Sequence[str]] | None = None,
    rows: Collection[int] | None = None,
) -> LabelledImages:
    """The same by a reader that has just begun, and knows afterwards what was left out."""
    index_of = _class_of_label(classes) if classes else None
    wanted = None if rows is None else frozenset(rows)
    chosen = _chosen(reader, labels=index_of, rows=wanted)
    count = reader.at_most if wanted is None else min(reader.at_most, len(wanted))
    images, labels = _prepared(chosen, preprocessing=preprocessing, at_most=count, limits=limits)
    reader.finish()
    if not labels:
        raise InvalidTaskError(f"the dataset has no usable image of the classes {sorted(index_of or ())[:20]}")
    names = tuple(classes) if classes else in_natural_order(set(labels))
    index_of = index_of or {name: index for index, name in enumerate(names)}
    return LabelledImages(images, np.array([index_of[label] for label in labels], dtype=np.int64), names)


def load_images(
    file: BinaryIO, *, preprocessing: Preprocessing, limits: DatasetLimits, leave_out_broken: bool = False
) -> NamedImages:
    """Load images to predict on, prepared for an input module; labels are neither needed nor read.

    Raises:
        InvalidDatasetError: the upload holds no images, or broken ones.
        TooLargeError: a bound is passed.
    """
    reader = read_examples(file, limits=limits, labelled=False, leave_out_broken=leave_out_broken)
    images, items = _prepared(reader, preprocessing=preprocessing, at_most=reader.at_most, limits=limits)
    if not items:
        raise _no_images()
    return NamedImages(images, tuple(items))


def check_images(file: BinaryIO, *, limits: DatasetLimits) -> None:
    """Read and decode every image to predict on. Raises what `load_images` would, but for what preparing them takes."""
    reader = read_examples(file, limits=limits, labelled=False)
    if not sum(1 for _ in reader):
        raise _no_images()


def _no_images() -> InvalidDatasetError:
    """The error for an upload without a single image."""
    return InvalidDatasetError(f"the upload holds no images; send {ACCEPTED_UNLABELLED}")


def _class_of_label(classes: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """Position of the class that each dataset label belongs to. Raises InvalidTaskError for a label in two."""
    index_of: dict[str, int] = {}
    for index, (name, merged) in enumerate(classes.items()):
        for label in merged:
            if index_of.setdefault(label, index) != index:
                raise InvalidTaskError(f"label {label!r} is in class {name!r} and in another; give it to one")
    return index_of


def _chosen(
    reader: DatasetReader, *, labels: Collection[str] | None, rows: Collection[int] | None
) -> Iterator[Example]:
    """Decode only the candidates with one of the labels and in one of the rows; None means all."""
    for row, candidate in enumerate(reader.candidates()):
        if (labels is None or candidate.label in labels) and (rows is None or row in rows):
            example = reader.decode(candidate)
            if example is not None:
                yield example


def _prepared(
    examples: Iterable[Example], *, preprocessing: Preprocessing, at_most: int, limits: DatasetLimits
) -> tuple[Pixels, list[str]]:
    """Prepared images in one array, and of each its label or, where it has none, its name."""
    channels, height, width = preprocessing.shape
    if at_most * channels * height * width > limits.decoded_bytes:
        raise TooLargeError(
            f"{at_most:,} images of {height} x {width} x {channels} take more than {limits.decoded_bytes:,} bytes, "
            "the most that are allowed; use fewer examples"
        )
    images = np.empty((at_most, height, width, channels), dtype=np.uint8)
    names: list[str] = []
    for example in examples:
        images[len(names)] = prepare_image(example.image, preprocessing)
        names.append(example.item if example.label is None else example.label)
    return images[: len(names)], names
