"""Sketches of datasets: from two of them, how many images of one are near-duplicates of images in the other.

An image's fingerprint is 64 bits, made from 8 x 8 means of its brightness. The high 40 bits are a hash of the signs of
the slowest waves in them; by them images are sampled, everywhere the same. The low 24 bits are what is left, measured
coarsely and modulo eight steps, and compared with a tolerance: they tell images apart whose signs happen to agree.
"""

import base64
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from registry.dataset_sketch import SKETCH_SIZE, DatasetSketch

Pixels: TypeAlias = NDArray[np.uint8]
Floats: TypeAlias = NDArray[np.float64]
Fingerprints: TypeAlias = NDArray[np.uint64]

CELLS = 8
SIGNS = 28
"""How many waves give their sign: fewer survive more, but tell fewer images apart."""

MEASURES, STEP, LEVELS = 8, 0.07, 8
"""Sums of waves that are measured, in steps of this many standard deviations of the means, modulo so many steps."""

BLANK = 2.0
"""An image whose means vary by less than this (of 255 levels) has no fingerprint: it looks like all such images."""

ENOUGH_LINES = 64
"""The lines of larger images are first summed, such that at least so many are left."""

MOST_PIXELS = 8192
"""Of longer sides only every second, third, ... pixel counts, such that no more are left: memory stays bounded."""

NEAR_ZERO = 1e-5
LUMA = (0.299, 0.587, 0.114)
MEASURE_BITS = MEASURES * 3
SIGN_BITS = 64 - MEASURE_BITS
BATCH_IMAGES, BATCH_BYTES, ALONE_BYTES = 256, 2**20, 2**16
Z95 = 1.959963984540054
REMEMBERED = 2_000
MOST_CHANCE = 0.999


@dataclass(frozen=True, slots=True)
class Overlap:
    """Which share of one dataset's images are near-duplicates of images in another.

    `share` is the estimate, `low` and `high` hold the truth 95 times in 100 as far as sampling goes, all in [0, 1];
    matches that images of this kind have by chance are taken off. `sampled` images were compared. `jaccard` is the
    share of all images of both that are in both.
    """

    share: float
    low: float
    high: float
    sampled: int
    jaccard: float


class SketchBuilder:
    """Takes a dataset's images one at a time and makes its sketch; images of one shape are worked on together."""

    def __init__(self) -> None:
        """Nothing was seen yet."""
        self._waiting: defaultdict[tuple[int, ...], list[Pixels]] = defaultdict(list)
        self._waiting_bytes = 0
        self._found: list[Fingerprints] = []

    def add(self, image: Pixels) -> None:
        """One image. Shape (h, w, c), uint8, c 1 or 3."""
        if image.nbytes >= ALONE_BYTES:
            self._found.append(fingerprints(image[None]))
            return
        same = self._waiting[image.shape]
        same.append(image)
        self._waiting_bytes += image.nbytes
        if len(same) >= BATCH_IMAGES or self._waiting_bytes >= BATCH_BYTES:
            self._work()

    def sketch(self) -> DatasetSketch:
        """The sketch of all images so far."""
        self._work()
        different = np.unique(np.concatenate([*self._found, np.empty(0, dtype=np.uint64)]))
        self._found = [different]
        packed = base64.b64encode(different[:SKETCH_SIZE].astype("<u8").tobytes()).decode("ascii")
        return DatasetSketch(images=len(different), smallest=packed)

    def _work(self) -> None:
        """Find the fingerprints of the images that wait."""
        self._found += [fingerprints(np.stack(images)) for images in self._waiting.values() if images]
        self._waiting.clear()
        self._waiting_bytes = 0


def sketch_images(images: Iterable[Pixels]) -> DatasetSketch:
    """The sketch of images, each of shape (h, w, c), uint8, c 1 or 3."""
    builder = SketchBuilder()
    for image in images:
        builder.add(image)
    return builder.sketch()


