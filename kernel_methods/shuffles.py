"""Chance levels from labels that were really shuffled, while the features passed by.

A score depends on the labels through inner products of class sums only. So a pass over the features that also adds
up class sums under shuffled labels keeps, for each shuffle, those products: C x C numbers, and no feature.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kernel_methods.centring import CentredStatistics
from kernel_methods.shuffling import Weights, class_weights
from kernel_methods.statistics import Floats, Integers

MOST_SHUFFLES = 200
FEWEST_SHUFFLES = 20
SUM_BYTES = 1 << 26
GRAM_BYTES = 1 << 24


@dataclass(frozen=True, slots=True, eq=False)
class ShuffledSums:
    """Class sums under shuffled labels, as their inner products; classes and examples as in the real statistics.

    Args:
        gram: inner products of the class sums of each shuffle. Shape (P, C, C), float64.
        zeros: zero feature vectors in each class of each shuffle. Shape (P, C), int64.
    """

    gram: Floats
    zeros: Integers

    def __post_init__(self) -> None:
        """Raises ValueError for shapes that do not belong together."""
        shuffles, classes = self.zeros.shape if self.zeros.ndim == 2 else (0, 0)
        if shuffles < 1 or self.gram.shape != (shuffles, classes, classes):
            raise ValueError(f"need gram (P, C, C) and zeros (P, C), got {self.gram.shape} and {self.zeros.shape}")

    @classmethod
    def of(cls, features: NDArray[np.floating], shuffled: Integers, *, classes: int) -> Self:
        """The same from features that are at hand.

        Args:
            features: unit or zero rows. Shape (n, d).
            shuffled: labels of every example under each shuffle. Shape (P, n).
            classes: number of classes C.
        """
        members = (shuffled[:, None, :] == np.arange(classes)[None, :, None]).astype(np.float64)
        sums = members @ features.astype(np.float64)
        zeros = members @ (np.linalg.norm(features, axis=1) == 0).astype(np.float64)
        return cls(sums @ sums.transpose(0, 2, 1), zeros.astype(np.int64))

    def merge_classes(self, groups: Sequence[Sequence[int]]) -> Self:
        """Shuffles of the merged classes: shuffling and merging commute."""
        chosen = np.zeros((len(groups), self.zeros.shape[1]))
        for place, group in enumerate(groups):
            chosen[place, list(group)] = 1.0
        return type(self)(chosen @ self.gram @ chosen.T, self.zeros @ chosen.T.astype(np.int64))

    def energies(self, centred: CentredStatistics, weights: Weights) -> Floats:
        """The energy (see `shuffling`) under each shuffle. Shape (P,)."""
        counts, n = centred.counts, centred.examples
        length = float(centred.mean @ centred.mean)
        along = self.gram.sum(axis=2) / n
        energy = np.trace(self.gram, axis1=1, axis2=2) - 2.0 * along @ counts + length * float(counts @ counts)
        units = counts - self.zeros
        present = units - counts * (centred.class_units.sum() / n)
        linear = weights.projection * (along - counts * length) + weights.unit * present
        return np.asarray(energy + linear @ class_weights(centred), dtype=np.float64)


def shuffle_count(*, classes: int, dimensions: int) -> int:
    """How many shuffles fit into 64 MiB of sums and 16 MiB of products, at most 200; 0 where fewer than 20 do."""
    count = min(MOST_SHUFFLES, SUM_BYTES // (4 * classes * dimensions), GRAM_BYTES // (8 * classes * classes))
    return count if count >= FEWEST_SHUFFLES else 0
