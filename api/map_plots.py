"""The task map as a picture: the matrix with the tree of its sources, and the sources in a plane."""

from collections import Counter
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure
from matplotlib.patches import Rectangle
from numpy.typing import NDArray

from api.drawing import INK, MUTED, bytes_of, drawing, number, shortened, spoken
from api.pictures import PictureFormat
from api.point_labels import PointLabels, label_points
from registry.rankings import MapPanels, TaskMap

VALUES_SHOWN = 20
"""Up to so many rows and columns the matrix has its numbers written in the cells."""

MOST_LABELLED = 60
MOST_NAMED = 12
"""Up to so many points have their names beside them; beyond, their numbers, which a key or the matrix explains."""

LARGEST_CELL, CELL, SMALLEST_CELL, WIDEST = 0.8, 0.42, 0.2, 16.0
SIDE_OF_PLANE = 5.2
ROOM_FOR_LABELS, ROOM_FOR_TREE, ROOM_BELOW, ROOM_OF_KEY = 2.6, 1.9, 2.3, 3.0
SMALLEST_HEIGHT = 4.2
"""Lengths in inches."""

COLOURS = ("#0b63b0", "#b3530c", "#1a7f4b", "#8a3ab9", "#b3230c", "#0e7c86", "#8a6d00", "#c2357a", "#5b6770", "#3f4fbf")
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
FARTHEST_TOGETHER = 1.0
"""Merges from this distance on join what stays apart as clusters."""


def draw_map(task_map: TaskMap, format: PictureFormat, *, panels: MapPanels = "both") -> bytes:  # noqa: A002
    """The source x target matrix beside the tree of its sources, and the sources as points in a plane.

    Args:
        task_map: the map; sources and tasks are named by their classes, and the order is that of the clusters.
        format: "png" or "svg".
        panels: the matrix with its tree, the embedding, or both.

    Returns:
        The picture's bytes; the same map gives the same bytes.
    """
    with drawing():
        names, sizes = _source_names(task_map), _sizes(task_map, panels)
        figure = Figure(figsize=(sum(width for width, _ in sizes), max(height for _, height in sizes)))
        figure.set_layout_engine("constrained")
        parts = figure.subfigures(1, len(sizes), width_ratios=[width for width, _ in sizes], squeeze=False)[0]
        if panels != "embedding":
            _draw_matrix(parts[0], task_map, names)
        if panels != "matrix":
            labels = _draw_plane(parts[-1], task_map, names, keyed=panels == "embedding")
            figure.draw_without_rendering()
            figure.set_layout_engine("none")
            label_points(labels)
        return bytes_of(figure, format)


def _sizes(task_map: TaskMap, panels: MapPanels) -> list[tuple[float, float]]:
    """Width and height of each wanted part, in inches."""
    matrix = [_matrix_size(task_map)] if panels != "embedding" else []
    plane = [_plane_size(len(task_map.sources), keyed=not matrix)] if panels != "matrix" else []
    return matrix + plane


def _matrix_size(task_map: TaskMap) -> tuple[float, float]:
    """Width and height of the matrix with all that stands around it, in inches."""
    rows, columns = len(task_map.sources), len(task_map.targets)
    cell = _cell(max(rows, columns))
    width = ROOM_FOR_LABELS + max(columns * cell, 1.2) + ROOM_FOR_TREE
    return max(width, 5.4), max(rows * cell + ROOM_BELOW, SMALLEST_HEIGHT if rows > 1 else 3.2)


def _cell(most: int) -> float:
    """The side of a cell: large for a few, then such that numbers fit, then such that names fit."""
    if most <= VALUES_SHOWN:
        return min(max(2.4 / most, CELL), LARGEST_CELL)
    return min(max(VALUES_SHOWN * CELL / most, SMALLEST_CELL), WIDEST / most)


def _plane_size(sources: int, *, keyed: bool) -> tuple[float, float]:
    """Width and height of the plane in inches, with the key of its numbers where it stands alone."""
    if sources <= MOST_NAMED:
        return SIDE_OF_PLANE, SIDE_OF_PLANE
    side = SIDE_OF_PLANE + 2.0
    return side + (ROOM_OF_KEY if keyed else 0.0), side


