"""Pictures of answers: the task map as a heat map, a ranking as dots with their doubt. Same answer, same bytes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise
from threading import Lock
from typing import Literal, TypeAlias

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from registry.rankings import MapTask, Ranking, RankingRow, TaskMap

PictureFormat: TypeAlias = Literal["png", "svg"]

VALUES_SHOWN = 20
"""Up to so many tasks the heat map has its numbers written in the cells."""

LONGEST_LABEL = 32
MOST_ROWS = 60
"""A picture shows so many of the best modules; the answer itself has all of them."""

MOST_LABELLED = 60
DOTS_PER_INCH = 144
INK, MUTED, ACCENT, OTHER = "#1f2933", "#9aa5b1", "#0b63b0", "#b3530c"
_DRAWING = Lock()
"""matplotlib's settings belong to the whole process, so one picture is drawn at a time."""


@contextmanager
def _drawing() -> Iterator[None]:
    """Settings under which the same figure becomes the same bytes, and no text is taken for a formula."""
    style = rc_context(
        {
            "svg.hashsalt": "module-zoo",
            "svg.fonttype": "path",
            "font.family": "DejaVu Sans",
            "font.size": 9,
            "text.parse_math": False,
            "text.usetex": False,
        }
    )
    with _DRAWING, style:
        yield


def draw_map(task_map: TaskMap, format: PictureFormat) -> bytes:  # noqa: A002
    """The source x target matrix as a heat map, sources and targets in the order of their clusters.

    Args:
        task_map: the map; tasks are named by their classes, rows are sources, columns are targets.
        format: "png" or "svg".

    Returns:
        The picture's bytes; the same map gives the same bytes.
    """
    tasks = [task_map.tasks[place] for place in task_map.order]
    order = np.array(task_map.order, dtype=np.intp)
    scores = np.array(task_map.scores, dtype=np.float64)[np.ix_(order, order)]
    with _drawing():
        side = min(max(3.2, 0.42 * len(tasks)), 16.0)
        figure = Figure(figsize=(side + 3.4, side + 2.2), layout="constrained")
        axes = figure.add_subplot()
        image = axes.imshow(scores, cmap="viridis", aspect="equal")
        figure.colorbar(image, ax=axes, label=_spoken(task_map.rank_by), shrink=0.85)
        axes.set_title(f"Transferability: {_spoken(task_map.rank_by)}, larger is better", fontsize=11)
        _label_tasks(axes, [_task_name(task) for task in tasks])
        _draw_boundaries(axes, [task.cluster for task in tasks])
        if len(tasks) <= VALUES_SHOWN:
            _write_values(axes, scores)
        return _bytes_of(figure, format)


def _label_tasks(axes: Axes, names: Sequence[str]) -> None:
    axes.set_xlabel("target task (what the module is used for)")
    axes.set_ylabel("source task (what the module was trained on)")
    places = range(len(names)) if len(names) <= MOST_LABELLED else ()
    shown = names if len(names) <= MOST_LABELLED else ()
    axes.set_xticks(places, shown, rotation=55, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, shown)
    axes.tick_params(length=0)


def _draw_boundaries(axes: Axes, clusters: Sequence[int]) -> None:
    """White lines between neighbouring clusters of sources, and of the same tasks as targets."""
    edges = [place + 0.5 for place, (one, next_) in enumerate(pairwise(clusters)) if one != next_]
    for edge in edges:
        axes.axhline(edge, color="white", linewidth=2.5)
        axes.axvline(edge, color="white", linewidth=2.5)


def _write_values(axes: Axes, scores: NDArray[np.float64]) -> None:
    """Each score in its cell, dark on light and light on dark."""
    middle = (float(scores.min()) + float(scores.max())) / 2
    for (row, column), score in np.ndenumerate(scores):
        colour = "white" if score <= middle else INK
        axes.text(column, row, _number(float(score)), ha="center", va="center", color=colour, fontsize=7)


def draw_ranking(ranking: Ranking, format: PictureFormat) -> bytes:  # noqa: A002
    """A ranking as dots with their intervals, best on top, with the chance level and the static score.

    Args:
        ranking: the ranking; at most its first 60 rows are drawn.
        format: "png" or "svg".

    Returns:
        The picture's bytes; the same ranking gives the same bytes.
    """
    rows = ranking.ranking[:MOST_ROWS]
    with _drawing():
        figure = Figure(figsize=(8.4, 1.7 + 0.32 * max(len(rows), 1)), layout="constrained")
        axes = figure.add_subplot()
        _draw_scores(axes, rows)
        axes.set_yticks(range(len(rows)), [f"{_shortened(row.module.ref)}   {row.rank}" for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{_spoken(ranking.rank_by)}, larger is better")
        axes.set_title("Reusability of modules on this task", fontsize=11)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        if rows:
            figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        return _bytes_of(figure, format)


def _draw_scores(axes: Axes, rows: Sequence[RankingRow]) -> None:
    places = np.arange(len(rows))
    lows, highs = [row.interval[0] for row in rows], [row.interval[1] for row in rows]
    axes.hlines(places, lows, highs, color=ACCENT, linewidth=2, label="95 % interval")
    axes.scatter([row.score for row in rows], places, s=34, color=ACCENT, zorder=3, label="score")
    chances = [row.chance for row in rows]
    axes.scatter(chances, places, s=90, marker="|", color=INK, zorder=3, label="chance (labels shuffled)")
    known = [(row.static, place) for place, row in enumerate(rows) if row.static is not None]
    if known:
        statics, at = zip(*known, strict=True)
        axes.scatter(
            statics, at, s=30, marker="D", facecolor="none", edgecolor=OTHER, label="static: mean on other data"
        )


def _bytes_of(figure: Figure, format: PictureFormat) -> bytes:  # noqa: A002
    """The figure as a file that holds no date and no random names."""
    out = BytesIO()
    if format == "svg":
        figure.savefig(out, format="svg", metadata={"Date": None})
    else:
        figure.savefig(out, format="png", dpi=DOTS_PER_INCH, metadata={"Software": "module-zoo"})
    return out.getvalue()


def _task_name(task: MapTask) -> str:
    """The classes of a task, as a label."""
    return _shortened(" / ".join(task.classes))


def _shortened(text: str) -> str:
    """Text of at most 32 characters on one line; characters that cannot be drawn become question marks."""
    drawable = "".join(letter if _drawable(letter) else "?" for letter in text)
    return drawable if len(drawable) <= LONGEST_LABEL else drawable[: LONGEST_LABEL - 1] + "…"


def _drawable(letter: str) -> bool:
    """Whether the font of matplotlib certainly has the letter: Latin, Greek, Cyrillic, and what is printed there."""
    return letter.isprintable() and (ord(letter) < 0x250 or 0x386 <= ord(letter) <= 0x44F)


def _spoken(name: str) -> str:
    return name.replace("_", " ")


def _number(score: float) -> str:
    """Two decimals, without a minus before nothing."""
    return f"{score:.2f}".replace("-0.00", "0.00")
