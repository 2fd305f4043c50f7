"""Answers as pictures, drawn by the zoo."""

from pathlib import Path
from typing import Annotated

import typer

from client.cli.output import note
from client.queries import PlotFormat
from client.zoo import Zoo
from registry.rankings import MapPanels

FORMATS: dict[str, PlotFormat] = {".png": "png", ".svg": "svg"}

PlotOption = Annotated[Path | None, typer.Option(help="Also draw it into this .png or .svg file.")]


def plot_format(target: Path | None) -> PlotFormat | None:
    """The format that a file's name asks for; None without a file. Another name is wrong use."""
    if target is None:
        return None
    if target.suffix.lower() not in FORMATS:
        raise typer.BadParameter(f"{str(target)!r} ends in neither .png nor .svg", param_hint="--plot")
    if not target.parent.is_dir():
        raise typer.BadParameter(f"there is no folder {str(target.parent)!r}", param_hint="--plot")
    return FORMATS[target.suffix.lower()]


def write_plot(zoo: Zoo, query_id: str, target: Path | None, *, panels: MapPanels = "both") -> None:
    """Write the picture of an answer, where one is wanted; `panels` says which parts of a map."""
    wanted = plot_format(target)
    if target is not None and wanted is not None:
        target.write_bytes(zoo.queries.plot(query_id, wanted, panels=panels))
        note(f"the plot is in {target}")