def _draw_matrix(part: SubFigure, task_map: TaskMap, names: Sequence[str]) -> None:
    rows = np.array(task_map.order, dtype=np.intp)
    columns = np.array(task_map.target_order, dtype=np.intp)
    scores = np.array(task_map.scores, dtype=np.float64)[np.ix_(rows, columns)]
    part.suptitle(f"{spoken(task_map.rank_by).capitalize()} of sources on targets, larger is better", fontsize=11)
    grid = part.subplots(1, 2, width_ratios=[max(_cell(max(scores.shape)) * len(columns), 1.2), 1.0], squeeze=False)
    axes, beside = grid[0]
    image = axes.imshow(scores, cmap="viridis", aspect="auto")
    part.colorbar(image, ax=[axes, beside], shrink=0.85, aspect=30)
    numbered = len(rows) > MOST_NAMED
    shown = [f"{names[row]}  {place + 1}" if numbered else names[row] for place, row in enumerate(rows)]
    _label_axes(axes, rows=shown, columns=_target_names(task_map))
    _draw_boundaries(axes, task_map)
    middle = (float(scores.min()) + float(scores.max())) / 2
    inks = np.where(scores <= middle, "white", INK)
    _mark_own(axes, task_map, inks)
    if max(scores.shape) <= VALUES_SHOWN:
        _write_values(axes, scores, inks)
    _draw_tree(beside, task_map)


def _label_axes(axes: Axes, *, rows: Sequence[str], columns: Sequence[str]) -> None:
    axes.set_xlabel("target: the task that a module is used for")
    axes.set_ylabel("source: what the module was trained on")
    shown = range(len(columns)) if len(columns) <= MOST_LABELLED else ()
    axes.set_xticks(shown, [columns[place] for place in shown], rotation=55, ha="right", rotation_mode="anchor")
    shown = range(len(rows)) if len(rows) <= MOST_LABELLED else ()
    axes.set_yticks(shown, [rows[place] for place in shown])
    axes.tick_params(length=0)


def _draw_boundaries(axes: Axes, task_map: TaskMap) -> None:
    """White lines between neighbouring clusters of sources, and of the same tasks as targets."""
    cluster_of = {source.task: source.cluster for source in task_map.sources if source.task is not None}
    rows = [task_map.clusters[row] for row in task_map.order]
    columns = [cluster_of.get(task_map.targets[column].task) for column in task_map.target_order]
    for edge in _edges(rows):
        axes.axhline(edge, color="white", linewidth=2.5)
    for edge in _edges(columns):
        axes.axvline(edge, color="white", linewidth=2.5)


def _edges(clusters: Sequence[int | None]) -> list[float]:
    return [place + 0.5 for place, (one, next_) in enumerate(pairwise(clusters)) if one != next_]


def _mark_own(axes: Axes, task_map: TaskMap, inks: NDArray[np.str_]) -> None:
    """A frame around the score of each module on the task that it was trained on."""
    column_of = {task_map.targets[column].task: place for place, column in enumerate(task_map.target_order)}
    for place, row in enumerate(task_map.order):
        column = column_of.get(task_map.sources[row].task or "")
        if column is not None:
            corner, ink = (column - 0.44, place - 0.44), str(inks[place, column])
            axes.add_patch(Rectangle(corner, 0.88, 0.88, fill=False, edgecolor=ink, linewidth=1.0))


def _write_values(axes: Axes, scores: NDArray[np.float64], inks: NDArray[np.str_]) -> None:
    """Each score in its cell, dark on light and light on dark."""
    for (row, column), score in np.ndenumerate(scores):
        ink = str(inks[row, column])
        axes.text(column, row, number(float(score)), ha="center", va="center", color=ink, fontsize=7)


