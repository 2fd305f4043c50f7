"""Score a share of a query: the statistics of modules on a task's images, in shards that add."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from kernel_methods.accumulate import Accumulator, ShuffledAccumulator
from kernel_methods.evidence import Evidence
from kernel_methods.kernels import pooled_features
from kernel_methods.shuffles import MOST_SHUFFLES, SUM_BYTES, shuffle_count
from kernel_methods.statistics import TaskStatistics
from registry.dataset_file import LabelledImages
from registry.errors import JobFailedError
from registry.manifest import Preprocessing
from registry.names import Digest
from registry.networks.embed import Prefix, PrefixTree, plan_prefixes, run_trie
from registry.rankings import FEWEST_EXAMPLES
from registry.work import ModuleFailure, ScoreWork
from trainer.beside import BesideTally, Wanted, wanted_of
from trainer.chains import Modules, failure
from trainer.data import Integers, draw, normalise
from trainer.devices import Placement
from trainer.heads import features_of
from trainer.loaded import LoadedModule
from trainer.progress import Tracker
from trainer.seeds import Purpose, stream

ROWS_AT_ONCE = 256
STATISTICS_BYTES = 1 << 30
NOT_FINITE = (
    "its outputs on images of this task are not finite, or too large for the norm of a float32 vector; "
    "publish a version with smaller weights"
)


@dataclass(frozen=True, slots=True)
class ScoredModule:
    """Packed statistics of one module, and how long its part of the work took."""

    module: Digest
    packed: bytes
    milliseconds: float


def score(
    work: ScoreWork, data: LabelledImages, modules: Modules, *, placement: Placement, tracker: Tracker
) -> Iterator[ScoredModule | ModuleFailure]:
    """Statistics of the last module of every chain, in float32 features and float64 sums.

    Examples are drawn by the seed, each class by its share, and dealt into shards at random. Chains run together
    as long as their statistics fit into memory; what they begin with in common then runs once.

    Args:
        work: chains that can run, as `sort_chains` found them; number of examples and shards, seed.
        data: images and labels of the work's examples, or, without `start`, of the whole task.
        modules: every module of the chains, and the source heads that can run.
        placement: where to run; float32, so that a score does not depend on the machine.
        tracker: told of every batch; its total is `forwards(work, ...)`.

    Yields:
        One result for each chain; a failure for one whose outputs are too large for float32, or no numbers.

    Raises:
        JobFailedError: fewer than four examples.
        Stopped: the work is to end.
    """
    shards = deal(data.labels, work)
    for group in group_chains(work, modules):
        yield from _GroupScoring(work, data, modules, placement).run(group, shards, tracker=tracker)


def deal(labels: Integers, work: ScoreWork) -> list[Integers]:
    """Indices of the examples of each shard: disjoint random parts of nearly equal size, each of at least two.

    Parts must be random, not alike in their classes: an interval comes from how much they differ. Of a work with a
    `start` the labels are those of its own examples, as `read_task` reads them; else they may be of the whole task.

    Raises:
        JobFailedError: fewer than four examples.
    """
    count = len(labels) if work.start else work.examples
    drawn = draw(labels, count, seed=work.seed, purpose=Purpose.SCORE)
    if len(drawn) < FEWEST_EXAMPLES:
        after = f" after the first {work.start}" if work.start else ""
        told = f"the task has {len(drawn)} examples{after}, a score needs at least {FEWEST_EXAMPLES}; add images"
        raise JobFailedError(told)
    shuffled = stream(work.seed, Purpose.SHARDS, work.start).permutation(drawn)
    return np.array_split(shuffled, work.shards_of(len(drawn)))


def shuffle_labels(labels: Integers, drawn: Integers, *, seed: int, start: int = 0) -> Integers:
    """Labels shuffled among the drawn examples, many times, by the seed; the others' stay. Shape (P, n).

    Args:
        labels: of all examples.
        drawn: the examples among which labels are dealt.
        seed: of the work.
        start: where the work's examples begin, so that disjoint parts are shuffled independently.
    """
    generator = stream(seed, Purpose.SHUFFLES, start)
    shuffled = np.tile(labels, (MOST_SHUFFLES, 1))
    for dealt in shuffled:
        dealt[drawn] = generator.permutation(labels[drawn])
    return shuffled


def forwards(work: ScoreWork, modules: Modules, *, examples: int) -> int:
    """Examples that pass, over all groups of chains; for progress."""
    return len(group_chains(work, modules)) * min(work.examples - work.start, examples)


def group_chains(work: ScoreWork, modules: Modules) -> list[list[Prefix]]:
    """Chains in groups whose statistics fit into memory together, at least one chain each."""
    groups: list[list[Prefix]] = []
    held = 0
    for chain in work.chains:
        size = 8 * work.shards * _features(modules[chain[-1]]) ** 2 + SUM_BYTES
        wanted = wanted_of(work, chain[-1], modules, examples=work.examples)
        size += 0 if wanted is None else wanted.held_bytes
        if not groups or held + size > STATISTICS_BYTES:
            groups.append([])
            held = 0
        groups[-1].append(chain)
        held += size
    return groups


def _features(module: LoadedModule) -> int:
    return pooled_features(module.manifest.gives.shape, module.feature_map.pooling)


@dataclass(slots=True)
class _Tally:
    """What one chain has come to so far; worth nothing once its outputs were no finite numbers."""

    module: LoadedModule
    classes: int
    sums: Accumulator
    finite: Tensor
    shuffled: ShuffledAccumulator | None = None
    beside: BesideTally | None = None
    shards: list[TaskStatistics] = field(default_factory=list)
    seconds: float = 0.0

    @classmethod
    def start(
        cls, module: LoadedModule, *, classes: int, device: torch.device, wanted: Wanted | None = None
    ) -> "_Tally":
        """A tally without any example; `wanted` is what is measured beside, if anything."""
        dimensions = _features(module)
        count = shuffle_count(classes=classes, dimensions=dimensions)
        shuffled = ShuffledAccumulator(count, classes, dimensions, device=device) if count else None
        finite = torch.tensor(data=True, device=device)
        beside = None if wanted is None else BesideTally(wanted, device=device)
        return cls(module, classes, _sums(module, classes, device), finite, shuffled, beside)

    def add(self, outputs: Tensor, labels: Tensor, shuffled: Tensor) -> None:
        """Add a batch of raw outputs; one whose norms float32 cannot hold has no unit vectors.

        Args:
            outputs: shape (n, ...).
            labels: shape (n,).
            shuffled: labels under each shuffle, more than are needed. Shape (P, n).
        """
        norms = torch.linalg.vector_norm(outputs.float().flatten(start_dim=1), dim=1)
        self.finite &= torch.isfinite(norms).all()
        features = features_of(outputs, self.module.feature_map)
        self.sums.add(features, labels)
        if self.shuffled is not None:
            self.shuffled.add(features, shuffled[: self.shuffled.shuffles])
        if self.beside is not None:
            self.beside.add(outputs, features, labels)

    def end_shard(self) -> None:
        """Keep the sums as a shard's statistics, and begin the next one."""
        if bool(self.finite):
            self.shards.append(self.sums.finish())
        self.sums = _sums(self.module, self.classes, self.finite.device)

    def result(self, digest: Digest) -> ScoredModule | ModuleFailure:
        """The packed shards, or why there are none."""
        if bool(self.finite):
            shuffled = None if self.shuffled is None else self.shuffled.finish()
            began = time.perf_counter()
            beside = None if self.beside is None else self.beside.finish()
            self.seconds += time.perf_counter() - began
            packed = Evidence(tuple(self.shards), shuffled, beside).to_bytes()
            return ScoredModule(digest, packed, round(self.seconds * 1000, 3))
        return failure(digest, NOT_FINITE)


