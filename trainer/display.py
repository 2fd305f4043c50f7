"""What a person sees of a run in a terminal: a bar for each module while it learns, a table at the end."""

from collections.abc import Sequence
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, TaskID, TextColumn, TimeRemainingColumn
from rich.progress import Progress as Bars
from rich.table import Table

from client.cli.progress import numbers_of
from registry.frozen import Frozen
from registry.names import DigestField
from registry.records import Progress
from trainer.run import TrainedModule


class Bar:
    """One bar over a run: what is trained, its epoch, objective and alignment, images a second, time left.

    Where nobody looks there is none, so that standard error holds what is said, and nothing else.
    """

    def __init__(self, console: Console, *, what: str) -> None:
        """Args: console: where it is drawn; what: the method, for people."""
        self._what = what
        self._bars = Bars(
            TextColumn("{task.description}"),
            BarColumn(),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[told]}"),
            TimeRemainingColumn(),
            console=console,
            disable=not console.is_terminal,
        )
        self._task: TaskID = self._bars.add_task(what, total=None, told="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def tell(self, progress: Progress) -> None:
        """Show how far the run is."""
        self._bars.update(
            self._task,
            completed=progress.done,
            total=progress.total,
            description=f"{self._what}: {progress.stage}",
            told=", ".join(numbers_of(progress)),
        )


FIGURES = {
    "objective": "objective",
    "alignment": "upper_triangle_alignment",
    "centred": "centred_alignment",
    "accuracy": "accuracy",
}
"""What the table's columns show, each by the name of its metric."""

PLACES = {"held-out": "images held out from training", "training": "the images of the training itself"}
"""What metrics are measured on, for people."""


class TrainedRow(Frozen):
    """One module of a run, for the table and for `--json`.

    `measured_on` says for each figure, by its column in the table, which images it is of.
    """

    method: str
    module: str
    file: str
    digest: DigestField
    objective: float | None
    alignment: float | None
    centred_alignment: float | None
    accuracy: float | None
    measured_on: dict[str, str]
    seconds: float


class TrainedRows(Frozen):
    """All modules of a command, the pairwise ones first, the baseline's after them."""

    modules: tuple[TrainedRow, ...]


def row_of(module: TrainedModule, *, method: str, name: str, file: str) -> TrainedRow:
    """What is told of one module."""
    return TrainedRow(
        method=method,
        module=f"{name}-{module.ending}",
        file=file,
        digest=module.digest,
        objective=module.metric("objective"),
        alignment=module.metric("upper_triangle_alignment"),
        centred_alignment=module.metric("centred_alignment"),
        accuracy=module.metric("accuracy"),
        measured_on=_places(module),
        seconds=round(module.seconds, 3),
    )


def _places(module: TrainedModule) -> dict[str, str]:
    """What each figure of a module is measured on, of those that it has."""
    measured = {metric.name: metric.on for metric in reversed(module.manifest.metrics)}
    return {figure: measured[name] for figure, name in FIGURES.items() if name in measured}


def table_of(rows: Sequence[TrainedRow]) -> Table:
    """The table at the end of a run, with what its figures are measured on below."""
    table = Table(caption=_caption(rows))
    table.add_column("module", no_wrap=True)
    for heading in (*FIGURES, "seconds"):
        table.add_column(heading, justify="right")
    for row in rows:
        numbers = (row.objective, row.alignment, row.centred_alignment)
        accuracy = "" if row.accuracy is None else f"{row.accuracy:.2%}"
        table.add_row(row.module, *map(_number, numbers), accuracy, f"{row.seconds:.1f}")
    return table


def _caption(rows: Sequence[TrainedRow]) -> str:
    """Figures by what they are measured on: ``objective: on ...; alignment, accuracy: on ...``."""
    figures: dict[str, list[str]] = {}
    for figure in FIGURES:
        for place in sorted({row.measured_on[figure] for row in rows if figure in row.measured_on}):
            figures.setdefault(place, []).append(figure)
    return "; ".join(f"{', '.join(names)}: on {PLACES.get(place, place)}" for place, names in figures.items())


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