def fingerprints(images: Pixels) -> Fingerprints:
    """Fingerprints of the images that have one, in their order; blank ones are left out.

    Args:
        images: shape (n, h, w, c), uint8, c 1 or 3.

    Raises:
        ValueError: the images have another shape.

    Source:
        Zauner (2010), Implementation and Benchmarking of Perceptual Image Hash Functions, section 3.2.1: signs of the
        slow waves of a cosine transform. Broder (1997), On the Resemblance and Containment of Documents: the smallest
        hashes as a sample.
    """
    if images.ndim != 4 or images.shape[3] not in (1, 3) or 0 in images.shape[1:]:
        raise ValueError(f"images must have shape (n, h, w, 1) or (n, h, w, 3), got {images.shape}")
    cells = _cells(images)
    cells = cells - cells.mean(axis=1, keepdims=True)
    spread = np.sqrt((cells**2).mean(axis=1, keepdims=True))
    seen = spread[:, 0] >= BLANK
    waves = (cells[seen] / spread[seen]) @ _waves().T
    signs = (waves > NEAR_ZERO) @ (1 << np.arange(SIGNS, dtype=np.uint64))
    steps = np.floor(waves @ _measures().T / STEP).astype(np.int64) % LEVELS
    measured = steps.astype(np.uint64) @ (np.uint64(1) << np.arange(0, MEASURE_BITS, 3, dtype=np.uint64))
    low = np.uint64((1 << MEASURE_BITS) - 1)
    return np.asarray((_mixed(signs.astype(np.uint64)) & ~low) | measured)


