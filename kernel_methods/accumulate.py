"""Batches of features, wherever they lie, into statistics in float64."""

import numpy as np
import torch
from torch import Tensor

from kernel_methods.rows import SHORTEST_NORM, symmetric
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics


class Accumulator:
    """Adds batches of labelled features on their device; gives `TaskStatistics` at the end.

    Batches are raised to float64 and scaled to unit norm before any product, on a GPU too, so that the result
    does not depend on how the examples were cut into batches beyond float64 rounding.
    """

    def __init__(
        self, classes: int, dimensions: int, *, device: torch.device | str, class_moments: bool = False
    ) -> None:
        """Start with no example.

        Args:
            classes: number of classes C.
            dimensions: number of features d.
            device: where the sums are kept; the CPU instead where a device has no float64 (mps).
            class_moments: keep the second moment of each class too, C times the memory; adding then waits for
                the device.

        Raises:
            ValueError: ``classes`` or ``dimensions`` is below 1.
        """
        if classes < 1 or dimensions < 1:
            raise ValueError(f"need at least 1 class and 1 dimension, got {classes} and {dimensions}")
        self._device = torch.device("cpu") if torch.device(device).type == "mps" else torch.device(device)
        self._counts = self._zero_tensor(classes)
        self._zeros = self._zero_tensor(classes)
        self._strays = self._zero_tensor()
        self._class_sums = self._zero_tensor(classes, dimensions)
        self._moments = self._zero_tensor(classes if class_moments else 1, dimensions, dimensions)
        self._by_class = class_moments

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add one batch; without class moments, nothing here waits for the device.

        Args:
            features: shape (n, d), any floating type; rows no longer than 1e-12 count as zero rows.
            labels: class index of every example. Shape (n,), integer.

        Raises:
            ValueError: the shapes do not match, or labels are not integers. Labels out of range and features
                that are not finite are found by `finish`.
        """
        self._check(features, labels)
        rows, is_zero = _unit_rows(features.to(self._device, torch.float64))
        classes = torch.arange(len(self._counts), device=self._device)
        members = (labels.to(self._device)[:, None] == classes).to(torch.float64)
        self._counts += members.sum(dim=0)
        self._zeros += is_zero.to(torch.float64) @ members
        self._strays += len(labels) - members.sum()
        self._class_sums += members.T @ rows
        self._add_moments(rows, members)

    def finish(self) -> TaskStatistics:
        """Statistics of all batches so far; more may be added afterwards.

        Raises:
            ValueError: a label was out of range, or a feature not finite.
        """
        strays = int(self._strays)
        if strays:
            raise ValueError(f"labels must be in 0..{len(self._counts) - 1}, {strays} examples have others")
        sums, moments = self._class_sums.cpu().numpy().copy(), self._moments.cpu().numpy()
        if not (np.all(np.isfinite(sums)) and np.all(np.isfinite(moments))):
            raise ValueError("features must be finite, but their sums are not")
        moments = np.stack([symmetric(moment) for moment in moments])
        return TaskStatistics(
            counts=self._counts.cpu().numpy().astype(np.int64),
            zeros=self._zeros.cpu().numpy().astype(np.int64),
            class_sums=sums,
            second_moment=moments.sum(axis=0),
            class_moments=moments if self._by_class else None,
        )

    def _zero_tensor(self, *shape: int) -> Tensor:
        return torch.zeros(shape, dtype=torch.float64, device=self._device)

    def _check(self, features: Tensor, labels: Tensor) -> None:
        dimensions = self._class_sums.shape[1]
        if features.ndim != 2 or features.shape[1] != dimensions or labels.shape != features.shape[:1]:
            raise ValueError(
                f"need features (n, {dimensions}) and labels (n,), "
                f"got {tuple(features.shape)} and {tuple(labels.shape)}"
            )
        if labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
            raise ValueError(f"labels must be integers, got {labels.dtype}")

    def _add_moments(self, rows: Tensor, members: Tensor) -> None:
        if not self._by_class:
            self._moments[0].addmm_(rows.T, rows)
            return
        for label in members.sum(dim=0).nonzero().flatten().tolist():
            chosen = rows[members[:, label] > 0]
            self._moments[label].addmm_(chosen.T, chosen)


def _unit_rows(rows: Tensor) -> tuple[Tensor, Tensor]:
    norms = torch.linalg.vector_norm(rows, dim=1)
    is_zero = norms <= SHORTEST_NORM
    return rows * torch.where(is_zero, 0.0, 1.0 / norms)[:, None], is_zero


class ShuffledAccumulator:
    """Adds batches of features under labels that were shuffled beforehand; gives `ShuffledSums` at the end.

    Sums are float32, which is plenty for a chance level, and as fast as one more product of matrices.
    """

    def __init__(self, shuffles: int, classes: int, dimensions: int, *, device: torch.device | str) -> None:
        """Start with no example; shuffles: how many label sets there are, at least 1."""
        self.shuffles = shuffles
        self._shape = (shuffles, classes)
        self._sums = torch.zeros((shuffles * classes, dimensions), device=device)
        self._zeros = torch.zeros(shuffles * classes, device=device)

    @torch.no_grad()
    def add(self, features: Tensor, labels: Tensor) -> None:
        """Add one batch.

        Args:
            features: shape (n, d), any floating type.
            labels: class of every example under each shuffle. Shape (P, n), integer.
        """
        rows, is_zero = _unit_rows(features.to(self._sums.device, torch.float32))
        classes = torch.arange(self._shape[1], device=self._sums.device)
        members = (labels[:, None, :] == classes[None, :, None]).to(torch.float32).flatten(end_dim=1)
        self._sums += members @ rows
        self._zeros += members @ is_zero.to(torch.float32)

    def finish(self) -> ShuffledSums:
        """The class sums of each shuffle."""
        sums = self._sums.reshape(*self._shape, -1).cpu().numpy().copy()
        zeros = self._zeros.reshape(self._shape).cpu().numpy().round().astype(np.int64)
        return ShuffledSums(sums, zeros)
