"""What one pass over a task leaves behind for judging a module: statistics in shards, and shuffled sums beside them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np

from kernel_methods.packing import Packed, read_tensors
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics, merge, pack, unpack_tensors


@dataclass(frozen=True, slots=True, eq=False)
class Evidence:
    """Statistics of disjoint random shards, and the same examples' class sums under shuffled labels, if kept."""

    shards: tuple[TaskStatistics, ...]
    shuffled: ShuffledSums | None = None

    def merge_classes(self, groups: Sequence[Sequence[int]]) -> Self:
        """Evidence of a task whose classes are merged of these, all of them."""
        shuffled = None if self.shuffled is None else self.shuffled.merge_classes(groups)
        return type(self)(tuple(shard.merge_classes(groups) for shard in self.shards), shuffled)

    def to_bytes(self) -> bytes:
        """One safetensors blob; equal evidence gives equal bytes. Raises ValueError without shards."""
        if self.shuffled is None:
            return pack(self.shards)
        beside: dict[str, Packed] = {"shuffled_gram": self.shuffled.gram, "shuffled_zeros": self.shuffled.zeros}
        return pack(self.shards, beside=beside)

    @classmethod
    def from_bytes(cls, data: bytes, *, limit_bytes: int) -> Self:
        """Read what `to_bytes` wrote, trusting nothing.

        Raises:
            ValueError: as `statistics.unpack`, or shuffled sums are those of other examples.
        """
        tensors = read_tensors(data, limit_bytes=limit_bytes)
        shards = unpack_tensors(tensors)
        if "shuffled_gram" not in tensors:
            return cls(shards)
        shuffled = ShuffledSums(tensors["shuffled_gram"].astype(np.float64), tensors["shuffled_zeros"].astype(np.int64))
        _check_plausible(shuffled, merge(shards))
        return cls(shards, shuffled)


def _check_plausible(shuffled: ShuffledSums, total: TaskStatistics) -> None:
    """Raises ValueError unless shuffles deal the same rows: as many zero rows, the same sum of all."""
    if np.any(shuffled.zeros < 0) or np.any(shuffled.zeros > total.counts):
        raise ValueError("shuffled zero rows must be between 0 and the size of their class")
    if np.any(shuffled.zeros.sum(axis=1) != total.zeros.sum()):
        raise ValueError("shuffles must deal the same zero rows")
    everything = float(np.sum(total.class_sums.sum(axis=0) ** 2))
    if np.abs(shuffled.gram.sum(axis=(1, 2)) - everything).max() > 1e-3 * (1.0 + everything):
        raise ValueError("shuffles must deal the same rows")
