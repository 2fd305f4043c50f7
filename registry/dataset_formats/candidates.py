"""What every format is read as: candidates for examples, things left out, and labels that cannot stand."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from registry.records import LeftOut
from registry.settings import Settings

Format = Literal["zip", "parquet", "npz", "safetensors", "image"]
Pixels = NDArray[np.uint8]


class BrokenImageError(ValueError):
    """One image cannot be decoded; the reader decides whether that refuses the upload or leaves the image out."""


@dataclass(frozen=True, slots=True)
class DatasetLimits:
    """The most that an upload may amount to.

    Args:
        unpacked_bytes: what all files or columns may unpack to.
        examples: number of images.
        classes: number of distinct labels.
        image_pixels: height times width of one image.
    """

    unpacked_bytes: int
    examples: int
    classes: int
    image_pixels: int

    @property
    def image_file_bytes(self) -> int:
        """Largest file of one image: four bytes for each pixel, and a mebibyte for what else is in it."""
        return 4 * self.image_pixels + 1024 * 1024

    @property
    def decoded_bytes(self) -> int:
        """What all images may decode to; files shrink pixels, most by less than this factor."""
        return 16 * self.unpacked_bytes


def limits_from(settings: Settings) -> DatasetLimits:
    """The limits that the service's settings name."""
    return DatasetLimits(
        unpacked_bytes=settings.unpacked_limit_bytes,
        examples=settings.dataset_limit_examples,
        classes=settings.dataset_limit_classes,
        image_pixels=settings.image_limit_pixels,
    )


def pointer_to(item: str) -> str:
    """A JSON pointer (RFC 6901) into an upload: an archive's entry, a step for each folder, or a row's number."""
    return "/" + item.replace("~", "~0")


@dataclass(frozen=True, slots=True)
class Candidate:
    """One image that may become an example: its name in the upload, its label, and how to decode it.

    `load` gives shape (h, w, c), uint8, c 1 or 3; it works until the next candidate is asked for, and raises
    BrokenImageError or TooLargeError.
    """

    item: str
    label: str | None
    load: Callable[[], Pixels]


@dataclass(frozen=True, slots=True)
class WrongLabel:
    """One label that cannot stand, and why; it always refuses the upload."""

    item: str
    reason: str


Finding = Candidate | LeftOut | WrongLabel


@dataclass(frozen=True, slots=True)
class Source:
    """An upload whose outside has passed every check; ``findings`` reads the inside, once.

    Args:
        format: what the upload is.
        at_most: number of candidates, or more.
        findings: candidates in the order of the upload, and what is no candidate.
    """

    format: Format
    at_most: int
    findings: Iterator[Finding]
