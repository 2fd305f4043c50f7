"""Many real modules, cheaply: small convolutions over CIFAR-10, random and trained, for `bench.halving`.

A third of them are random: filters are random numbers, or patches of other images; patch, width, threshold and scaling
of the patches differ. The others are trained, in closed form, on top of wide random ones: a kernel ridge regression of
labels, learned from other images of some of the classes, few or many; what they give are its rectified answers. Every
module has a seed of its own. So some know the classes of a task, some know others, and many lie close together.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle, islice, product

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Singles = NDArray[np.float32]
Integers = NDArray[np.int64]
Bytes = NDArray[np.uint8]
ROWS_AT_ONCE = 250
STRIDE = 3

PATCHES, WIDTHS, THRESHOLDS = (3, 5, 8), (8, 16, 32), (0.0, 0.5)
WIDEST = 64


@dataclass(frozen=True, slots=True)
class RandomModule:
    """How a module is made: side of its patches in pixels, number of filters, what they are drawn from."""

    patch: int
    width: int
    threshold: float
    from_images: bool
    scaled: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Images:
    """Images and labels. Shapes (n, h, w, c) and (n,)."""

    pixels: Bytes
    labels: Integers


def features_of_many(count: int, images: Images, others: Images) -> Iterator[Singles]:
    """Features of so many modules, one after the other; see `features_of`.

    Args:
        count: how many modules.
        images: what the modules run over.
        others: what they are made from.
    """
    kinds = cycle(product(PATCHES, WIDTHS, THRESHOLDS, (False, True), (False, True)))
    for seed, (patch, width, threshold, from_images, scaled) in enumerate(islice(kinds, count // 3)):
        module = RandomModule(patch, width, threshold, from_images, scaled, seed)
        yield features_of(module, images.pixels, others.pixels)
    bases = [
        RandomModule(patch, WIDEST, 0.0, from_images=True, scaled=True, seed=seed) for seed, patch in enumerate(PATCHES)
    ]
    made = [[features_of(base, each.pixels, others.pixels) for each in (images, others)] for base in bases]
    for seed in range(count - count // 3):
        over, learned_from = made[seed % len(made)]
        yield _trained(over, learned_from, others.labels, np.random.default_rng([seed, count]))


def _trained(over: Singles, learned_from: Singles, labels: Integers, draws: np.random.Generator) -> Singles:
    """Rectified answers of a regression that was learned from some examples of some classes. Shape (n, 2 * classes)."""
    classes = draws.choice(10, draws.integers(2, 11), replace=False)
    rows = draws.permutation(np.flatnonzero(np.isin(labels, classes)))
    rows = rows[: max(50, int(len(rows) * draws.uniform(0.02, 1.0)))]
    known, mean = learned_from[rows].astype(np.float64), learned_from[rows].mean(axis=0)
    targets = (labels[rows][:, None] == classes).astype(np.float64)
    centred = known - mean
    moment = centred.T @ centred + 1e-3 * len(rows) * np.eye(known.shape[1]) * centred.var()
    answers = (over - mean) @ np.linalg.solve(moment, centred.T @ (targets - targets.mean(axis=0)))
    return _unit(np.maximum(np.concatenate([answers, -answers], axis=1), 0.0))


def features_of(module: RandomModule, images: NDArray[np.uint8], others: NDArray[np.uint8]) -> Singles:
    """Unit features of images; a row that is zero stays so. Shape (n, 4 * width).

    Args:
        module: how it is made.
        images: shape (n, h, w, c).
        others: images that filters may be cut from.
    """
    filters = _filters(module, others)
    parts = [
        _responses(module, filters, images[start : start + ROWS_AT_ONCE])
        for start in range(0, len(images), ROWS_AT_ONCE)
    ]
    return _unit(np.concatenate(parts))


def _unit(features: NDArray[np.floating]) -> Singles:
    """Rows of unit length; a row that is zero stays so."""
    return np.asarray(features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-9), np.float32)


def _responses(module: RandomModule, filters: Singles, images: NDArray[np.uint8]) -> Singles:
    """Rectified responses, averaged over the quarters of an image. Shape (n, 4 * width)."""
    windows = _windows(images, module.patch)
    patches = _prepared(windows.reshape(-1, windows[0, 0, 0].size), scaled=module.scaled)
    responses = np.maximum(patches @ filters - module.threshold, 0.0).reshape(*windows.shape[:3], module.width)
    half = responses.shape[1] // 2
    quarters = [responses[:, rows, columns].mean(axis=(1, 2)) for rows, columns in product(*[_halves(half)] * 2)]
    return np.concatenate(quarters, axis=1)


def _halves(half: int) -> tuple[slice, slice]:
    return slice(None, half), slice(half, None)


def _windows(images: NDArray[np.uint8], patch: int) -> Singles:
    """Patches of images at every third pixel. Shape (n, rows, columns, c, patch, patch)."""
    pixels = images.astype(np.float32) / 255
    return sliding_window_view(pixels, (patch, patch), axis=(1, 2))[:, ::STRIDE, ::STRIDE]


def _prepared(patches: Singles, *, scaled: bool) -> Singles:
    """Patches without their mean, and, if scaled, of one length. Shape (n, size)."""
    centred = patches - patches.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=1, keepdims=True) if scaled else np.float32(0.1 * patches.shape[1] ** 0.5)
    return np.asarray(centred / np.maximum(lengths, 0.1), np.float32)


def _filters(module: RandomModule, others: NDArray[np.uint8]) -> Singles:
    """Shape (size of a patch, width)."""
    draws = np.random.default_rng([module.seed, module.patch, module.width])
    windows = _windows(others[draws.choice(len(others), module.width, replace=False)], module.patch)
    chosen = windows[range(module.width), draws.integers(windows.shape[1], size=module.width), 0]
    cut = _prepared(chosen.reshape(module.width, -1), scaled=True)
    drawn = draws.standard_normal(cut.shape).astype(np.float32)
    filters = cut if module.from_images else drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return np.asarray(3.0 * filters.T, np.float32)
