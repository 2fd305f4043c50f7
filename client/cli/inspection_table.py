"""An inspection as a table: a line for each boundary, from the images up, and what follows from it in a sentence."""

from collections.abc import Sequence

from client.cli.output import answers, line, note, plain_table
from client.inspections import Boundary, Estimate, Inspection

BAR_WIDTH = 24
HEADERS = ("module", "block", "what", "features", "aligned", "interval (95 %)", "", "chance", "gain", "dead")


def write_inspection(inspection: Inspection) -> None:
    """The table, the output module's read-out, and the verdict."""
    console = answers()
    plain = not (console.encoding or "").lower().startswith("utf")
    table, top = plain_table(*HEADERS), bar_top(inspection.boundaries)
    before = ""
    for boundary in inspection.boundaries:
        name = "images" if boundary.is_images else boundary.module
        table.add_row(*_cells(boundary, name="" if name == before else name, top=top, plain=plain))
        before = name
    console.print(table)
    _write_read_out(inspection)
    line(inspection.verdict.sentence)
    for each in inspection.notes:
        note(f"note: {each}")
    classes = len(inspection.classes)
    line(f"by centred_alignment, {inspection.n} images, seed {inspection.seed}, {classes} classes")


def _cells(boundary: Boundary, *, name: str, top: float, plain: bool) -> tuple[str, ...]:
    """One line of the table."""
    aligned = boundary.centred_alignment
    return (
        name,
        "" if boundary.is_images else str(boundary.block),
        "" if boundary.is_images else boundary.what,
        _features(boundary),
        f"{aligned.value:.3f}",
        f"{aligned.low:.3f} to {aligned.high:.3f}",
        depth_bar(aligned, top=top, plain=plain),
        f"{boundary.chance:.3f}",
        _gain(boundary.gain, plain=plain),
        str(boundary.dead_features) if boundary.dead_features else "",
    )


def _features(boundary: Boundary) -> str:
    """How many features, and how they were pooled."""
    return f"{boundary.features}" + ("" if boundary.pooling == "none" else f" {boundary.pooling}")


def _gain(gain: Estimate | None, *, plain: bool) -> str:
    """A gain with its interval, and a mark: up, down, or neither beyond doubt."""
    if gain is None:
        return ""
    up, down, neither = "+-?" if plain else "▲▼·"
    mark = up if gain.is_above_zero else down if gain.is_below_zero else neither
    return f"{mark} {gain.value:+.3f} ({gain.low:+.3f} to {gain.high:+.3f})"


def bar_top(boundaries: Sequence[Boundary]) -> float:
    """Alignment at the right end of the bars, whose left end is 0."""
    return max(max(boundary.centred_alignment.high, boundary.chance) for boundary in boundaries) or 1.0


def depth_bar(aligned: Estimate, *, top: float, plain: bool = False) -> str:
    """Alignment as a bar from 0: solid up to the interval's low end, shaded up to its high end.

    Args:
        aligned: the estimate.
        top: value at the right end, above 0.
        plain: write ASCII only.
    """
    solid, shade = "#-" if plain else "█░"
    low, high = (_columns(value, top=top) for value in (aligned.low, aligned.high))
    return (solid * low + shade * (high - low)).ljust(BAR_WIDTH)


def _columns(value: float, *, top: float) -> int:
    return min(BAR_WIDTH, max(0, round(value / top * BAR_WIDTH)))


def _write_read_out(inspection: Inspection) -> None:
    """The output module's line."""
    out = inspection.read_out
    if out is None:
        return
    accuracy, told = out.accuracy, out.mean_log_likelihood
    line(
        f"{inspection.modules[-1].name}: accuracy {accuracy.value:.1%} ({accuracy.low:.1%} to {accuracy.high:.1%}), "
        f"mean log-likelihood {told.value:.3f} ({told.low:.3f} to {told.high:.3f}); "
        f"the nearest class mean below it reaches {out.class_means_accuracy:.1%}"
    )
