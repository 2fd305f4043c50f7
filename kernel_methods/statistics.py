"""What scores are computed from: counts, class sums and second moments of unit features; they add.

They hold no example, add over batches, shards and machines, and are kept in float64. Features are rows of
unit norm, or rows of zeros where a feature map gave nothing; the zero rows are counted apart, because only
the others have k(x, x) = 1.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from kernel_methods.factors import moment_shapes, packed_moments, unpacked_moment
from kernel_methods.packing import (
    Packed,
    bytes_of,
    check_packed,
    measured_shapes,
    packed_shape,
    read_tensors,
    shuffled_shapes,
    square_of,
    triangle_of,
)
from kernel_methods.rows import RowSums, membership

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

MOST_EXAMPLES = 2**40
ROWS_AT_ONCE = 2048
ROWS_AT_ONCE_BY_CLASS = 8192


@dataclass(frozen=True, slots=True, eq=False)
class TaskStatistics:
    """Sufficient statistics of the unit features of a task, for every score of this package.

    Args:
        counts: examples of each class, zero rows included. Shape (C,), int64.
        zeros: examples of each class whose feature vector is zero. Shape (C,), int64.
        class_sums: sum of the features of each class. Shape (C, d), float64.
        second_moment: sum of phi phi^T over all examples. Shape (d, d), float64, symmetric.
        class_moments: the same sum for each class, where it was asked for. Shape (C, d, d), or None.

    Raises:
        ValueError: the shapes do not belong together, or there is no class or no dimension.
    """

    counts: Integers
    zeros: Integers
    class_sums: Floats
    second_moment: Floats
    class_moments: Floats | None = None

    def __post_init__(self) -> None:
        _check_shapes(self)
        for name in ("counts", "zeros", "class_sums", "second_moment", "class_moments"):
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, _read_only(value))

    @property
    def examples(self) -> int:
        """Number of examples n, zero rows included."""
        return int(self.counts.sum())

    @property
    def dimensions(self) -> int:
        """Number of features d."""
        return int(self.class_sums.shape[1])

    @property
    def classes(self) -> int:
        """Number of classes C, those without examples included."""
        return int(self.class_sums.shape[0])

    @classmethod
    def empty(cls, classes: int, dimensions: int, *, class_moments: bool = False) -> Self:
        """Statistics of no example; the neutral element of adding."""
        shape = (classes, dimensions, dimensions)
        return cls(
            counts=np.zeros(classes, np.int64),
            zeros=np.zeros(classes, np.int64),
            class_sums=np.zeros((classes, dimensions)),
            second_moment=np.zeros((dimensions, dimensions)),
            class_moments=np.zeros(shape) if class_moments else None,
        )

    @classmethod
    def of(
        cls,
        features: NDArray[np.floating],
        labels: NDArray[np.integer],
        *,
        classes: int,
        class_moments: bool = False,
    ) -> Self:
        """Statistics of labelled features; every row is scaled to unit norm in float64 on the way.

        Args:
            features: shape (n, d), any floating type; rows no longer than 1e-12 count as zero rows.
            labels: class index of every example, 0 to ``classes - 1``. Shape (n,), integer.
            classes: number of classes C.
            class_moments: keep the second moment of each class too.

        Raises:
            ValueError: shapes do not match, a feature is not finite, or a label is out of range.
        """
        _check_labelled(features, labels, classes=classes)
        step = min(len(labels), ROWS_AT_ONCE_BY_CLASS if class_moments else ROWS_AT_ONCE)
        sums = RowSums(classes, features.shape[1], rows_at_once=step, by_class=class_moments)
        for start in range(0, len(labels), max(1, step)):
            rows = slice(start, start + step)
            sums.add(features[rows], labels[rows])
        moments = sums.moments()
        return cls(
            counts=sums.counts,
            zeros=sums.zeros,
            class_sums=sums.class_sums,
            second_moment=moments.sum(axis=0) if class_moments else moments[0],
            class_moments=moments if class_moments else None,
        )

    def __add__(self, other: Self) -> Self:
        """Statistics of both sets of examples together. Raises ValueError where they do not match."""
        _check_addable(self, other)
        return self._with(other, sign=1)

    def subtract(self, part: Self) -> Self:
        """Statistics without the examples of ``part``, which must be among them.

        Raises:
            ValueError: they do not match, or ``part`` has more examples of a class than there are.
        """
        _check_addable(self, part)
        if np.any(part.counts > self.counts) or np.any(part.zeros > self.zeros):
            raise ValueError(f"cannot take {part.counts.tolist()} examples (by class) out of {self.counts.tolist()}")
        return self._with(part, sign=-1)

    def merge_classes(self, groups: Sequence[Sequence[int]]) -> Self:
        """Statistics of the task in which each group of classes is one class: exact, with no second pass.

        Args:
            groups: class indices of each new class, in order. Without class moments every class that has
                examples must be in a group; with them, classes may be left out: a choice of classes.

        Returns:
            Statistics with ``len(groups)`` classes.

        Raises:
            ValueError: a group is empty, a class is unknown or named twice, or is left out and cannot be.
        """
        check_groups(groups, classes=self.classes)
        chosen = np.concatenate([np.asarray(group, np.int64) for group in groups])
        members = membership(np.repeat(np.arange(len(groups)), [len(g) for g in groups]), classes=len(groups))
        moments = None if self.class_moments is None else _sum_groups(self.class_moments, groups)
        return type(self)(
            counts=members.astype(np.int64) @ self.counts[chosen],
            zeros=members.astype(np.int64) @ self.zeros[chosen],
            class_sums=np.asarray(members @ self.class_sums[chosen]),
            second_moment=_moment_of(self, chosen) if moments is None else moments.sum(axis=0),
            class_moments=moments,
        )

    def to_bytes(self) -> bytes:
        """One safetensors blob of these statistics; equal statistics give equal bytes."""
        return pack([self])

    @classmethod
    def from_bytes(cls, data: bytes, *, limit_bytes: int) -> "TaskStatistics":
        """Read what `to_bytes` wrote.

        Raises:
            ValueError: as `unpack`, or there are several shards in the blob.
        """
        shards = unpack(data, limit_bytes=limit_bytes)
        if len(shards) != 1:
            raise ValueError(f"expected the statistics of one set of examples, got {len(shards)} shards")
        return shards[0]

    def _with(self, other: Self, *, sign: int) -> Self:
        moments = None
        if self.class_moments is not None and other.class_moments is not None:
            moments = self.class_moments + sign * other.class_moments
        return type(self)(
            counts=self.counts + sign * other.counts,
            zeros=self.zeros + sign * other.zeros,
            class_sums=self.class_sums + sign * other.class_sums,
            second_moment=self.second_moment + sign * other.second_moment,
            class_moments=moments,
        )


def merge(parts: Sequence[TaskStatistics]) -> TaskStatistics:
    """Statistics of all parts together, added in the order given.

    Raises:
        ValueError: there are no parts, or they differ in classes, dimensions or class moments.
    """
    if not parts:
        raise ValueError("nothing to merge: need at least one TaskStatistics")
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def pack(shards: Sequence[TaskStatistics], *, beside: Mapping[str, Packed] | None = None) -> bytes:
    """One safetensors blob of the statistics of several shards, in order; equal shards give equal bytes.

    Symmetric matrices are stored as their upper triangle, row after row; moments of few examples as factors.

    Args:
        shards: statistics of disjoint parts of a task.
        beside: what else the blob is to hold, by the names that `packing` allows.

    Raises:
        ValueError: there are no shards, or they differ in classes, dimensions or class moments.
    """
    if not shards:
        raise ValueError("nothing to pack: need at least one TaskStatistics")
    for shard in shards[1:]:
        _check_addable(shards[0], shard)
    tensors: dict[str, Packed] = {
        "counts": np.stack([shard.counts for shard in shards]),
        "zeros": np.stack([shard.zeros for shard in shards]),
        "class_sums": np.stack([shard.class_sums for shard in shards]),
        **packed_moments([shard.second_moment for shard in shards], examples=max(shard.examples for shard in shards)),
    }
    moments = [triangle_of(shard.class_moments) for shard in shards if shard.class_moments is not None]
    if moments:
        tensors["class_moments"] = np.stack(moments)
    return bytes_of({**tensors, **(beside or {})})


def unpack(data: bytes, *, limit_bytes: int) -> tuple[TaskStatistics, ...]:
    """Read what `pack` wrote, trusting nothing: memory stays below four times the size of ``data``, or 1 GiB.

    Args:
        data: a safetensors blob.
        limit_bytes: largest size of ``data`` that is read at all.

    Returns:
        The statistics of each shard, in order.

    Raises:
        ValueError: ``data`` is over the limit or no such blob, its shapes do not belong together or pass
            100,000 classes or 32,768 dimensions, a number is not finite or a count is negative, or the sums
            and moments are none that unit vectors can have.
    """
    return unpack_tensors(read_tensors(data, limit_bytes=limit_bytes))


def unpack_tensors(tensors: Mapping[str, Packed]) -> tuple[TaskStatistics, ...]:
    """The shards among the tensors of a blob. Raises ValueError as `unpack` does."""
    shards, classes, dimensions = packed_shape(tensors)
    triangle = dimensions * (dimensions + 1) // 2
    shapes = {
        "counts": (shards, classes),
        "zeros": (shards, classes),
        "class_sums": (shards, classes, dimensions),
        **moment_shapes(tensors, shards=shards, dimensions=dimensions),
        "class_moments": (shards, classes, triangle),
        **shuffled_shapes(tensors, classes=classes, dimensions=dimensions),
        **measured_shapes(tensors, classes=classes, dimensions=dimensions),
    }
    check_packed(tensors, shapes)
    unpacked = tuple(_unpacked(tensors, shard, dimensions) for shard in range(shards))
    for statistics in unpacked:
        check_plausible(statistics)
    return unpacked


def check_plausible(statistics: TaskStatistics) -> None:
    """Refuse statistics that no set of unit and zero rows has; cheap, hence not every lie is found.

    Raises:
        ValueError: counts are negative or more than 2^40 in all, zero rows outnumber the examples, a class
            sum is longer than the class has unit rows, the trace of a moment is not their number, or the
            class moments do not add up to the second moment.
    """
    counts, zeros = statistics.counts, statistics.zeros
    if counts.min() < 0 or zeros.min() < 0 or np.any(zeros > counts):
        raise ValueError("need 0 <= zeros <= counts in every class")
    if counts.max() > MOST_EXAMPLES or statistics.examples > MOST_EXAMPLES:
        raise ValueError(f"at most {MOST_EXAMPLES} examples, got counts up to {counts.max()}")
    units = (counts - zeros).astype(np.float64)
    slack = 1e-6 * (1.0 + units.sum())
    sums = statistics.class_sums
    if np.abs(sums).max() > units.max() + slack or np.any(np.linalg.norm(sums, axis=1) > units + slack):
        raise ValueError("a class sum is longer than the number of unit vectors in its class")
    _check_moment(statistics.second_moment, units=units.sum(), slack=slack)
    if statistics.class_moments is not None:
        for moment, number in zip(statistics.class_moments, units, strict=True):
            _check_moment(moment, units=number, slack=slack)
        if np.abs(statistics.class_moments.sum(axis=0) - statistics.second_moment).max() > slack:
            raise ValueError("the class moments do not add up to the second moment")


def _check_moment(moment: Floats, *, units: float, slack: float) -> None:
    diagonal = np.diagonal(moment)
    if np.abs(moment).max() > units + slack or diagonal.min() < -slack:
        raise ValueError(f"a second moment of {units:.0f} unit vectors cannot have such entries")
    if abs(diagonal.sum() - units) > slack:
        raise ValueError(f"a second moment of {units:.0f} unit vectors cannot have trace {diagonal.sum():.6g}")


def _unpacked(tensors: Mapping[str, Packed], shard: int, dimensions: int) -> TaskStatistics:
    moments = tensors.get("class_moments")
    return TaskStatistics(
        counts=tensors["counts"][shard].astype(np.int64),
        zeros=tensors["zeros"][shard].astype(np.int64),
        class_sums=tensors["class_sums"][shard].astype(np.float64),
        second_moment=unpacked_moment(tensors, shard, dimensions),
        class_moments=None if moments is None else square_of(moments[shard], dimensions),
    )


def _check_shapes(statistics: TaskStatistics) -> None:
    classes, dimensions = statistics.class_sums.shape if statistics.class_sums.ndim == 2 else (0, 0)
    if classes < 1 or dimensions < 1:
        raise ValueError(f"class_sums need shape (C, d), both at least 1, got {statistics.class_sums.shape}")
    square = (dimensions, dimensions)
    moments = statistics.class_moments
    wanted = {"counts": (classes,), "zeros": (classes,), "second_moment": square}
    found = {name: getattr(statistics, name).shape for name in wanted}
    if moments is not None:
        wanted["class_moments"], found["class_moments"] = (classes, *square), moments.shape
    for name, shape in wanted.items():
        if found[name] != shape:
            raise ValueError(f"{name} need shape {shape} for class_sums {(classes, dimensions)}, got {found[name]}")


def _check_labelled(features: NDArray[np.floating], labels: NDArray[np.integer], *, classes: int) -> None:
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(f"need features (n, d) and labels (n,), got {features.shape} and {labels.shape}")
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f"labels must be integers, got {labels.dtype}")
    if labels.size and (labels.min() < 0 or labels.max() >= classes):
        raise ValueError(f"labels must be in 0..{classes - 1}, got {labels.min()}..{labels.max()}")


def _check_addable(one: TaskStatistics, other: TaskStatistics) -> None:
    if one.class_sums.shape != other.class_sums.shape:
        raise ValueError(f"(C, d) differ: {one.class_sums.shape} and {other.class_sums.shape} do not add")
    if (one.class_moments is None) != (other.class_moments is None):
        raise ValueError("one side keeps class moments and the other does not; keep them on both or on neither")


def check_groups(groups: Sequence[Sequence[int]], *, classes: int) -> None:
    """Raises ValueError unless every group holds classes in 0..classes - 1, and no class is named twice."""
    named = [label for group in groups for label in group]
    if not groups or min(len(group) for group in groups) == 0:
        raise ValueError(f"every merged class needs at least one class, got groups {groups}")
    if len(set(named)) != len(named) or not all(0 <= label < classes for label in named):
        raise ValueError(f"classes must be in 0..{classes - 1} and named once, got groups {groups}")


def _moment_of(statistics: TaskStatistics, chosen: Integers) -> Floats:
    left_out = np.setdiff1d(np.flatnonzero(statistics.counts), chosen)
    if left_out.size:
        raise ValueError(
            f"classes {left_out.tolist()} have examples and are in no group; leaving classes out needs "
            "statistics with class_moments=True"
        )
    return statistics.second_moment


def _sum_groups(moments: Floats, groups: Sequence[Sequence[int]]) -> Floats:
    return np.stack([moments[list(group)].sum(axis=0) for group in groups])


def _read_only(array: Floats | Integers) -> Floats | Integers:
    view = array.view()
    view.flags.writeable = False
    return view