def _sums(module: LoadedModule, classes: int, device: torch.device) -> Accumulator:
    return Accumulator(classes, _features(module), device=device)


@dataclass(frozen=True, slots=True)
class _GroupScoring:
    """Scores chains that are held in memory together."""

    work: ScoreWork
    data: LabelledImages
    modules: Modules
    placement: Placement

    def run(
        self, chains: Sequence[Prefix], shards: Sequence[Integers], *, tracker: Tracker
    ) -> Iterator[ScoredModule | ModuleFailure]:
        """Score all chains of the group, shard after shard."""
        tree = plan_prefixes(chains)
        tallies = {chain: self._tally(chain[-1], examples=sum(map(len, shards))) for chain in chains}
        shuffled = shuffle_labels(self.data.labels, np.concatenate(shards), seed=self.work.seed, start=self.work.start)
        for shard in shards:
            self._shard(tree, shard, shuffled, tallies=tallies, tracker=tracker)
        for chain, tally in tallies.items():
            if tally.beside is not None:
                tracker.advance(0, stage="measuring")
            yield tally.result(chain[-1])

    def _tally(self, scored: Digest, *, examples: int) -> _Tally:
        """What one module is to come to over so many examples."""
        classes, device = len(self.work.task.classes), self.placement.device
        wanted = wanted_of(self.work, scored, self.modules, examples=examples)
        return _Tally.start(self.modules[scored], classes=classes, device=device, wanted=wanted)

    def _shard(
        self, tree: PrefixTree, shard: Integers, shuffled: Integers, *, tallies: dict[Prefix, _Tally], tracker: Tracker
    ) -> None:
        """Add one shard to every chain's tally; time goes to the chain that needed it first."""
        networks = {digest: module.network for digest, module in self.modules.items()}
        for start in range(0, len(shard), ROWS_AT_ONCE):
            rows = shard[start : start + ROWS_AT_ONCE]
            pixels = self.modules[next(iter(tallies))[0]].preprocessing
            batch = inputs_of(self.data, rows, pixels, placement=self.placement)
            labels = torch.from_numpy(self.data.labels[rows]).to(self.placement.device)
            dealt = torch.from_numpy(shuffled[:, rows]).to(self.placement.device)
            began = time.perf_counter()
            for chain, outputs in run_trie(tree, networks, batch):
                tallies[chain].add(outputs, labels, dealt)
                self.placement.wait()
                tallies[chain].seconds += time.perf_counter() - began
                began = time.perf_counter()
            tracker.advance(len(rows), stage="scoring")
        for tally in tallies.values():
            tally.end_shard()


def inputs_of(data: LabelledImages, rows: Integers, pixels: Preprocessing, *, placement: Placement) -> Tensor:
    """Images in some rows, as an input module wants them. Shape (n, c, h, w), float32."""
    images = torch.from_numpy(data.images[rows].transpose(0, 3, 1, 2).copy())
    return normalise(placement.place_images(images), mean=pixels.mean, std=pixels.std)
