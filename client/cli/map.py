"""`zoo map`: how well modules serve tasks, and which of them serve the same ones."""

from dataclasses import dataclass, field
from typing import Annotated

import typer

from client.cli.options import ZooOptions, opened, takes, wrong_use
from client.cli.output import answers, line, plain_table, write_json
from client.cli.plots import PlotOption, plot_format, write_plot
from client.cli.progress import bars
from kernel_methods.kernels import RankerName
from registry.rankings import DEFAULT_SEED, MapPanels, MapQuestion, MapSource, TaskMap


@dataclass(frozen=True, kw_only=True)
class MapOptions(ZooOptions):
    """What `zoo map` takes."""

    tasks: Annotated[
        list[str], typer.Argument(help="Ids of two tasks or more; default: all that modules were trained on.")
    ] = field(default_factory=list)
    source: Annotated[
        list[str], typer.Option(help="A module to score, repeated; default: the module of each task that has one.")
    ] = field(default_factory=list)
    rank_by: Annotated[RankerName, typer.Option(help="The score to map.")] = MapQuestion.model_fields["rank_by"].default
    examples: Annotated[int | None, typer.Option(min=4, help="Examples to score on.")] = None
    seed: Annotated[int, typer.Option(min=0, help="Draws the examples.")] = DEFAULT_SEED
    plot: PlotOption = None
    panels: Annotated[MapPanels, typer.Option(help="What the plot shows.")] = "both"


@takes(MapOptions)
def map(options: MapOptions) -> None:  # noqa: A001
    """Show how well the modules of some tasks serve the other tasks.

    Rows are sources, columns targets; sources that serve the same targets are in one cluster. A task without a module
    of its own is a target only.
    """
    if len(options.tasks) == 1 and not options.source:
        raise typer.BadParameter(f"a map needs two tasks or more, or --source; got {options.tasks[0]!r} only")
    plot_format(options.plot)
    with wrong_use():
        question = MapQuestion(
            tasks=tuple(options.tasks),
            sources=tuple(options.source),
            rank_by=options.rank_by,
            examples=options.examples,
            seed=options.seed,
        )
    with opened(options) as zoo, bars() as bar:
        on_progress = bar.work("mapping")
        task_map = zoo.queries.map(question, on_state=lambda state: on_progress(state.progress))
        write_plot(zoo, task_map.query, options.plot, panels=options.panels)
    if options.json:
        write_json(task_map)
    else:
        _write(task_map)


def _write(task_map: TaskMap) -> None:
    """The matrix, with sources that are alike side by side, and below it what the columns are."""
    names = [f"t{place + 1}" for place in range(len(task_map.target_order))]
    table = plain_table("cluster", "source", *names)
    for index in task_map.order:
        source = task_map.sources[index]
        scores = (f"{task_map.scores[index][target]:.3f}" for target in task_map.target_order)
        table.add_row(str(1 + source.cluster), _label(source), *scores)
    answers().print(table)
    for name, target in zip(names, task_map.target_order, strict=True):
        line(f"{name}: {' / '.join(task_map.targets[target].classes)}")
    line(f"by {task_map.rank_by}, seed {task_map.seed}; larger is better")


def _label(source: MapSource) -> str:
    """A source by the classes it was trained on, where those are known, and the module."""
    return f"{' / '.join(source.classes)} ({source.module.ref})" if source.classes else source.module.ref
