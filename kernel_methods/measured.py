"""What a pass over a task measured beside its statistics, when somebody asked for it: of all its examples together.

Class moments and the counts of a source head add, and follow any merge of classes. The values do not: accuracies of
kNN and of a linear probe, and LEEP, need the examples, so that they hold for the classes they were measured on alone.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kernel_methods.packing import Packed, square_of, triangle_of
from kernel_methods.statistics import Floats, Integers, TaskStatistics, check_plausible

MeasuredName = Literal["knn", "linear_probe", "leep"]
Groups = tuple[tuple[int, ...], ...]
Entry = TypeVar("Entry", np.float64, np.int64)

TENSORS: dict[MeasuredName, str] = {
    "knn": "measured_knn",
    "linear_probe": "measured_linear_probe",
    "leep": "measured_leep",
}
"""Under which name each value travels."""

RANGES: dict[MeasuredName, tuple[float, float]] = {"knn": (0.0, 1.0), "linear_probe": (0.0, 1.0), "leep": (-1e3, 0.0)}

MOMENT_BYTES = 1 << 28
"""Most bytes of class moments that are kept of one module, packed."""

FEATURE_BYTES = 1 << 29
"""Most bytes of float32 features, or probabilities, that are kept of one module while it is scored."""

REFERENCE_EXAMPLES = 50_000
"""Most examples for which kNN and the probe are computed: their work grows faster than the examples."""


def moments_fit(*, classes: int, dimensions: int) -> bool:
    """Whether class moments of so many classes and features are kept at all."""
    return 4 * classes * dimensions * (dimensions + 1) <= MOMENT_BYTES


def references_fit(*, examples: int, dimensions: int) -> bool:
    """Whether features of so many examples are kept for kNN and the probe."""
    return examples <= REFERENCE_EXAMPLES and 4 * examples * dimensions <= FEATURE_BYTES


def probabilities_fit(*, examples: int, labels: int) -> bool:
    """Whether a source head's probabilities of so many labels are kept for LEEP."""
    return 4 * examples * labels <= FEATURE_BYTES


def finite_value(name: MeasuredName, value: float) -> float | None:
    """A computed value within its range, where rounding may have left it; None where it is no number."""
    lowest, highest = RANGES[name]
    return min(max(value, lowest), highest) if math.isfinite(value) else None


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """What was measured beside statistics of C classes and d features; what was not asked for is not there.

    Args:
        values: measured on the classes that ``groups`` are, and meaningless on others.
        groups: which of the C classes each measured class is made of; nothing where there are no values.
        class_moments: sum of phi phi^T over each class. Shape (C, d, d), float64.
        head_counts: examples by the label that the source head gives them, and by class. Shape (Z, C), int64.
    """

    values: Mapping[MeasuredName, float] = field(default_factory=dict)
    groups: Groups = ()
    class_moments: Floats | None = None
    head_counts: Integers | None = None

    def value(self, name: MeasuredName) -> float | None:
        """A value of these very classes; None where it was measured on others, or not at all."""
        return self.values.get(name) if all(len(group) == 1 for group in self.groups) else None

    def merge_classes(self, groups: Sequence[Sequence[int]]) -> Self:
        """The same of a task whose classes are merged of these; values stay where these are the measured classes."""
        same = {frozenset(group) for group in groups} == {frozenset(group) for group in self.groups}
        moments, counts = self.class_moments, self.head_counts
        return type(self)(
            values=self.values if same else {},
            groups=tuple((index,) for index in range(len(groups))) if same else (),
            class_moments=None if moments is None else np.stack([moments[list(g)].sum(axis=0) for g in groups]),
            head_counts=None if counts is None else np.stack([counts[:, list(g)].sum(axis=1) for g in groups], axis=1),
        )

    def __add__(self, other: Self) -> Self:
        """What can be told of both sets of examples together: what both have and adds; values do not.

        Raises:
            ValueError: their classes, features or source labels differ.
        """
        return type(self)(
            class_moments=_sum(self.class_moments, other.class_moments),
            head_counts=_sum(self.head_counts, other.head_counts),
        )

    def with_moments(self, total: TaskStatistics) -> TaskStatistics:
        """Statistics of all examples with the class moments, where there are any."""
        return total if self.class_moments is None else replace(total, class_moments=self.class_moments)

    def tensors(self) -> dict[str, Packed]:
        """Arrays to pack beside the statistics, by name."""
        packed: dict[str, Packed] = {TENSORS[name]: np.array([value]) for name, value in self.values.items()}
        if self.values:
            packed["measured_groups"] = _numbers_of(self.groups)
        if self.class_moments is not None:
            packed["total_class_moments"] = triangle_of(self.class_moments)
        if self.head_counts is not None:
            packed["head_counts"] = self.head_counts
        return packed


def measured_of(tensors: Mapping[str, Packed], *, total: TaskStatistics) -> Measured | None:
    """What `tensors` packed, of the shapes that `packing` checks; None where nothing was measured.

    Args:
        tensors: all arrays of a blob.
        total: statistics of all its examples, without class moments.

    Raises:
        ValueError: a value is out of its range or nobody says of which classes it is, the source head's counts are
            of other examples, or the class moments are none of these statistics.
    """
    values = {name: float(tensors[key][0]) for name, key in TENSORS.items() if key in tensors}
    moments, counts = tensors.get("total_class_moments"), tensors.get("head_counts")
    if not values and moments is None and counts is None and "measured_groups" not in tensors:
        return None
    if bool(values) != ("measured_groups" in tensors):
        raise ValueError("measured values and the groups of classes they are of come together")
    measured = Measured(
        values=values,
        groups=_groups_of(tensors["measured_groups"].astype(np.int64)) if values else (),
        class_moments=None if moments is None else square_of(moments, total.dimensions),
        head_counts=None if counts is None else counts.astype(np.int64),
    )
    _check(measured, total)
    return measured


def _check(measured: Measured, total: TaskStatistics) -> None:
    for name, value in measured.values.items():
        lowest, highest = RANGES[name]
        if not lowest <= value <= highest:
            raise ValueError(f"{name} must be in [{lowest:g}, {highest:g}], got {value:.6g}")
    counts = measured.head_counts
    if counts is not None and (counts.min() < 0 or counts.max() > total.examples):
        raise ValueError("a source head cannot give a label to fewer than no examples, or to more than there are")
    if counts is not None and np.any(counts.sum(axis=0) != total.counts):
        raise ValueError("a source head must give every example of each class one label")
    if measured.class_moments is not None:
        check_plausible(measured.with_moments(total))


def _numbers_of(groups: Groups) -> Integers:
    """For each class, which group it is in. Shape (C,)."""
    numbers = np.zeros(sum(len(group) for group in groups), np.int64)
    for number, group in enumerate(groups):
        numbers[list(group)] = number
    return numbers


def _groups_of(numbers: Integers) -> Groups:
    """The reverse. Raises ValueError unless groups are numbered from 0 without a gap."""
    groups = int(numbers.max()) + 1
    if numbers.min() < 0 or groups > len(numbers) or len(np.unique(numbers)) != groups:
        raise ValueError(f"groups of {len(numbers)} classes must be numbered from 0 without a gap")
    return tuple(tuple(np.flatnonzero(numbers == number).tolist()) for number in range(groups))


def _sum(one: NDArray[Entry] | None, other: NDArray[Entry] | None) -> NDArray[Entry] | None:
    if one is None or other is None:
        return None
    if one.shape != other.shape:
        raise ValueError(f"shapes differ: {one.shape} and {other.shape} do not add")
    return one + other
