"""`zoo inspect`: the inside of a network, boundary by boundary, on labelled images."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from client.cli.data import CLASSES_HELP, existing, parse_classes
from client.cli.depth_plot import draw_depth
from client.cli.inspection_table import write_inspection
from client.cli.options import ZooOptions, opened, takes
from client.cli.output import note, write_json
from client.cli.plots import PlotOption, plot_format
from client.cli.programs import FEWER, check_ended, run
from client.cli.progress import bars
from client.cli.work import require_torch
from client.folders import as_file
from client.inspections import DEFAULT_EXAMPLES, Inspection, InspectionRequest, ModuleFile
from client.trained_files import trained_files
from registry.rankings import DEFAULT_SEED

INPUT = "-input.safetensors"
MODULE = ".safetensors"


@dataclass(frozen=True, kw_only=True)
class InspectOptions(ZooOptions):
    """What `zoo inspect` takes."""

    pipeline: Annotated[
        list[str],
        typer.Argument(help="A pipeline's name or id, a run's folder, or module files, the input module first."),
    ]
    data: Annotated[str, typer.Argument(help="Labelled images: zip, folder of class folders, parquet or npz.")]
    classes: Annotated[list[str], typer.Option(help=CLASSES_HELP)] = field(default_factory=list)
    examples: Annotated[int, typer.Option(min=4, help="At most so many images, drawn by the seed.")] = DEFAULT_EXAMPLES
    seed: Annotated[int, typer.Option(min=0, help="Draws the images.")] = DEFAULT_SEED
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Leave out drawn images that cannot be read.")
    ] = False
    plot: PlotOption = None


@takes(InspectOptions)
def inspect(options: InspectOptions) -> None:
    """Show which part of a pipeline is at fault.

    Alignment along its depth: features are scored behind every block with weights, and each gain over the boundary
    before comes with its interval (95 %). It runs here: modules are fetched, no image leaves this machine.
    """
    classes = parse_classes(options.classes)
    data, format_ = existing(options.data), plot_format(options.plot)
    require_torch()
    modules = modules_of(options)
    with as_file(data) as file:
        request = InspectionRequest(
            modules=modules,
            data=str(file),
            classes=classes,
            examples=options.examples,
            seed=options.seed,
            leave_out_broken=options.leave_out_broken,
        )
        inspection = _inspected(request, as_json=options.json)
    if options.plot is not None and format_ is not None:
        options.plot.write_bytes(draw_depth(inspection, format_))
        note(f"the plot is in {options.plot}")
    if options.json:
        write_json(inspection)
    else:
        write_inspection(inspection)


def modules_of(options: InspectOptions) -> tuple[ModuleFile, ...]:
    """The module files that are meant: files, those of a run, or those of a pipeline of the zoo.

    Raises:
        typer.BadParameter: a file is not there, or one cannot tell what is meant.
        NotFoundError: the zoo has no such pipeline.
    """
    named = options.pipeline
    if all(name.endswith(MODULE) for name in named):
        return tuple(ModuleFile(name=existing(name).stem, file=name) for name in named)
    if len(named) > 1:
        odd = next(name for name in named if not name.endswith(MODULE))
        raise typer.BadParameter(f"{odd!r} is no module file; give one pipeline, one folder, or module files only")
    if Path(named[0]).is_dir():
        return _of_run(Path(named[0]), run_in(Path(named[0])))
    if Path(named[0] + INPUT).is_file():
        return _of_run(Path(named[0]).parent, Path(named[0]).name)
    return _fetched(options, named[0])


def run_in(folder: Path) -> str:
    """The name of the run whose files are in a folder; of several, the one that the folder is named after.

    Raises:
        typer.BadParameter: there is none, or one cannot tell which is meant.
    """
    names = sorted(path.name.removesuffix(INPUT) for path in folder.glob(f"*{INPUT}"))
    chosen = [name for name in names if not name.endswith("-end-to-end")] or names
    if len(chosen) > 1:
        chosen = [name for name in chosen if name == folder.resolve().name] or chosen
    if len(chosen) == 1:
        return chosen[0]
    found = ", ".join(str(folder / name) for name in chosen[:5])
    remedy = f"name one of the runs in it: {found}" if chosen else "train with this --out first"
    raise typer.BadParameter(f"{str(folder)!r} holds the input modules of {len(chosen)} runs; {remedy}")


def _of_run(folder: Path, name: str) -> tuple[ModuleFile, ...]:
    return tuple(ModuleFile(name=path.stem, file=str(path)) for path in trained_files(folder, name))


def _fetched(options: InspectOptions, name: str) -> tuple[ModuleFile, ...]:
    """A pipeline's modules, in the cache."""
    with opened(options) as zoo, bars() as bar:
        pinned = zoo.pipelines.show(name).modules
        refs = [f"{module.ref.partition('@')[0]}@{module.digest}" for module in pinned]
        files = [
            zoo.modules.fetch(ref, on_bytes=bar.bytes(f"fetching {module.ref}"))
            for ref, module in zip(refs, pinned, strict=True)
        ]
    return tuple(ModuleFile(name=module.ref, file=str(path)) for module, path in zip(pinned, files, strict=True))


def _inspected(request: InspectionRequest, *, as_json: bool) -> Inspection:
    """Let the trainer inspect, in a process of its own. Raises JobFailedError when that was killed."""
    with tempfile.TemporaryDirectory(prefix="module-zoo-") as folder:
        path = Path(folder) / "request.json"
        path.write_text(request.model_dump_json())
        done = run(inspector_command(path, as_json=as_json), stdout=subprocess.PIPE)
    check_ended(done.returncode, what="inspecting", remedy=FEWER)
    return Inspection.model_validate_json(done.stdout)


def inspector_command(request: Path, *, as_json: bool = False) -> Sequence[str]:
    """The command line that inspects."""
    return [sys.executable, "-m", "trainer", "inspect", "--request", str(request), *(["--json"] if as_json else [])]
