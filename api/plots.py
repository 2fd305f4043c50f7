"""Rankings as pictures: dots with their doubt. Same answer, same bytes."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from api.drawing import ACCENT, INK, OTHER, bytes_of, drawing, shortened, spoken
from api.pictures import PictureFormat
from registry.rankings import Ranking, RankingRow

MOST_ROWS = 60
"""A picture shows so many of the best modules; the answer itself has all of them."""


def draw_ranking(ranking: Ranking, format: PictureFormat) -> bytes:  # noqa: A002
    """A ranking as dots with their intervals, best on top, with the chance level and the static score.

    Args:
        ranking: the ranking; at most its first 60 rows are drawn.
        format: "png" or "svg".

    Returns:
        The picture's bytes; the same ranking gives the same bytes.
    """
    rows = ranking.ranking[:MOST_ROWS]
    with drawing():
        figure = Figure(figsize=(8.4, 1.7 + 0.32 * max(len(rows), 1)), layout="constrained")
        axes = figure.add_subplot()
        _draw_scores(axes, rows)
        axes.set_yticks(range(len(rows)), [f"{shortened(row.module.ref)}   {row.rank}" for row in rows])
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlabel(f"{spoken(ranking.rank_by)}, larger is better")
        axes.set_title("Reusability of modules on this task", fontsize=11)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.grid(axis="x", color="#e4e7eb", linewidth=0.8)
        axes.set_axisbelow(True)
        if rows:
            figure.legend(loc="outside lower center", ncols=4, frameon=False, fontsize=8)
        return bytes_of(figure, format)


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
