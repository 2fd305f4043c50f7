"""Alignment along the depth of a network, as a picture: the same inspection gives the same bytes."""

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO
from itertools import pairwise

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from client.inspections import Boundary, Inspection
from client.queries import PlotFormat

DOTS_PER_INCH = 144
INK, MUTED, ACCENT, FALL = "#1f2933", "#9aa5b1", "#0b63b0", "#b3230c"
SHADES = ("#f5f7fa", "#ffffff")
MOST_LABELLED = 40
TITLE_COLUMNS_PER_INCH = 12
INCHES_A_LETTER, INCHES_A_BOUNDARY, NARROWEST_INCHES, WIDEST_INCHES = 0.07, 0.5, 7.2, 18.0
LONGEST_NAME = 28


@contextmanager
def _style() -> Iterator[None]:
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
    with style:
        yield


def draw_depth(inspection: Inspection, format: PlotFormat) -> bytes:  # noqa: A002
    """Centred alignment at every boundary with its interval, modules as panels, the chance level dashed.

    Args:
        inspection: what was found.
        format: "png" or "svg".

    Returns:
        The picture's bytes.
    """
    boundaries = inspection.boundaries
    with _style():
        width = picture_inches(boundaries)
        figure = Figure(figsize=(width, 4.4), layout="constrained")
        axes = figure.add_subplot()
        _draw_modules(axes, boundaries)
        _draw_alignment(axes, boundaries)
        _draw_falls(axes, boundaries)
        _label(axes, inspection)
        figure.legend(loc="outside lower center", ncols=5, frameon=False, fontsize=8)
        out = BytesIO()
        if format == "svg":
            figure.savefig(out, format="svg", metadata={"Date": None})
        else:
            figure.savefig(out, format="png", dpi=DOTS_PER_INCH, metadata={"Software": "module-zoo"})
    return out.getvalue()


def picture_inches(boundaries: Sequence[Boundary]) -> float:
    """Width of the picture: room for every boundary's name, and for each module's above its panel."""
    blocks = Counter(boundary.module for boundary in boundaries if not boundary.is_images)
    wanted = [INCHES_A_LETTER * min(len(name) + 2, LONGEST_NAME) / count for name, count in blocks.items()]
    each = max(INCHES_A_BOUNDARY, *wanted)
    return min(max(NARROWEST_INCHES, 1.0 + each * len(boundaries)), WIDEST_INCHES)


def _draw_alignment(axes: Axes, boundaries: Sequence[Boundary]) -> None:
    """The line with its band, and what shuffled labels reach."""
    places = range(len(boundaries))
    scores = [boundary.centred_alignment for boundary in boundaries]
    lows, highs = [score.low for score in scores], [score.high for score in scores]
    axes.fill_between(places, lows, highs, color=ACCENT, alpha=0.18, linewidth=0, label="95 % interval")
    axes.plot(places, [score.value for score in scores], color=ACCENT, linewidth=1.8, label="centred alignment")
    inner = [place for place in places if not boundaries[place].ends_module]
    ends = [place for place in places if boundaries[place].ends_module]
    axes.scatter(inner, [scores[p].value for p in inner], s=22, color="white", edgecolor=ACCENT, zorder=4)
    axes.scatter(ends, [scores[p].value for p in ends], s=34, color=ACCENT, zorder=4, label="end of a module")
    chance = [boundary.chance for boundary in boundaries]
    axes.plot(places, chance, color=INK, linewidth=1, linestyle="--", label="chance (labels shuffled)")


def _draw_falls(axes: Axes, boundaries: Sequence[Boundary]) -> None:
    """The steps at which alignment falls with 95 % confidence, over the line."""
    label: str | None = "falls (95 %)"
    for place, boundary in enumerate(boundaries):
        if boundary.gain is not None and boundary.gain.is_below_zero:
            ends = [boundaries[place - 1].centred_alignment.value, boundary.centred_alignment.value]
            axes.plot([place - 1, place], ends, color=FALL, linewidth=2.6, zorder=3, label=label)
            label = None


def _draw_modules(axes: Axes, boundaries: Sequence[Boundary]) -> None:
    """A panel for each module, shaded by turns, its border a line, its name on top."""
    borders = [0.5, *(place + 0.5 for place, each in enumerate(boundaries) if each.ends_module)]
    if borders[-1] < len(boundaries) - 1:
        borders.append(len(boundaries) - 0.5)
    for turn, (left, right) in enumerate(pairwise(borders)):
        axes.axvspan(left, right, color=SHADES[turn % 2], linewidth=0, zorder=0)
        axes.axvline(left, color=MUTED, linewidth=1, zorder=1)
        name = boundaries[round(right - 0.5)].module
        _write_name(axes, name, left=left, right=right)
    axes.set_xlim(-0.5, len(boundaries) - 0.5)


def _write_name(axes: Axes, name: str, *, left: float, right: float) -> None:
    """A module's name above its panel; of a long one the end, which tells modules of a run apart."""
    drawn = _drawable(name)
    short = drawn if len(drawn) <= LONGEST_NAME else "…" + drawn[1 - LONGEST_NAME :]
    at = ((left + right) / 2, 1.0)
    axes.annotate(short, at, (0, 4), ("data", "axes fraction"), "offset points", ha="center", fontsize=8)


def _label(axes: Axes, inspection: Inspection) -> None:
    boundaries = inspection.boundaries
    shown = range(len(boundaries)) if len(boundaries) <= MOST_LABELLED else ()
    names = [_block_name(boundaries[place]) for place in shown]
    axes.set_xticks(shown, names, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_ylabel("centred alignment")
    columns = int(picture_inches(boundaries) * TITLE_COLUMNS_PER_INCH)
    title = textwrap.fill(_drawable(inspection.verdict.sentence), columns)
    axes.set_title(title, fontsize=9, color=INK, pad=22, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(axis="x", length=0)
    axes.grid(axis="y", color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)


def _block_name(boundary: Boundary) -> str:
    """A block by its number and the last thing in it that is no norm."""
    if boundary.is_images:
        return "images"
    parts = [part for part in boundary.what.split(", ") if "norm" not in part]
    return f"{boundary.block} {parts[-1] if parts else boundary.what}"


def _drawable(text: str) -> str:
    """Text whose letters the font certainly has: Latin, Greek, Cyrillic; question marks for others."""
    return "".join(
        each if each.isprintable() and (ord(each) < 0x250 or 0x386 <= ord(each) <= 0x44F) else "?" for each in text
    )
