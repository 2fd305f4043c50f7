"""Modules side by side on the same examples: features first, group by group, then their joint statistics."""

import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from kernel_methods.joint import joint_evidence
from kernel_methods.kernels import pooled_features
from registry.dataset_file import LabelledImages
from registry.errors import JobFailedError
from registry.manifest import Preprocessing
from registry.names import Digest
from registry.networks.embed import Prefix, plan_prefixes, run_trie
from registry.work import ModuleFailure, ScoreWork
from trainer.chains import Modules, failure
from trainer.data import Integers
from trainer.devices import Placement
from trainer.heads import features_of
from trainer.progress import Report, Tracker
from trainer.scoring import NOT_FINITE, ROWS_AT_ONCE, deal, inputs_of, shuffle_labels

Features = NDArray[np.float32]


class ReadImages(Protocol):
    """Gives the examples of the task, prepared for an input module."""

    def __call__(self, *, preprocessing: Preprocessing) -> LabelledImages:
        """Raises InvalidDatasetError, InvalidTaskError."""


@dataclass(frozen=True, slots=True)
class Joined:
    """Packed joint statistics of the modules that ran, if there are two of them, and why the others did not."""

    modules: tuple[Digest, ...]
    packed: bytes | None
    failures: tuple[ModuleFailure, ...]
    milliseconds: float


@dataclass(frozen=True, slots=True)
class Joining:
    """Runs chains over the same examples.

    Chains whose input modules want images alike are run together, and what they begin with in common runs once; images
    are read once for each such group, and only its images are held. Features of all chains are, in float32.

    Args:
        work: chains that can run, at least two, with examples, shards and seed.
        read: gives the examples, prepared for an input module; the same ones in the same order for every one.
        modules: every module of the chains.
        placement: where to run; float32, so that a score does not depend on the machine.
    """

    work: ScoreWork
    read: ReadImages
    modules: Modules
    placement: Placement

    def run(self, *, report: Report, should_stop: Callable[[], bool]) -> Joined:
        """Run all chains, and add up what they give side by side.

        Raises:
            JobFailedError: fewer than four examples, or images of which some modules have others than the rest.
            Stopped: the work is to end.
        """
        began = time.perf_counter()
        groups: dict[Preprocessing, list[Prefix]] = defaultdict(list)
        for chain in self.work.chains:
            groups[self.modules[chain[0]].preprocessing].append(chain)
        features: dict[Prefix, Features | None] = {}
        labels: Integers | None = None
        tracker: Tracker | None = None
        for pixels, chains in groups.items():
            data = self.read(preprocessing=pixels)
            labels = _same(data.labels, labels)
            shards = deal(labels, self.work)
            rows = np.concatenate(shards)
            tracker = tracker or Tracker(total=len(groups) * len(rows), report=report, should_stop=should_stop)
            features |= self._features(chains, data, rows, tracker=tracker)
        if labels is None:
            raise JobFailedError("there is no chain to run")
        return self._joined(features, labels, began=began)

    def _features(
        self, chains: Sequence[Prefix], data: LabelledImages, rows: Integers, *, tracker: Tracker
    ) -> dict[Prefix, Features | None]:
        """Features of every chain on these rows, in their order; None where outputs are not finite."""
        tree, networks = plan_prefixes(chains), {digest: module.network for digest, module in self.modules.items()}
        pixels = self.modules[chains[0][0]].preprocessing
        phis = {chain: self.modules[chain[-1]].feature_map for chain in chains}
        held = {chain: np.empty((len(rows), self._width(chain)), np.float32) for chain in chains}
        finite = {chain: torch.tensor(data=True, device=self.placement.device) for chain in chains}
        for start in range(0, len(rows), ROWS_AT_ONCE):
            chosen = rows[start : start + ROWS_AT_ONCE]
            batch = inputs_of(data, chosen, pixels, placement=self.placement)
            for chain, outputs in run_trie(tree, networks, batch):
                finite[chain] &= _norms_are_finite(outputs)
                held[chain][start : start + len(chosen)] = features_of(outputs, phis[chain]).cpu().numpy()
            tracker.advance(len(chosen), stage="scoring")
        return {chain: held[chain] if bool(finite[chain]) else None for chain in chains}

    def _width(self, chain: Prefix) -> int:
        module = self.modules[chain[-1]]
        return pooled_features(module.manifest.gives.shape, module.feature_map.pooling)

    def _joined(self, features: dict[Prefix, Features | None], labels: Integers, *, began: float) -> Joined:
        """Joint statistics of the chains whose outputs are finite, in the order of the work."""
        blocks = {chain: found for chain in self.work.chains if (found := features[chain]) is not None}
        failures = tuple(failure(chain[-1], NOT_FINITE) for chain in self.work.chains if chain not in blocks)
        modules = tuple(chain[-1] for chain in blocks)
        packed = self._packed(list(blocks.values()), labels) if len(blocks) > 1 else None
        return Joined(modules, packed, failures, round((time.perf_counter() - began) * 1000, 3))

    def _packed(self, blocks: Sequence[Features], labels: Integers) -> bytes:
        shards = deal(labels, self.work)
        rows = np.concatenate(shards)
        shuffled = shuffle_labels(labels, rows, seed=self.work.seed)
        ends = np.cumsum([len(shard) for shard in shards])
        places = np.split(np.arange(len(rows)), ends[:-1])
        classes = len(self.work.task.classes)
        return joint_evidence(blocks, labels[rows], shuffled[:, rows], shards=places, classes=classes).to_bytes()


def _norms_are_finite(outputs: Tensor) -> Tensor:
    """Whether every example has a norm that float32 can hold; a tensor, so that nothing waits for the device."""
    return torch.isfinite(torch.linalg.vector_norm(outputs.float().flatten(start_dim=1), dim=1)).all()


def _same(labels: Integers, before: Integers | None) -> Integers:
    """Labels of examples that were read again. Raises JobFailedError where they are others than before."""
    if before is not None and not np.array_equal(labels, before):
        raise JobFailedError(
            f"{len(before)} images could be read for one input module and {len(labels)} for another, or others; "
            "modules can stand side by side only on the same images"
        )
    return labels