def _cells(images: Pixels) -> Floats:
    """Mean brightness of 8 x 8 equal parts of each image, to parts of pixels. Shape (n, 64).

    From 128 lines on, sums of lines that lie across the edge of a part are shared out evenly.
    """
    skipped = [-(-side // MOST_PIXELS) for side in images.shape[1:3]]
    images = images[:, :: skipped[0], :: skipped[1]]
    n, height, width, channels = images.shape
    every = max(1, height // ENOUGH_LINES)
    lines = _summed(images.reshape(n, height, width * channels), every).astype(np.float32)
    narrow = lines.reshape(-1, width * channels) @ _columns(width, channels)
    cells = _parts(height, every) @ narrow.reshape(n, -1, CELLS).astype(np.float64)
    return np.asarray(cells.reshape(n, CELLS * CELLS))


def _summed(lines: Pixels, every: int) -> NDArray[np.uint16]:
    """Sums of every so many lines, the last of what is left: exact, and far cheaper than to multiply whole images.

    Shape (n, lines, m) to (n, ceil(lines / every), m).
    """
    n, count, m = lines.shape
    whole = count - count % every
    sums = lines[:, :whole].reshape(n, whole // every, every, m).sum(axis=2, dtype=np.uint16)
    if whole == count:
        return np.asarray(sums)
    return np.concatenate([sums, lines[:, whole:].sum(axis=1, keepdims=True, dtype=np.uint16)], axis=1)


@lru_cache(maxsize=32)
def _columns(width: int, channels: int) -> NDArray[np.float32]:
    """Weights of a line's values in the mean brightness of its eight parts. Shape (width * channels, 8)."""
    colours = np.array(LUMA if channels == 3 else (1.0,))
    weights = _parts(width, 1).T[:, None, :] * colours[:, None]
    return np.asarray(weights.reshape(width * channels, CELLS), dtype=np.float32)


@lru_cache(maxsize=32)
def _parts(count: int, every: int) -> Floats:
    """Weights of the sums of every so many lines in the means of eight equal parts of all. Shape (8, sums)."""
    starts = np.arange(0, count, every)
    ends = np.minimum(starts + every, count)
    edges = np.linspace(0.0, count, CELLS + 1)
    shared = np.minimum(edges[1:, None], ends) - np.maximum(edges[:-1, None], starts)
    return np.asarray(np.clip(shared, 0.0, None) / (ends - starts) * CELLS / count)


@lru_cache(maxsize=1)
def _waves() -> Floats:
    """The slowest waves of the cosine transform, but for the constant one. Shape (28, 64)."""
    places = (np.arange(CELLS) + 0.5) / CELLS
    lines = np.sqrt(2.0 / CELLS) * np.cos(np.pi * np.outer(np.arange(CELLS), places))
    lines[0] /= np.sqrt(2.0)
    speeds = [(down * down + across * across, down, across) for down in range(CELLS) for across in range(CELLS)]
    return np.stack([np.outer(lines[down], lines[across]).ravel() for _, down, across in sorted(speeds)[1 : SIGNS + 1]])


@lru_cache(maxsize=1)
def _measures() -> Floats:
    """Fixed sums of waves, of unit length and at right angles to each other. Shape (8, 28)."""
    drawn = _mixed(np.arange(1, MEASURES * SIGNS + 1, dtype=np.uint64)).reshape(MEASURES, SIGNS)
    centred = drawn.astype(np.float64) / 2.0**64 - 0.5
    rows: list[Floats] = []
    for row in centred:
        left = row - sum((float(row @ other) * other for other in rows), np.zeros(SIGNS))
        rows.append(left / np.linalg.norm(left))
    return np.stack(rows)


def _mixed(numbers: Fingerprints) -> Fingerprints:
    """Numbers mixed one to one, so that each bit depends on all.

    Source:
        Steele, Lea, Flood (2014), Fast Splittable Pseudorandom Number Generators, figure 17 (the mix of variant 13).
    """
    mixed = numbers + np.uint64(0x9E3779B97F4A7C15)
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return mixed ^ (mixed >> np.uint64(31))


def estimate_overlap(one: DatasetSketch, other: DatasetSketch) -> Overlap | None:
    """How much of one dataset is in another, by their sketches.

    Only fingerprints are compared that both sketches would hold if both datasets had them. Images that share their
    signs are sampled together, so the interval counts them as fewer.

    Args:
        one: whose images are looked for.
        other: where they are looked for.

    Returns:
        The share of the first's images that are in the second; None where no image can be compared.
    """
    first, second = _sample(one), _sample(other)
    end = min(first.end, second.end)
    mine, theirs = (sample.numbers[_signs_of(sample.numbers) < end] for sample in (first, second))
    if len(mine) == 0:
        return None
    found, back = (np.unique(places) for places in _matches(mine, theirs))
    sizes = np.unique(_signs_of(mine), return_counts=True)[1]
    share = len(found) / len(mine)
    low, high = _wilson(share, len(mine) ** 2 / float((sizes**2).sum()))
    chance = min(1.0 - float(np.exp(-min(first.density, second.density) * other.images)), MOST_CHANCE)
    share, low, high = (max(0.0, (each - chance) / (1.0 - chance)) for each in (share, low, high))
    both = (len(found) + len(back)) / 2
    jaccard = both / (len(mine) + len(theirs) - both)
    return Overlap(share=share, low=low, high=high, sampled=len(mine), jaccard=jaccard)


@dataclass(frozen=True, slots=True)
class _Sample:
    """A sketch, unpacked. Below `end`, by their signs, it has all that its dataset has.

    `density` is how many others an image matches within its dataset, by image there; never quite nothing.
    """

    numbers: Fingerprints
    end: int
    density: float


@lru_cache(maxsize=REMEMBERED)
def _sample(sketch: DatasetSketch) -> _Sample:
    numbers = np.array(sketch.numbers(), dtype=np.uint64)
    end = 1 << SIGN_BITS if sketch.complete else int(_signs_of(numbers)[-1])
    whole = numbers[_signs_of(numbers) < end]
    others = len(_matches(whole, whole)[0]) - len(whole)
    return _Sample(numbers, end, (others + 1) / (max(len(whole), 1) * max(sketch.images, 1)))


def _signs_of(numbers: Fingerprints) -> NDArray[np.int64]:
    """The part of fingerprints by which they are sampled."""
    return (numbers >> np.uint64(MEASURE_BITS)).astype(np.int64)


def _matches(ones: Fingerprints, others: Fingerprints) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Places of all pairs of near-duplicates: the same signs, and each measure at most a step apart.

    Args:
        ones: ascending. Shape (n,).
        others: ascending. Shape (m,).
    """
    starts, ends = (np.searchsorted(_signs_of(others), _signs_of(ones), side=side) for side in ("left", "right"))
    counts = ends - starts
    mine = np.repeat(np.arange(len(ones)), counts)
    theirs = np.arange(len(mine)) + np.repeat(starts - (np.cumsum(counts) - counts), counts)
    shifts = np.arange(0, MEASURE_BITS, 3, dtype=np.uint64)
    steps = [
        (each[:, None] >> shifts & np.uint64(LEVELS - 1)).astype(np.int64) for each in (ones[mine], others[theirs])
    ]
    apart = (steps[0] - steps[1]) % LEVELS
    near = (np.minimum(apart, LEVELS - apart) <= 1).all(axis=1)
    return mine[near], theirs[near]


def _wilson(share: float, n: float) -> tuple[float, float]:
    """The interval that holds a share 95 times in 100, seen on n draws.

    Source:
        Wilson (1927), Probable Inference, the Law of Succession, and Statistical Inference.
    """
    middle = (share + Z95**2 / (2 * n)) / (1 + Z95**2 / n)
    half = Z95 / (1 + Z95**2 / n) * np.sqrt(share * (1 - share) / n + Z95**2 / (4 * n * n))
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))
