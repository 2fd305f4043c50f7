"""Known pairs on a device: which pairs of a batch are of one class, and which are known; nothing is read back."""

from typing import Self

import numpy as np
import torch
from torch import Tensor, nn

from kernel_methods.pairs import KnownPairs

DENSE_GROUPS = 8192
"""Up to so many groups, which of them differ is a boolean matrix, of 64 MiB at most; above, a sorted list of keys."""


class KnownPairsLookup(nn.Module):
    """Which pairs of a batch are known, from the examples' indices; move it to the device of the indices.

    Args:
        groups: group of each example, 0..G-1. Shape (n,), int64.
        group_count: number of groups G.
        keys: g * G + h of every two groups g, h known to be of different classes, both ways, ascending. Shape (e,).
        dense_groups: up to so many groups a matrix is held instead of the keys.
    """

    groups: Tensor
    different: Tensor

    def __init__(self, groups: Tensor, *, group_count: int, keys: Tensor, dense_groups: int = DENSE_GROUPS) -> None:
        super().__init__()
        self.group_count = group_count
        self.dense = group_count <= dense_groups
        self.register_buffer("groups", groups, persistent=False)
        self.register_buffer(
            "different", _matrix(keys, group_count) if self.dense else _bounded(keys), persistent=False
        )

    @classmethod
    def of(cls, known: KnownPairs, *, dense_groups: int = DENSE_GROUPS) -> Self:
        """The lookup of what is known, on the CPU."""
        count = known.different.shape[0]
        links = known.different.tocoo()
        keys = np.sort(links.row.astype(np.int64) * count + links.col)
        return cls(
            torch.from_numpy(known.groups.copy()),
            group_count=count,
            keys=torch.from_numpy(keys),
            dense_groups=dense_groups,
        )

    def forward(self, indices: Tensor) -> tuple[Tensor, Tensor]:
        """Which pairs of a batch are of one class, and which are known.

        Args:
            indices: the batch's examples. Shape (b,), int64.

        Returns:
            Shape (b, b) each, boolean, both true on the diagonal.
        """
        groups = self.groups[indices]
        same = groups[:, None] == groups[None, :]
        return same, same | self._different(groups)

    def _different(self, groups: Tensor) -> Tensor:
        if self.dense:
            return self.different[groups[:, None], groups[None, :]]
        keys = groups[:, None] * self.group_count + groups[None, :]
        place = torch.searchsorted(self.different, keys).clamp_max(len(self.different) - 1)
        return self.different[place] == keys


def _matrix(keys: Tensor, count: int) -> Tensor:
    flat = torch.zeros(count * count, dtype=torch.bool)
    flat[keys] = True
    return flat.view(count, count)


def _bounded(keys: Tensor) -> Tensor:
    """The keys with one more that no pair has, so that there is always one to compare with."""
    return torch.cat([keys.new_full((1,), -1), keys])
