"""Score a share of a query: the statistics of modules on a task's images, in shards that add."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from kernel_methods.accumulate import Accumulator
from kernel_methods.kernels import pooled_features
from kernel_methods.statistics import TaskStatistics, pack
from registry.dataset_file import LabelledImages
from registry.errors import JobFailedError
from registry.names import Digest
from registry.networks.embed import Prefix, PrefixTree, plan_prefixes, run_trie
from registry.work import ScoreWork
from trainer.data import Integers, draw, normalise
from trainer.devices import Placement
from trainer.hidden import features_of
from trainer.loaded import LoadedModule
from trainer.progress import Tracker
from trainer.seeds import Purpose

ROWS_AT_ONCE = 256
STATISTICS_BYTES = 1 << 30

Modules = Mapping[Digest, LoadedModule]


@dataclass(frozen=True, slots=True)
class ScoredModule:
    """Packed statistics of one module, and how long its part of the work took."""

    module: Digest
    packed: bytes
    milliseconds: float


def score(
    work: ScoreWork, data: LabelledImages, modules: Modules, *, placement: Placement, tracker: Tracker
) -> Iterator[ScoredModule]:
    """Statistics of the last module of every chain, in float32 features and float64 sums.

    Examples are drawn by the seed, each class by its share, and dealt into shards class by class, so that each
    shard sees each class where there are enough; every shard gets at least two examples. Chains run together
    as long as their statistics fit into memory; what they begin with in common then runs once.

    Args:
        work: chains, number of examples and shards, seed.
        data: images and labels of the whole task.
        modules: every module of the chains.
        placement: where to run; float32, so that a score does not depend on the machine.
        tracker: told of every batch; its total is `forwards(work, ...)`.

    Yields:
        One result for each chain.

    Raises:
        JobFailedError: fewer than four examples, or a chain that does not end in a module with a feature map.
        Stopped: the work is to end.
    """
    shards = deal(data.labels, work)
    for group in group_chains(work, modules):
        yield from _GroupScoring(work, data, modules, placement).run(group, shards, tracker=tracker)


def deal(labels: Integers, work: ScoreWork) -> list[Integers]:
    """Indices of the examples of each shard: disjoint, of nearly equal size, classes spread evenly.

    Raises:
        JobFailedError: fewer than four examples.
    """
    drawn = draw(labels, work.examples, seed=work.seed, purpose=Purpose.SCORE)
    if len(drawn) < 4:
        raise JobFailedError(f"the task has {len(drawn)} examples, a score needs at least 4; add images")
    by_class = drawn[np.argsort(labels[drawn], kind="stable")]
    count = min(work.shards, len(drawn) // 2)
    return [by_class[shard::count] for shard in range(count)]


def forwards(work: ScoreWork, modules: Modules, *, examples: int) -> int:
    """Examples that pass, over all groups of chains; for progress."""
    return len(group_chains(work, modules)) * min(work.examples, examples)


def group_chains(work: ScoreWork, modules: Modules) -> list[list[Prefix]]:
    """Chains in groups whose statistics fit into memory together, at least one chain each."""
    groups: list[list[Prefix]] = []
    held = 0
    for chain in work.chains:
        size = 8 * work.shards * _features(modules[chain[-1]]) ** 2
        if not groups or held + size > STATISTICS_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(chain)
        held += size
    return groups


def _features(module: LoadedModule) -> int:
    return pooled_features(module.manifest.gives.shape, module.feature_map.pooling)


@dataclass(frozen=True, slots=True)
class _GroupScoring:
    """Scores chains that are held in memory together."""

    work: ScoreWork
    data: LabelledImages
    modules: Modules
    placement: Placement

    def run(self, chains: Sequence[Prefix], shards: Sequence[Integers], *, tracker: Tracker) -> Iterator[ScoredModule]:
        """Score all chains of the group, shard after shard."""
        tree = plan_prefixes(chains)
        seconds = dict.fromkeys(chains, 0.0)
        statistics: dict[Prefix, list[TaskStatistics]] = {chain: [] for chain in chains}
        for shard in shards:
            for chain, one in self._shard(tree, shard, seconds=seconds, tracker=tracker).items():
                statistics[chain].append(one)
        for chain, made in statistics.items():
            yield ScoredModule(chain[-1], pack(made), round(seconds[chain] * 1000, 3))

    def _shard(
        self, tree: PrefixTree, shard: Integers, *, seconds: dict[Prefix, float], tracker: Tracker
    ) -> dict[Prefix, TaskStatistics]:
        """Statistics of one shard; time goes to the chain that needed it first."""
        accumulators = {chain: self._accumulator(chain) for chain in seconds}
        networks = {digest: module.network for digest, module in self.modules.items()}
        preprocessing = self.modules[next(iter(seconds))[0]].preprocessing
        for start in range(0, len(shard), ROWS_AT_ONCE):
            rows = shard[start : start + ROWS_AT_ONCE]
            images = torch.from_numpy(self.data.images[rows].transpose(0, 3, 1, 2).copy())
            batch = normalise(self.placement.place_images(images), mean=preprocessing.mean, std=preprocessing.std)
            labels = torch.from_numpy(self.data.labels[rows]).to(self.placement.device)
            began = time.perf_counter()
            for chain, outputs in run_trie(tree, networks, batch):
                phi = self.modules[chain[-1]].feature_map
                accumulators[chain].add(features_of(outputs, phi), labels)
                self.placement.wait()
                seconds[chain] += time.perf_counter() - began
                began = time.perf_counter()
            tracker.advance(len(rows), stage="scoring")
        return {chain: accumulator.finish() for chain, accumulator in accumulators.items()}

    def _accumulator(self, chain: Prefix) -> Accumulator:
        features = _features(self.modules[chain[-1]])
        return Accumulator(len(self.work.task.classes), features, device=self.placement.device)
