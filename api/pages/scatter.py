"""Predictions against outcomes as a picture: a dot a module, a mark for each bin. Places are in percent."""

from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.bars import MARGIN, Axis, Tick
from registry.outcome_records import ReliabilityBin

MOST_DOTS = 400
Pairs = Sequence[tuple[float, float]]


@dataclass(frozen=True, slots=True)
class Dot:
    """One module: its prediction across, its outcome up."""

    x: str
    y: str


@dataclass(frozen=True, slots=True)
class Mark:
    """One bin: its means, and the middle half of its outcomes."""

    x: str
    y: str
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Scatter:
    """One picture with its two axes."""

    across: Axis
    up: Axis
    dots: tuple[Dot, ...]
    marks: tuple[Mark, ...]

    @property
    def up_ticks(self) -> tuple[Tick, ...]:
        """Round values of the axis that goes up."""
        return tuple(Tick(tick.value, from_top(self.up, tick.value), tick.label) for tick in self.up.ticks)


def axis_over(values: Sequence[float]) -> Axis:
    """The axis on which all values have a place."""
    low, high = min(values), max(values)
    margin = MARGIN * (high - low) or 0.5
    return Axis(low - margin, high + margin)


def from_top(axis: Axis, value: float) -> str:
    """Where a value is on an axis that goes up; 0 % is at the top."""
    return Axis(-axis.high, -axis.low).place(-value)


def scatter(pairs: Pairs, bins: Sequence[ReliabilityBin], *, up: Axis) -> Scatter:
    """The picture of pairs and their bins; of very many pairs, evenly spread ones.

    Args:
        pairs: prediction and outcome of each module, at least one.
        bins: the same in bins.
        up: the axis of the outcomes, which pictures side by side share.
    """
    across = axis_over([predicted for predicted, _ in pairs])
    step = -(-len(pairs) // MOST_DOTS)
    return Scatter(
        across=across,
        up=up,
        dots=tuple(Dot(across.place(x), from_top(up, y)) for x, y in pairs[::step]),
        marks=tuple(
            Mark(
                across.place(each.predicted),
                from_top(up, each.value),
                from_top(up, each.low),
                from_top(up, each.high),
            )
            for each in bins
        ),
    )