def _draw_tree(axes: Axes, task_map: TaskMap) -> None:
    """The tree of the sources, its leaves at the rows of the matrix, in the colours of the clusters."""
    if not task_map.tree:
        axes.set_axis_off()
        return
    count = len(task_map.sources)
    place_of = {source: float(place) for place, source in enumerate(task_map.order)}
    reach = dict.fromkeys(range(count), 0.0)
    cluster_of = dict(enumerate(task_map.clusters))
    for step, (left, right, distance, _) in enumerate(task_map.tree):
        at = [place_of[left], place_of[right]]
        together = distance < FARTHEST_TOGETHER and cluster_of[left] == cluster_of[right]
        colour = _colour(cluster_of[left]) if together else MUTED
        bend = [reach[left], distance, distance, reach[right]]
        axes.plot(bend, np.repeat(at, 2), color=colour, linewidth=1.3, solid_joinstyle="miter")
        place_of[count + step], reach[count + step] = sum(at) / 2, distance
        cluster_of[count + step] = cluster_of[left]
    longest = max(distance for _, _, distance, _ in task_map.tree) or 1.0
    axes.set(xlim=(-0.02 * longest, 1.08 * longest), ylim=(count - 0.5, -0.5), yticks=())
    axes.set_xlabel("distance of profiles\n(1 - correlation)", fontsize=8)
    axes.tick_params(axis="x", labelsize=8)
    axes.locator_params(axis="x", nbins=3)
    axes.spines[["top", "right", "left"]].set_visible(False)


def _draw_plane(part: SubFigure, task_map: TaskMap, names: Sequence[str], *, keyed: bool) -> PointLabels:
    """The sources as points, coloured by their clusters; what to write beside each is left to be placed."""
    axes = part.subplots()
    points = np.array(task_map.embedding.coordinates, dtype=np.float64)
    for cluster in sorted(set(task_map.clusters)):
        chosen = points[np.array(task_map.clusters) == cluster]
        mark = MARKS[cluster // len(COLOURS) % len(MARKS)]
        axes.scatter(chosen[:, 0], chosen[:, 1], s=42, color=_colour(cluster), marker=mark, zorder=3)
    reach = 1.25 * max(float(np.abs(points).max(initial=0.0)), 1e-3)
    axes.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal", xticks=(), yticks=())
    axes.spines[:].set_color("#d5dae0")
    axes.axhline(0, color="#eef1f4", linewidth=1, zorder=0)
    axes.axvline(0, color="#eef1f4", linewidth=1, zorder=0)
    kept = f"{100 * task_map.embedding.kept:.0f} %"
    axes.set_title("Sources that serve the same targets are near each other", fontsize=11)
    axes.set_xlabel(f"two dimensions that keep {kept} of the variance of the distances", fontsize=8)
    numbered = len(points) > MOST_NAMED
    if numbered and keyed:
        axes.set_anchor("W")
        _write_key(axes, task_map, names)
    place_of = {row: str(place + 1) for place, row in enumerate(task_map.order)}
    said = [place_of[row] if numbered else names[row] for row in range(len(points))]
    return PointLabels(axes, points, said if len(points) <= MOST_LABELLED else [""] * len(points))


def _write_key(axes: Axes, task_map: TaskMap, names: Sequence[str]) -> None:
    """Beside the plane, which number is which source."""
    if len(names) > MOST_LABELLED:
        return
    lines = [f"{place + 1:>2}  {names[row]}" for place, row in enumerate(task_map.order)]
    size = min(8.0, 0.72 * 72 * SIDE_OF_PLANE * 1.2 / len(lines))
    axes.text(1.03, 1.0, "\n".join(lines), transform=axes.transAxes, va="top", fontsize=size, linespacing=1.25)


def _colour(cluster: int) -> str:
    return COLOURS[cluster % len(COLOURS)]


def _source_names(task_map: TaskMap) -> list[str]:
    """Each source by the classes it was trained on; by its module where that is not known, or not enough."""
    named = [shortened(" / ".join(source.classes)) for source in task_map.sources]
    uses = Counter(named)
    return [
        name if name and uses[name] == 1 else shortened(source.module.ref)
        for name, source in zip(named, task_map.sources, strict=True)
    ]


def _target_names(task_map: TaskMap) -> list[str]:
    """The targets by their classes, in the order of the columns."""
    return [shortened(" / ".join(task_map.targets[column].classes)) for column in task_map.target_order]
