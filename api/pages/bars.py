"""The picture of a ranking in its own table: one axis for all rows, one bar for each. Places are in percent."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from api.pages.words import score_words
from registry.rankings import RankingRow, ScoreFields

MARGIN = 0.04
MOST_TICKS = 5
ROUND_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)


@dataclass(frozen=True, slots=True)
class Tick:
    """A round value of the axis, and where it is."""

    value: float
    place: str
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """Where the marks of one row are, and what they say."""

    low: str
    high: str
    score: str
    chance: str
    static: str | None
    title: str


@dataclass(frozen=True, slots=True)
class Axis:
    """The values from the left end to the right end of every bar."""

    low: float
    high: float

    @classmethod
    def over(cls, rows: Sequence[RankingRow]) -> "Axis":
        """The axis on which every mark of the rows has a place; without rows, 0 to 1."""
        values = [value for row in rows for value in _values(row)] or [0.0, 1.0]
        low, high = min(values), max(values)
        margin = MARGIN * (high - low) or 0.5
        return cls(low - margin, high + margin)

    def place(self, value: float) -> str:
        """Where a value is: 0 % at the left end, 100 % at the right one."""
        return f"{100 * (value - self.low) / (self.high - self.low):.2f}%"

    @property
    def ticks(self) -> tuple[Tick, ...]:
        """Round values within the axis, three to five where that can be."""
        step = _round_step((self.high - self.low) / MOST_TICKS)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        digits = max(0, -math.floor(math.log10(step)) + (1 if f"{step:.1e}".startswith("2.5") else 0))
        values = [count * step for count in range(first, last + 1)]
        return tuple(Tick(value, self.place(value), f"{value:.{digits}f}".replace("-", "−")) for value in values)

    def bar(self, row: ScoreFields) -> Bar:
        """The marks of one row."""
        low, high = row.interval
        said = f"score {score_words(row.score)}, interval {score_words(low)} to {score_words(high)}, "
        said += f"chance {score_words(row.chance)}"
        if row.static is not None:
            said += f", static score {score_words(row.static)}"
        return Bar(
            low=self.place(low),
            high=self.place(high),
            score=self.place(row.score),
            chance=self.place(row.chance),
            static=None if row.static is None else self.place(row.static),
            title=said,
        )


def _values(row: ScoreFields) -> list[float]:
    static = [] if row.static is None else [row.static]
    return [row.score, *row.interval, row.chance, *static]


def _round_step(least: float) -> float:
    """The smallest 1, 2, 2.5 or 5 times a power of ten that is not below `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(step * power for step in ROUND_STEPS if step * power >= least * (1 - 1e-9))
