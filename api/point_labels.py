"""Words beside points, placed so that they hide neither each other nor the points."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import cos, pi, sin
from typing import Literal

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from api.drawing import INK, MUTED

SIZE = 8.0
LETTER, LINE = 0.62, 1.25
"""Width of a letter and height of a line, in sizes of the font; a letter is rarely wider."""

MARK = 5.0
"""Half the side of a point's mark, in points of 1/72 inch."""

TOGETHER = 4.0
"""Points nearer than this share one label."""

ANGLES = tuple(pi * turn / 8 for turn in (0, 8, 4, 12, 2, 14, 6, 10, 1, 15, 7, 9, 3, 13, 5, 11))
REACHES = (1.0, 2.0, 3.5, 5.5, 8.0)
LED = 2.0
"""From this reach on a line leads from the label to its point."""

Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""


@dataclass(frozen=True, slots=True)
class PointLabels:
    """Points in the coordinates of their axes, shape (n, 2), and the text of each; an empty one is not written."""

    axes: Axes
    points: NDArray[np.float64]
    texts: Sequence[str]


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a label may go: its box, and how far it is from its point."""

    box: Box
    reach: float
    side: Literal["left", "center", "right"]

    @property
    def at(self) -> tuple[float, float]:
        """Where the text begins, is centred, or ends, by its side."""
        left, bottom, right, top = self.box
        return {"left": left, "center": (left + right) / 2, "right": right}[self.side], (bottom + top) / 2


def label_points(labels: PointLabels) -> None:
    """Write the label of every point where it hides least; axes must have their final place in the figure.

    Args:
        labels: what to write where; points in one place get one label together.
    """
    pixels_per_point = labels.axes.figure.dpi / 72.0
    at = np.asarray(labels.axes.transData.transform(labels.points)) / pixels_per_point
    bounds = labels.axes.get_window_extent()
    frame: Box = tuple(edge / pixels_per_point for edge in (bounds.x0, bounds.y0, bounds.x1, bounds.y1))
    marks: list[Box] = [(x - MARK, y - MARK, x + MARK, y + MARK) for x, y in at.tolist()]
    taken: list[Box] = []
    for members in _groups(at):
        text = _joined([labels.texts[member] for member in members])
        if text:
            point = (float(at[members[0], 0]), float(at[members[0], 1]))
            place = min(_places(point, text), key=lambda each: _hidden(each, frame, marks, taken))
            taken.append(place.box)
            _write(labels.axes, text, point=point, place=place)


def _groups(at: NDArray[np.float64]) -> list[list[int]]:
    """Points by place: each with those that lie on it, in their order."""
    groups: list[list[int]] = []
    for index in range(len(at)):
        near = next((group for group in groups if np.hypot(*(at[group[0]] - at[index])) < TOGETHER), None)
        if near is None:
            groups.append([index])
        else:
            near.append(index)
    return groups


def _joined(texts: Sequence[str]) -> str:
    """One label for points in one place: numbers side by side, names below each other."""
    said = [text for text in texts if text]
    return _ranges(sorted(map(int, said))) if all(text.isdecimal() for text in said) else "\n".join(said)


def _ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers, three or more in a row as a range."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    said = [f"{run[0]}-{run[-1]}" if len(run) > 2 else ", ".join(map(str, run)) for run in runs]
    return ", ".join(said)


def _places(point: tuple[float, float], text: str) -> list[_Place]:
    """Where a label may go around its point, the nearest and plainest first."""
    lines = text.split("\n")
    width, height = LETTER * SIZE * max(map(len, lines)), LINE * SIZE * len(lines)
    places = []
    for reach in REACHES:
        for angle in ANGLES:
            gap = MARK + 1.0 + SIZE * (reach - 1.0)
            x = point[0] + cos(angle) * (gap + width / 2)
            y = point[1] + sin(angle) * (gap + height / 2)
            box = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
            places.append(_Place(box, reach, _side(cos(angle))))
    return places


def _side(towards: float) -> Literal["left", "center", "right"]:
    """Which side of a text is next to its point, when it lies so far towards the right of it."""
    if abs(towards) < 0.5:
        return "center"
    return "left" if towards > 0 else "right"


def _hidden(place: _Place, frame: Box, marks: Sequence[Box], taken: Sequence[Box]) -> float:
    """How bad a place is: what it hides counts most, then leaving the frame, then the way to its point."""
    left, bottom, right, top = place.box
    outside = max(frame[0] - left, 0) + max(frame[1] - bottom, 0) + max(right - frame[2], 0) + max(top - frame[3], 0)
    hides = sum(_overlap(place.box, other) for other in taken) + 2 * sum(_overlap(place.box, mark) for mark in marks)
    return hides + 20.0 * outside + 3.0 * (place.reach - 1.0)


def _overlap(one: Box, other: Box) -> float:
    """The area that two boxes share."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _write(axes: Axes, text: str, *, point: tuple[float, float], place: _Place) -> None:
    """Write a label at its place, with a line to its point where that is not next to it."""
    led = place.reach >= LED
    axes.annotate(
        text,
        xy=(point[0], point[1]),
        xycoords="figure points",
        xytext=place.at,
        textcoords="figure points",
        ha=place.side,
        va="center",
        fontsize=SIZE,
        color=INK,
        linespacing=1.1,
        arrowprops={"arrowstyle": "-", "color": MUTED, "linewidth": 0.6, "shrinkA": 0, "shrinkB": 3} if led else None,
        annotation_clip=False,
        zorder=4,
    )
