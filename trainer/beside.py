"""What is measured of a module beside its statistics, when a question asks for it, in the same pass over a task."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernel_methods.accumulate import Accumulator
from kernel_methods.estimators.knn import knn_accuracy
from kernel_methods.estimators.leep import leep
from kernel_methods.estimators.linear_probe import probe_accuracy
from kernel_methods.estimators.nce import contingency_table
from kernel_methods.kernels import pooled_features
from kernel_methods.measured import (
    Measured,
    MeasuredName,
    finite_value,
    moments_fit,
    probabilities_fit,
    references_fit,
)
from registry.names import Digest
from registry.work import ScoreWork
from trainer.data import Integers
from trainer.loaded import LoadedModule
from trainer.seeds import Purpose, stream

NEIGHBOURS = 20
FOLDS = 5

Singles = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is wanted of one module: of the work, of how many examples, and the module's source head if it has one."""

    work: ScoreWork
    module: LoadedModule
    head: LoadedModule | None
    examples: int

    @property
    def dimensions(self) -> int:
        """Width of the module's feature map."""
        return pooled_features(self.module.manifest.gives.shape, self.module.feature_map.pooling)

    @property
    def labels(self) -> int:
        """How many labels the task has, before any are merged."""
        return len(self.work.task.classes)

    @property
    def moments(self) -> bool:
        """Whether class moments are kept."""
        fits = moments_fit(classes=self.labels, dimensions=self.dimensions)
        return "class_moments" in self.work.beside and fits

    @property
    def features(self) -> bool:
        """Whether the features themselves are kept until the end of the pass."""
        fits = references_fit(examples=self.examples, dimensions=self.dimensions)
        return fits and not {"knn", "linear_probe"}.isdisjoint(self.work.beside)

    @property
    def source_labels(self) -> int:
        """How many labels the source head has; 0 where there is none to run."""
        if self.head is None or self.head.manifest.takes != self.module.manifest.gives:
            return 0
        return len(self.head.manifest.labels or ())

    @property
    def held_bytes(self) -> int:
        """What measuring holds in memory until the pass ends, about."""
        moments = 8 * self.labels * self.dimensions**2 if self.moments else 0
        features = 4 * self.examples * self.dimensions if self.features else 0
        return moments + features + 4 * self.examples * self.source_labels


def wanted_of(
    work: ScoreWork, scored: Digest, modules: Mapping[Digest, LoadedModule], *, examples: int
) -> Wanted | None:
    """What is wanted of one scored module beside statistics; None where nothing is."""
    if not work.beside:
        return None
    head = work.heads.get(scored)
    return Wanted(work, modules[scored], None if head is None else modules.get(head), examples)


class BesideTally:
    """Measures one module while its outputs pass; what would not fit into memory is left out."""

    def __init__(self, wanted: Wanted, *, device: torch.device) -> None:
        """Start without any example."""
        self._wanted = wanted
        self._moments = _moments(wanted, device) if wanted.moments else None
        self._head = _HeadTally(wanted) if wanted.source_labels else None
        self._features: list[Singles] = []
        self._labels: list[Integers] = []

    def add(self, outputs: Tensor, features: Tensor, labels: Tensor) -> None:
        """Add a batch.

        Args:
            outputs: raw outputs of the module. Shape (n, ...).
            features: their unit features. Shape (n, d).
            labels: label of every example. Shape (n,), integer.
        """
        self._labels.append(labels.cpu().numpy())
        if self._moments is not None:
            self._moments.add(features, labels)
        if self._wanted.features:
            self._features.append(features.detach().float().cpu().numpy())
        if self._head is not None:
            self._head.add(outputs, self._labels[-1])

    def finish(self) -> Measured | None:
        """What was measured, once the pass is over and every feature was finite; None where nothing could be."""
        groups = self._wanted.work.groups
        values = self._values() if groups else {}
        head = self._head is not None and self._head.finite
        measured = Measured(
            values=values,
            groups=groups if values else (),
            class_moments=None if self._moments is None else self._moments.finish().class_moments,
            head_counts=self._head.counts if self._head is not None and head else None,
        )
        return measured if measured.tensors() else None

    def _values(self) -> dict[MeasuredName, float]:
        """Everything that needs the examples, on the task's own classes."""
        labels = _merged(np.concatenate(self._labels), self._wanted.work.groups)
        values: dict[MeasuredName, float | None] = {
            name: self._reference(name, labels)
            for name in ("knn", "linear_probe")
            if name in self._wanted.work.beside and self._wanted.features
        }
        if self._head is not None:
            values["leep"] = self._head.leep(labels, classes=len(self._wanted.work.groups))
        return {name: value for name, value in values.items() if value is not None}

    def _reference(self, name: MeasuredName, labels: Integers) -> float | None:
        """Cross-validated accuracy on the features; None where it is undefined."""
        features = np.concatenate(self._features)
        try:
            if name == "knn":
                return finite_value(name, knn_accuracy(features, labels, neighbours=NEIGHBOURS))
            generator = stream(self._wanted.work.seed, Purpose.FOLDS)
            return finite_value(name, probe_accuracy(features, labels, folds=FOLDS, generator=generator))
        except ValueError:
            return None


class _HeadTally:
    """What a module's source head says of the examples; worth nothing once that was no finite number."""

    def __init__(self, wanted: Wanted) -> None:
        if wanted.head is None:
            raise ValueError("a source head is needed")
        self._network = wanted.head.network
        self._keeps = probabilities_fit(examples=wanted.examples, labels=wanted.source_labels)
        self._probabilities: list[Singles] = []
        self.counts = np.zeros((wanted.source_labels, wanted.labels), np.int64)
        self.finite = True

    @torch.no_grad()
    def add(self, outputs: Tensor, labels: Integers) -> None:
        """Add a batch of raw outputs (n, ...) and labels (n,)."""
        scores = self._network(outputs).float()
        self.finite = self.finite and bool(torch.isfinite(scores).all())
        if not self.finite:
            return
        sources, targets = self.counts.shape
        predicted = scores.argmax(dim=1).cpu().numpy()
        self.counts += contingency_table(predicted, labels, sources=sources, targets=targets)
        if self._keeps:
            self._probabilities.append(scores.softmax(dim=1).cpu().numpy())

    def leep(self, labels: Integers, *, classes: int) -> float | None:
        """LEEP on the task's own classes; None where it is undefined, or would not fit into memory."""
        if not (self.finite and self._keeps):
            return None
        try:
            return finite_value("leep", leep(np.concatenate(self._probabilities), labels, classes=classes))
        except ValueError:
            return None


def _moments(wanted: Wanted, device: torch.device) -> Accumulator:
    return Accumulator(wanted.labels, wanted.dimensions, device=device, class_moments=True)


def _merged(labels: Integers, groups: tuple[tuple[int, ...], ...]) -> Integers:
    """Which of the groups each label is in. Shape (n,)."""
    class_of = np.zeros(sum(len(group) for group in groups), np.int64)
    for number, group in enumerate(groups):
        class_of[list(group)] = number
    merged: Integers = class_of[labels]
    return merged
