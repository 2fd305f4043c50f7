"""Joint statistics: several modules side by side, from one pass; those of every subset of them are blocks of it.

The joint features of an example are its unit features under every module, one after the other, over the square root of
how many modules there are. Their kernel is the mean of the modules' kernels. Class sums and second moments of fewer
modules are the rows and columns of these, times how many modules there are over how many are taken.

Scores take unit vectors for granted, and a module that gives an example nothing, a zero row, would leave its joint row
shorter than the others. Each module's block therefore has one more dimension, along which such examples have length
one: to this module they are alike, and unlike all others. Where a module has no zero row, no subset has the dimension,
so that a module by itself has the statistics that it has elsewhere.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kernel_methods.evidence import Evidence
from kernel_methods.rows import RowSums, unit_rows
from kernel_methods.shuffles import ShuffledSums, shuffle_count
from kernel_methods.statistics import Floats, Integers, TaskStatistics

ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class JointLayout:
    """Which dimensions of joint features are whose: the width of every module's features, in their order.

    Raises:
        ValueError: there is no module, or one without features.
    """

    features: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.features or min(self.features) < 1:
            raise ValueError(f"joint features need modules of at least one feature each, got widths {self.features}")

    @property
    def modules(self) -> int:
        """How many modules there are."""
        return len(self.features)

    @property
    def dimensions(self) -> int:
        """Number of joint features: those of the modules, and for each one more for its zero rows."""
        return sum(self.features) + self.modules

    def block(self, module: int) -> slice:
        """The dimensions of a module; the last one is for its zero rows."""
        start = sum(self.features[:module]) + module
        return slice(start, start + self.features[module] + 1)

    def width(self, chosen: Sequence[int]) -> int:
        """How many features some modules have together."""
        return sum(self.features[module] for module in chosen)

    def columns(self, chosen: Sequence[int], *, dead: Collection[int]) -> Integers:
        """The dimensions of some modules in the order given, those for zero rows only of the modules in ``dead``.

        Raises:
            ValueError: no module is chosen, one twice, or one that is not there.
        """
        if not chosen or len(set(chosen)) < len(chosen) or not all(0 <= each < self.modules for each in chosen):
            raise ValueError(f"choose some of the {self.modules} modules, each once, got {tuple(chosen)}")
        blocks = [(self.block(module), module in dead) for module in chosen]
        return np.concatenate([np.arange(block.start, block.stop - (not is_dead)) for block, is_dead in blocks])


def joint_rows(blocks: Sequence[NDArray[np.floating]]) -> Floats:
    """Joint features of examples: unit vectors, whatever the norms of the blocks.

    Args:
        blocks: features of the same examples under each module. Shape (n, d_i), any floating type; rows no longer than
            1e-12 count as zero rows.

    Returns:
        Shape (n, sum of d_i + 1), as the module's docstring says.

    Raises:
        ValueError: blocks are of different numbers of examples, or a feature is not finite.
    """
    if len({len(block) for block in blocks}) != 1:
        raise ValueError(f"need features of the same examples, got {[block.shape for block in blocks]}")
    layout = JointLayout(tuple(block.shape[1] for block in blocks))
    rows = np.empty((len(blocks[0]), layout.dimensions))
    for module, block in enumerate(blocks):
        whose = layout.block(module)
        rows[:, whose.start : whose.stop - 1], rows[:, whose.stop - 1] = unit_rows(block)
    return rows / math.sqrt(layout.modules)


def joint_evidence(
    blocks: Sequence[NDArray[np.floating]],
    labels: Integers,
    shuffled: Integers,
    *,
    shards: Sequence[Integers],
    classes: int,
) -> Evidence:
    """Evidence of modules side by side, from features that are at hand.

    Args:
        blocks: features of the same n examples under each module, as `joint_rows` takes them.
        labels: class index of every example. Shape (n,).
        shuffled: the same under shuffled labels, as many as there are; those whose sums fit are kept. Shape (P, n).
        shards: places of the examples of each shard, disjoint.
        classes: number of classes C.

    Raises:
        ValueError: as `joint_rows`.
    """
    dimensions = JointLayout(tuple(block.shape[1] for block in blocks)).dimensions
    dealt = shuffled[: shuffle_count(classes=classes, dimensions=dimensions)]
    sums: list[ShuffledSums] = []
    parts = []
    for shard in shards:
        part = RowSums(classes, dimensions, rows_at_once=ROWS_AT_ONCE, by_class=False)
        for start in range(0, len(shard), ROWS_AT_ONCE):
            places = shard[start : start + ROWS_AT_ONCE]
            rows = joint_rows([block[places] for block in blocks])
            part.add(rows, labels[places])
            sums = _with_shuffled(sums, rows, dealt[:, places], classes=classes)
        parts.append(TaskStatistics(part.counts, part.zeros, part.class_sums, part.moments()[0]))
    return Evidence(tuple(parts), sums[0] if sums else None)


def _with_shuffled(sums: list[ShuffledSums], rows: Floats, dealt: Integers, *, classes: int) -> list[ShuffledSums]:
    """The shuffled sums so far, if any are kept, with those of further rows."""
    if not len(dealt):
        return []
    further = ShuffledSums.of(rows, dealt, classes=classes)
    return [sums[0] + further] if sums else [further]


def dead_modules(total: TaskStatistics, layout: JointLayout) -> frozenset[int]:
    """Modules that have zero rows among the examples of joint statistics. Raises ValueError for another layout."""
    _check_layout(total, layout)
    return frozenset(module for module in range(layout.modules) if _zero_rows(total, layout, module))


def zero_rows(total: TaskStatistics, layout: JointLayout) -> tuple[int, ...]:
    """How many zero rows each module has among the examples. Raises ValueError for another layout."""
    _check_layout(total, layout)
    return tuple(_zero_rows(total, layout, module) for module in range(layout.modules))


def subset(
    stats: TaskStatistics, layout: JointLayout, chosen: Sequence[int], *, dead: Collection[int] | None = None
) -> TaskStatistics:
    """Joint statistics of some of the modules: what a pass over these alone would have given.

    Args:
        stats: joint statistics of all modules.
        layout: whose dimensions are whose in it.
        chosen: places of the modules, in the order that their features are to have.
        dead: modules that have zero rows; by default among these examples. Shards that are to add need those of all.

    Raises:
        ValueError: the layout is of other statistics, or no module is chosen, one twice, or one that is not there.
    """
    _check_layout(stats, layout)
    columns = layout.columns(chosen, dead=dead_modules(stats, layout) if dead is None else dead)
    share = layout.modules / len(chosen)
    moments = stats.class_moments
    return replace(
        stats,
        class_sums=math.sqrt(share) * stats.class_sums[:, columns],
        second_moment=share * stats.second_moment[np.ix_(columns, columns)],
        class_moments=None if moments is None else share * moments[:, columns[:, None], columns],
    )


def subset_evidence(evidence: Evidence, layout: JointLayout, chosen: Sequence[int]) -> Evidence:
    """Joint evidence of some of the modules, shuffles included.

    Raises:
        ValueError: as `subset`.
    """
    dead = dead_modules(evidence.total, layout)
    shards = tuple(subset(shard, layout, chosen, dead=dead) for shard in evidence.shards)
    if evidence.shuffled is None:
        return Evidence(shards)
    scale = math.sqrt(layout.modules / len(chosen))
    sums = scale * evidence.shuffled.sums[:, :, layout.columns(chosen, dead=dead)]
    return Evidence(shards, ShuffledSums(sums, evidence.shuffled.zeros))


def _zero_rows(total: TaskStatistics, layout: JointLayout, module: int) -> int:
    last = layout.block(module).stop - 1
    return round(float(total.class_sums[:, last].sum()) * math.sqrt(layout.modules))


def _check_layout(stats: TaskStatistics, layout: JointLayout) -> None:
    if stats.dimensions != layout.dimensions:
        raise ValueError(f"a layout of {layout.dimensions} dimensions for statistics of {stats.dimensions}")
