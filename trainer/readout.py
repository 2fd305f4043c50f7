"""How well an output module reads the features below it: accuracy, likelihood, and what class means would reach."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernel_methods.intervals import LeftOut

Sums = NDArray[np.float64]


class ReadOutTally:
    """Counts hits and adds log-likelihoods, shard by shard.

    The nearest class mean of the same features is counted beside it. A shard is told by the means of the shards before
    it, so that no image is among those it is told by, and none needs to be kept; the first shard has none.
    """

    def __init__(self, *, order: Sequence[int], device: torch.device) -> None:
        """Args: order: the output of each class of the task; device: where outputs and features lie."""
        self._order = torch.tensor(order, device=device)
        self._running = torch.zeros(4, dtype=torch.float64, device=device)
        self._shards: list[Sums] = []
        self._counts = torch.zeros(len(order), dtype=torch.float64, device=device)
        self._seen = self._counts > 0
        self._means: Tensor | None = None
        self._sums: Tensor | None = None

    @torch.no_grad()
    def add(self, features: Tensor, outputs: Tensor, labels: Tensor) -> None:
        """Add a batch: features (n, d) below the last blocks, raw outputs (n, C), labels (n,)."""
        likelihoods = outputs[:, self._order].double().log_softmax(dim=1)
        told = likelihoods.gather(1, labels[:, None]).sum()
        hits = (likelihoods.argmax(dim=1) == labels).sum()
        by_means = (self._nearest(features) == labels).sum()
        count = torch.full_like(hits, len(labels))
        self._running += torch.stack([count.double(), hits.double(), told, by_means.double()])
        self._add_means(features, labels)

    def _add_means(self, features: Tensor, labels: Tensor) -> None:
        if self._sums is None:
            self._sums = torch.zeros(len(self._order), features.shape[1], dtype=torch.float64, device=features.device)
        self._sums.index_add_(0, labels, features.double())
        self._counts.index_add_(0, labels, torch.ones_like(labels, dtype=torch.float64))

    def _nearest(self, features: Tensor) -> Tensor:
        """Class whose mean is nearest, among those seen in earlier shards; -1 in the first. Shape (n,)."""
        if self._means is None:
            return torch.full((len(features),), -1, device=features.device)
        scores = features.double() @ self._means.T - 0.5 * (self._means**2).sum(dim=1)
        return scores.masked_fill(~self._seen, -torch.inf).argmax(dim=1)

    def end_shard(self) -> None:
        """Keep the sums as a shard's, and learn its means."""
        self._shards.append(self._running.cpu().numpy().copy())
        self._running.zero_()
        if self._sums is not None:
            self._seen = self._counts > 0
            self._means = self._sums / self._counts.clamp_min(1.0)[:, None]

    def accuracy(self) -> LeftOut:
        """Share of images whose most probable class is theirs, in [0, 1], larger is better."""
        return _left_out(self._table(), column=1)

    def mean_log_likelihood(self) -> LeftOut:
        """Mean logarithm of the probability given to the right class, at most 0, larger is better."""
        return _left_out(self._table(), column=2)

    def class_means_accuracy(self) -> LeftOut:
        """The accuracy of the nearest class mean, on all shards but the first."""
        return _left_out(self._table()[1:], column=3)

    def accuracy_beside_it(self) -> LeftOut:
        """The output module's accuracy on the same shards."""
        return _left_out(self._table()[1:], column=1)

    def _table(self) -> Sums:
        return np.stack(self._shards)


def _left_out(table: Sums, *, column: int) -> LeftOut:
    """A mean over all examples, and with each shard left out."""
    sizes, sums = table[:, 0], table[:, column]
    left = (sums.sum() - sums) / (sizes.sum() - sizes)
    return LeftOut(float(sums.sum() / sizes.sum()), left, sizes)
