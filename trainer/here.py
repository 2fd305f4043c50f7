"""`python -m trainer train`: train a recipe's modules on a dataset file without a zoo, and write their files."""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
from rich.console import Console

from client.cache import digest_of_file
from client.cli.data import tell_left_out
from client.cli.failures import report
from client.cli.output import answers
from registry.errors import Fault, InvalidInputError, InvalidRecipeError
from registry.names import parse_word
from registry.recipes import PairsSpec, TrainingRecipe
from registry.settings import Settings
from trainer.checkpoints import Saved, file_sink, forget
from trainer.display import Bar, TrainedRow, TrainedRows, row_of, table_of
from trainer.event_files import EventFiles
from trainer.history import History, untold
from trainer.reading import read_training_data
from trainer.run import TrainedNetwork, train

WRONG_USE = 2


@dataclass(frozen=True, kw_only=True)
class HereOptions:
    """What training here is told."""

    recipe: Annotated[Path, typer.Option(help="The training recipe, a JSON file.", exists=True, dir_okay=False)]
    data: Annotated[Path, typer.Option(help="The dataset file.", exists=True, dir_okay=False)]
    out: Annotated[Path, typer.Option(help="Folder for the module files.", file_okay=False)]
    name: Annotated[str, typer.Option(help="Names begin with it: NAME-input, NAME-output.")] = "network"
    pairs: Annotated[
        Path | None, typer.Option(help="A table of known pairs, CSV: i,j,same.", exists=True, dir_okay=False)
    ] = None
    baseline: Annotated[bool, typer.Option("--baseline", help="Train end to end too, and compare.")] = False
    checkpoint_seconds: Annotated[
        float | None, typer.Option(min=0, help="Time between checkpoints; default: ZOO_CHECKPOINT_SECONDS.")
    ] = None
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, also where there is a checkpoint.")] = False
    tensorboard: Annotated[
        Path | None, typer.Option(help="Folder for event files, which TensorBoard draws.", file_okay=False)
    ] = None
    leave_out_broken: Annotated[
        bool, typer.Option("--leave-out-broken", help="Leave out images that cannot be read.")
    ] = False
    json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False

    @property
    def seconds_between(self) -> float:
        """Time between checkpoints."""
        return Settings.load().checkpoint_seconds if self.checkpoint_seconds is None else self.checkpoint_seconds

    def checkpoint(self, name: str) -> Path:
        """Where the checkpoint of a run is kept while it is not done."""
        return self.out / f".{name}.checkpoint"


def train_here(options: HereOptions) -> None:
    """Train a recipe's modules on a dataset file, here, and write their files.

    A run that was ended goes on from its last checkpoint when the same command is given again.
    """
    runs = _planned(options)
    rows = [row for name, planned in runs.items() for row in _train_one(options, planned, name=name)]
    for name in runs:
        forget(options.checkpoint(name))
    if options.json:
        sys.stdout.write(TrainedRows(modules=tuple(rows)).model_dump_json() + "\n")
    else:
        answers().print(table_of(rows))


def _planned(options: HereOptions) -> dict[str, TrainingRecipe]:
    """The recipe of each run by its name; what cannot be run, or not be kept, is wrong use before anything is read."""
    try:
        parse_word(options.name, what="name")
        recipe = _read_recipe(options)
        runs = {options.name: recipe}
        if options.baseline:
            runs[f"{options.name}-end-to-end"] = _changed(recipe, method="end-to-end", pairs=None)
        _check_writable(options.out)
    except InvalidInputError as error:
        report(error, as_json=options.json)
        raise typer.Exit(WRONG_USE) from error
    return runs


def _check_writable(folder: Path) -> None:
    """Make a folder, and write to it: a run takes long. Raises InvalidInputError where that cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(b"trial")
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InvalidInputError(f"--out: the folder {folder} cannot be written ({reason}); name another") from error


def _read_recipe(options: HereOptions) -> TrainingRecipe:
    """The recipe, with the digests of what is really used. Raises InvalidRecipeError."""
    path = options.recipe
    try:
        recipe = TrainingRecipe.model_validate_json(path.read_bytes())
    except ValidationError as error:
        raise _refused(error, f"{path.name} is not a training recipe") from error
    task = recipe.task.model_copy(update={"dataset": digest_of_file(options.data)})
    if options.pairs is None:
        return _changed(recipe, task=task)
    asked = PairsSpec.model_fields["unknown"].default if recipe.pairs is None else recipe.pairs.unknown
    return _changed(recipe, task=task, pairs=PairsSpec(table=digest_of_file(options.pairs), unknown=asked))


def _changed(recipe: TrainingRecipe, **fields: object) -> TrainingRecipe:
    """A recipe with other fields. Raises InvalidRecipeError where they do not agree with the rest."""
    try:
        return TrainingRecipe.model_validate(dict(recipe) | fields)
    except ValidationError as error:
        raise _refused(error, "no such run") from error


def _refused(error: ValidationError, what: str) -> InvalidRecipeError:
    faults = tuple(Fault("/" + "/".join(map(str, e["loc"])), e["msg"]) for e in error.errors())
    listed = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults)
    return InvalidRecipeError(f"{what}: {listed}", faults=faults)


def _train_one(options: HereOptions, recipe: TrainingRecipe, *, name: str) -> list[TrainedRow]:
    """Train by one method, with a bar, and write the files."""
    checkpoint = options.checkpoint(name)
    kept = checkpoint.read_bytes() if checkpoint.exists() and not options.fresh else None
    saved = Saved(file_sink(checkpoint), options.seconds_between, kept)
    with Bar(Console(stderr=True), what=recipe.method) as bar, _history(options, name) as history:
        data = read_training_data(
            options.data,
            recipe,
            pairs=options.pairs if recipe.pairs else None,
            leave_out_broken=options.leave_out_broken,
            on_left_out=lambda reader: tell_left_out(options.data.name, reader.left_out_count, reader.left_out),
        )
        network = train(recipe, data, report=bar.tell, should_stop=lambda: False, saved=saved, history=history)
    return _write(network, out=options.out, name=name, method=recipe.method)


@contextmanager
def _history(options: HereOptions, name: str) -> Iterator[History]:
    """Who is told of every epoch: event files where they are asked for, in a folder of the run's name."""
    if options.tensorboard is None:
        yield untold
        return
    with EventFiles(options.tensorboard / name) as files:
        yield files.tell


def _write(network: TrainedNetwork, *, out: Path, name: str, method: str) -> list[TrainedRow]:
    rows = []
    for module in network.modules:
        file = out / f"{name}-{module.ending}.safetensors"
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_bytes(module.file)
        unfinished.replace(file)
        rows.append(row_of(module, method=method, name=name, file=str(file)))
    return rows
