"""What one pass over a task leaves behind for judging a module: statistics in shards, and shuffled sums beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from kernel_methods.measured import Measured, measured_of
from kernel_methods.packing import Packed, read_tensors
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics, merge, pack, unpack_tensors


@dataclass(frozen=True, eq=False)
class Evidence:
    """Statistics of disjoint random shards, and of the same examples: class sums under shuffled labels, if kept, and
    what was measured beside them, if anything was asked for.
    """

    shards: tuple[TaskStatistics, ...]
    shuffled: ShuffledSums | None = None
    beside: Measured | None = None

    @cached_property
    def total(self) -> TaskStatistics:
        """Statistics of all shards together. Raises ValueError without shards."""
        return merge(self.shards)

    def __add__(self, other: Self) -> Self:
        """Evidence of two disjoint sets of examples together, shard by shard; shuffles where both have them.

        Raises:
            ValueError: the two differ in the number of shards, classes or dimensions.
        """
        if len(self.shards) != len(other.shards):
            raise ValueError(f"evidence in {len(self.shards)} shards does not add to that in {len(other.shards)}")
        shuffled = None
        if self.shuffled is not None and other.shuffled is not None:
            shuffled = self.shuffled + other.shuffled
        shards = (one + another for one, another in zip(self.shards, other.shards, strict=True))
        beside = self.beside + other.beside if self.beside is not None and other.beside is not None else None
        return type(self)(tuple(shards), shuffled, beside)

    def merge_classes(self, groups: Sequence[Sequence[int]]) -> Self:
        """Evidence of a task whose classes are merged of these, all of them."""
        shuffled = None if self.shuffled is None else self.shuffled.merge_classes(groups)
        beside = None if self.beside is None else self.beside.merge_classes(groups)
        return type(self)(tuple(shard.merge_classes(groups) for shard in self.shards), shuffled, beside)

    def to_bytes(self) -> bytes:
        """One safetensors blob; equal evidence gives equal bytes. Raises ValueError without shards."""
        beside: dict[str, Packed] = {} if self.beside is None else self.beside.tensors()
        if self.shuffled is not None:
            sums = self.shuffled.sums.astype(np.float32)
            beside |= {"shuffled_sums": sums, "shuffled_zeros": self.shuffled.zeros}
        return pack(self.shards, beside=beside)

    @classmethod
    def from_bytes(cls, data: bytes, *, limit_bytes: int) -> Self:
        """Read what `to_bytes` wrote, trusting nothing.

        Raises:
            ValueError: as `statistics.unpack`, or shuffled sums, or what was measured, are those of other examples.
        """
        tensors = read_tensors(data, limit_bytes=limit_bytes)
        shards = unpack_tensors(tensors)
        total = merge(shards)
        beside = measured_of(tensors, total=total)
        if "shuffled_sums" not in tensors:
            return cls(shards, None, beside)
        shuffled = ShuffledSums(tensors["shuffled_sums"].astype(np.float32), tensors["shuffled_zeros"].astype(np.int64))
        _check_plausible(shuffled, total)
        return cls(shards, shuffled, beside)


def _check_plausible(shuffled: ShuffledSums, total: TaskStatistics) -> None:
    """Raises ValueError unless shuffles may deal the same rows: as many zero rows, the same sum of all, none longer."""
    if np.any(shuffled.zeros < 0) or np.any(shuffled.zeros > total.counts):
        raise ValueError("shuffled zero rows must be between 0 and the size of their class")
    if np.any(shuffled.zeros.sum(axis=1) != total.zeros.sum()):
        raise ValueError("shuffles must deal the same zero rows")
    slack = 1e-4 * (1.0 + total.examples)
    apart = shuffled.sums.sum(axis=1, dtype=np.float64) - total.class_sums.sum(axis=0)
    if np.abs(apart).max() > slack:
        raise ValueError("shuffles must deal the same rows")
    if np.any(np.linalg.norm(shuffled.sums, axis=2) > total.counts + slack):
        raise ValueError("a shuffled sum is longer than the number of examples in its class")
