"""`python -m trainer`: work for a zoo, or train here without one."""

import os
import platform
import signal
import sys
from pathlib import Path
from typing import Annotated

import structlog
import typer
from pydantic import ValidationError
from rich.console import Console

from client.cache import digest_of_file
from client.cli.output import answers
from client.zoo import Zoo
from registry.errors import Fault, InvalidInputError, InvalidRecipeError, ZooError
from registry.names import parse_word
from registry.recipes import TrainingRecipe
from registry.settings import Settings
from trainer.display import Bar, TrainedRow, TrainedRows, row_of, table_of
from trainer.reading import read_training_data
from trainer.run import TrainedNetwork, train
from trainer.worker import Worker

FAILED, WRONG_USE = 1, 2
DEFAULT_URL = "http://127.0.0.1:8000"

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)
log = structlog.get_logger()


@app.callback()
def set_up_logs() -> None:
    """Do the work of a zoo, or train modules here without one."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


@app.command()
def work(
    url: Annotated[str | None, typer.Option(help="Address of the zoo; default: ZOO_URL.")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token; default: ZOO_TOKEN.")] = None,
    name: Annotated[str | None, typer.Option(help="What the zoo calls this worker.")] = None,
) -> None:
    """Claim jobs and do them, until told to end."""
    settings = Settings.load()
    secret = settings.token.get_secret_value() if settings.token else None
    with Zoo(url or settings.url or DEFAULT_URL, token or secret) as zoo:
        worker = Worker(zoo, name=name or f"{platform.node() or 'worker'}-{os.getpid()}")
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: worker.stop.set())
        log.info("worker started", zoo=zoo.url)
        worker.run()


@app.command("train")
def train_here(
    *,
    recipe: Annotated[Path, typer.Option(help="The training recipe, a JSON file.", exists=True, dir_okay=False)],
    data: Annotated[Path, typer.Option(help="The dataset file.", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder for the module files.", file_okay=False)],
    name: Annotated[str, typer.Option(help="Names begin with it: NAME-input, NAME-output.")] = "network",
    baseline: Annotated[bool, typer.Option("--baseline", help="Train end to end too, and compare.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")] = False,
) -> None:
    """Train a recipe's modules on a dataset file, here, and write their files."""
    parse_word(name, what="name")
    planned = _read_recipe(recipe, data)
    console = Console(stderr=True)
    rows = _train_one(planned, data, out=out, name=name, console=console)
    if baseline:
        control = planned.model_copy(update={"method": "end-to-end"})
        rows += _train_one(control, data, out=out, name=f"{name}-end-to-end", console=console)
    if as_json:
        sys.stdout.write(TrainedRows(modules=tuple(rows)).model_dump_json() + "\n")
    else:
        answers().print(table_of(rows))


def _read_recipe(path: Path, data: Path) -> TrainingRecipe:
    """The recipe, with the digest of the data that is really used. Raises InvalidRecipeError."""
    try:
        recipe = TrainingRecipe.model_validate_json(path.read_bytes())
    except ValidationError as error:
        faults = tuple(Fault("/" + "/".join(map(str, e["loc"])), e["msg"]) for e in error.errors())
        listed = "; ".join(f"{fault.pointer}: {fault.detail}" for fault in faults)
        raise InvalidRecipeError(f"{path.name} is not a training recipe: {listed}", faults=faults) from error
    task = recipe.task.model_copy(update={"dataset": digest_of_file(data)})
    return recipe.model_copy(update={"task": task})


def _train_one(recipe: TrainingRecipe, data: Path, *, out: Path, name: str, console: Console) -> list[TrainedRow]:
    """Train by one method, with a bar, and write the files."""
    with Bar(console, what=recipe.method) as bar:
        examples = read_training_data(data, recipe)
        network = train(recipe, examples, report=bar.tell, should_stop=lambda: False)
    return _write(network, out=out, name=name, method=recipe.method)


def _write(network: TrainedNetwork, *, out: Path, name: str, method: str) -> list[TrainedRow]:
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for module in network.modules:
        file = out / f"{name}-{module.ending}.safetensors"
        unfinished = file.with_name(f".{file.name}.part")
        unfinished.write_bytes(module.file)
        unfinished.replace(file)
        rows.append(row_of(module, method=method, name=name, file=str(file)))
    return rows


def main() -> None:
    """Run the command line: exit code 0 done, 1 failed, 2 wrong use."""
    try:
        app()
    except ZooError as error:
        sys.stderr.write(f"error: {error.detail}\n")
        sys.exit(WRONG_USE if isinstance(error, InvalidInputError) else FAILED)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
