"""Chance levels from labels that were really shuffled, while the features passed by.

A score depends on the labels through class sums only. So a pass over the features that also adds up class sums under
shuffled labels has all that the score of each shuffle needs: C x d numbers, and no feature. Like statistics they add.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kernel_methods.centring import CentredStatistics
from kernel_methods.kernel_sums import check_two_classes
from kernel_methods.shuffling import Weights, class_weights
from kernel_methods.statistics import Floats, Integers, TaskStatistics

MOST_SHUFFLES = 200
FEWEST_SHUFFLES = 40
SUM_BYTES = 1 << 24
FEWEST_DRAWN = 10
FLAT = 1e-12
DRAWN_BYTES = 1 << 28


@dataclass(frozen=True, slots=True, eq=False)
class ShuffledSums:
    """Class sums under shuffled labels; classes and examples as in the real statistics.

    Args:
        sums: class sums of each shuffle. Shape (P, C, d), float32 or float64.
        zeros: zero feature vectors in each class of each shuffle. Shape (P, C), int64.
    """

    sums: NDArray[np.floating]
    zeros: Integers

    def __post_init__(self) -> None:
        """Raises ValueError for shapes that do not belong together."""
        shuffles = self.zeros.shape[0] if self.zeros.ndim == 2 else 0
        if shuffles < 1 or self.sums.ndim != 3 or self.sums.shape[:2] != self.zeros.shape:
            raise ValueError(f"need sums (P, C, d) and zeros (P, C), got {self.sums.shape} and {self.zeros.shape}")

    @classmethod
    def of(cls, features: NDArray[np.floating], shuffled: Integers, *, classes: int) -> Self:
        """The same from features that are at hand.

        Args:
            features: unit or zero rows. Shape (n, d).
            shuffled: labels of every example under each shuffle. Shape (P, n).
            classes: number of classes C.
        """
        members = (shuffled[:, None, :] == np.arange(classes)[None, :, None]).astype(np.float64)
        zeros = members @ (np.linalg.norm(features, axis=1) == 0).astype(np.float64)
        return cls(members @ features.astype(np.float64), zeros.astype(np.int64))

    def __add__(self, other: Self) -> Self:
        """Shuffles of both sets of examples, each set's labels dealt among its own. Raises ValueError."""
        if self.sums.shape != other.sums.shape:
            raise ValueError(f"shuffles do not add: {self.sums.shape} and {other.sums.shape}")
        return type(self)(self.sums + other.sums, self.zeros + other.zeros)

    def merge_classes(self, groups: Sequence[Sequence[int]]) -> Self:
        """Shuffles of the merged classes: shuffling and merging commute."""
        chosen = np.zeros((len(groups), self.zeros.shape[1]), dtype=self.sums.dtype)
        for place, group in enumerate(groups):
            chosen[place, list(group)] = 1.0
        return type(self)(chosen @ self.sums, self.zeros @ chosen.T.astype(np.int64))

    def energies(self, centred: CentredStatistics, weights: Weights) -> Floats:
        """The energy (see `shuffling`) under each shuffle. Shape (P,)."""
        counts, n = centred.counts, centred.examples
        length = float(centred.mean @ centred.mean)
        sums = self.sums.astype(np.float64)
        along = np.einsum("pcd,pd->pc", sums, sums.sum(axis=1)) / n
        energy = np.einsum("pcd,pcd->p", sums, sums) - 2.0 * along @ counts + length * float(counts @ counts)
        units = counts - self.zeros
        present = units - counts * (centred.class_units.sum() / n)
        linear = weights.projection * (along - counts * length) + weights.unit * present
        return np.asarray(energy + linear @ class_weights(centred), dtype=np.float64)


def shuffle_count(*, classes: int, dimensions: int) -> int:
    """How many shuffles fit into 16 MiB of float32 sums, at most 200; 0 where fewer than 40 do."""
    count = min(MOST_SHUFFLES, SUM_BYTES // (4 * classes * dimensions))
    return count if count >= FEWEST_SHUFFLES else 0


def drawn_shuffles(stats: TaskStatistics, count: int, generator: np.random.Generator) -> ShuffledSums:
    """Class sums of shuffled labels where none were kept: from the normal law with their mean and covariance.

    Under shuffling, the centred class sums have covariance (n_c [c = e] - n_c n_e / n) / (n - 1) times the centred
    second moment. The draws are scaled as if the labels lay on a sphere in n - 1 dimensions, so that features of n or
    more dimensions do not explain more than there is. With classes of few examples the true law has heavier tails;
    where sums are not kept there are many classes, whose sum matters. Zero rows are dealt as they lie.

    Args:
        stats: statistics of the task's features.
        count: how many; fewer, at least 10, where their sums would pass 256 MiB.
        generator: source of the draw.

    Raises:
        ValueError: fewer than two classes have examples.
    """
    check_two_classes(stats.counts.astype(np.float64))
    counts, n = stats.counts.astype(np.float64), float(stats.examples)
    mean = stats.class_sums.sum(axis=0) / n
    values, directions = np.linalg.eigh(stats.second_moment - n * np.outer(mean, mean))
    kept = values > FLAT * n
    fit = max(FEWEST_DRAWN, DRAWN_BYTES // (8 * stats.class_sums.size))
    draws = _labels_on_sphere(counts, int(kept.sum()), count=min(count, fit), generator=generator)
    zeros = np.tile(stats.zeros, (len(draws), 1))
    spread = directions[:, kept] * np.sqrt(values[kept])
    return ShuffledSums(np.outer(counts, mean) + draws @ spread.T, zeros)


def _labels_on_sphere(counts: Floats, dimensions: int, *, count: int, generator: np.random.Generator) -> Floats:
    """Shuffled indicators along some of the n - 1 orthogonal directions of examples. Shape (count, C, dimensions)."""
    n, others = counts.sum(), len(counts) - 1
    draws = generator.standard_normal((count, len(counts), dimensions)) * np.sqrt(counts / (n - 1.0))[:, None]
    draws -= (counts / n)[:, None] * draws.sum(axis=1, keepdims=True)
    radius = n - float(counts @ counts) / n
    elsewhere = max(n - 1.0 - dimensions, 0.0) * others
    rest = generator.chisquare(elsewhere, count) * radius / ((n - 1.0) * others) if elsewhere else np.zeros(count)
    whole = (draws**2).sum(axis=(1, 2)) + rest
    return np.asarray(draws * np.sqrt(radius / whole)[:, None, None])
