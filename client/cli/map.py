"""`zoo map`: how well the modules of some tasks serve the others."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from client.cli.options import ZooOptions, opened, takes
from client.cli.output import answers, line, plain_table, write_json
from client.cli.plots import PlotOption, plot_format, write_plot
from client.cli.progress import bars
from kernel_methods.kernels import ScoreName
from registry.rankings import DEFAULT_SEED, SCORES, MapQuestion, MapTask, TaskMap


@dataclass(frozen=True, kw_only=True)
class MapOptions(ZooOptions):
    """What `zoo map` takes."""

    tasks: Annotated[
        list[str], typer.Argument(help="Ids of two tasks or more; default: all that modules were trained on.")
    ] = field(default_factory=list)
    rank_by: Annotated[ScoreName, typer.Option(help="The score to map.")] = SCORES[0]
    examples: Annotated[int | None, typer.Option(min=4, help="Examples to score on.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Draws the examples.")] = DEFAULT_SEED
    plot: PlotOption = None


@takes(MapOptions)
def map(options: MapOptions) -> None:  # noqa: A001
    """Show how well the modules of some tasks serve the other tasks.

    Rows are sources, columns targets; sources that serve the same targets are in one cluster.
    """
    if len(options.tasks) == 1:
        raise typer.BadParameter(f"a map needs two tasks or more, got {options.tasks[0]!r} only; add one, or none")
    plot_format(options.plot)
    question = MapQuestion(
        tasks=tuple(options.tasks),
        rank_by=options.rank_by,
        examples=options.examples,
        seed=options.seed,
    )
    with opened(options) as zoo, bars() as bar:
        on_progress = bar.work("mapping")
        task_map = zoo.queries.map(question, on_state=lambda state: on_progress(state.progress))
        write_plot(zoo, task_map.query, options.plot)
    if options.json:
        write_json(task_map)
    else:
        _write(task_map)


def _write(task_map: TaskMap) -> None:
    """The matrix, with sources that are alike side by side."""
    table = plain_table("", "cluster", "source", *(str(1 + place) for place in range(len(task_map.order))))
    for place, index in enumerate(task_map.order):
        source = task_map.tasks[index]
        scores = (f"{task_map.scores[index][target]:.3f}" for target in task_map.order)
        table.add_row(str(1 + place), str(1 + source.cluster), _label(source), *scores)
    answers().print(table)
    line(f"by {task_map.rank_by}, seed {task_map.seed}; larger is better")


def _label(source: MapTask) -> str:
    """A task by its classes, and the module that was trained on it."""
    return f"{' / '.join(source.classes)} ({source.module.ref})"
