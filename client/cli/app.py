"""`zoo`: every command by name; a command's own file is imported only when that command is called."""

import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as distribution_version
from typing import Annotated, NamedTuple

import typer

from client.cli.failures import report
from client.cli.refusals import TellingCommand
from registry.errors import InvalidInputError, ZooError

EXIT_FAILED, EXIT_WRONG_USE = 1, 2
DISTRIBUTION = "module-zoo"


class Command(NamedTuple):
    """A command: its name, which is also its function's, its file in `client.cli`, and its line in the help."""

    name: str
    file: str
    summary: str


COMMANDS = (
    Command("demo", "demo", "Run the whole main job on real images, and end with a ranking."),
    Command("serve", "serve", "Run the service, with one local worker."),
    Command("work", "work", "Run a worker that trains, scores and predicts for a zoo."),
    Command("train", "train", "Train modules on labelled images, here or by a worker of the zoo."),
    Command("publish", "publish", "Publish a module file as the next version of a module."),
    Command("fetch", "fetch", "Fetch a version's file, verified."),
    Command("search", "search", "Search the modules of the zoo."),
    Command("show", "show", "Show a version's manifest and lineage."),
    Command("alias", "alias", "Show where an alias points, or move it."),
    Command("yank", "yank", "Hide a version from searches, rankings and `latest`."),
    Command("compose", "compose", "Compose modules into a pipeline."),
    Command("predict", "predict", "Run a pipeline over images."),
    Command("inspect", "inspect", "Show which part of a pipeline is at fault."),
    Command("rank", "rank", "Rank the zoo's modules by how well they would serve your data."),
    Command("sets", "sets", "Show which few of the zoo's modules would serve your data best together."),
    Command("outcome", "outcome", "Tell what a ranked module really reached on your task."),
    Command("calibration", "calibration", "Show how well the scores have predicted what modules reached."),
    Command("map", "map", "Show how well the modules of some tasks serve the other tasks."),
    Command("gc", "care", "Delete bytes of the zoo here that nothing refers to."),
    Command("doctor", "care", "Verify every record and every byte of the zoo here, and name what is wrong."),
    Command("backup", "care", "Back up the zoo here into a folder, while it serves."),
    Command("restore", "care", "Restore a backup where no zoo is yet, verified."),
    Command("login", "login", "Keep a zoo's token for later commands."),
    Command("token", "token", "Make, list and revoke the tokens of a zoo."),
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command and leave with 0 done, 1 failed, 2 wrong use."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    try:
        application(given)(given, prog_name="zoo")
    except (ZooError, OSError) as error:
        report(error, as_json="--json" in given)
        sys.exit(EXIT_FAILED)
    except ValueError:  # of text that cannot be sent, or written as JSON
        odd = [ascii(word) for word in given if not _is_text(word)]
        if not odd:
            raise
        report(InvalidInputError(f"{odd[0]} is not UTF-8; write or rename it so"), as_json="--json" in given)
        sys.exit(EXIT_WRONG_USE)


def _is_text(word: str) -> bool:
    """Whether an argument is UTF-8; what is not comes with bytes that stand for none."""
    return word.encode(errors="replace").decode() == word


def application(arguments: Sequence[str]) -> typer.Typer:
    """The commands of `zoo`; only the one that the arguments name is ready to run, the others stand for the help."""
    app = typer.Typer(
        name="zoo",
        help="A zoo of network modules, and which of them to reuse on your data.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode=None,
    )
    wanted = next((word for word in arguments if not word.startswith("-")), None)
    app.callback()(_zoo)
    for command in COMMANDS:
        function = _load(command) if command.name == wanted else _stand_in
        stands_in = command.summary if function is _stand_in else None
        made = app.command(command.name, cls=TellingCommand, help=stands_in, short_help=command.summary)
        made(function)
    return app


def _tell_version(wanted: bool) -> None:
    """Write the version and leave, where that is wanted."""
    if not wanted:
        return
    try:
        typer.echo(f"zoo {distribution_version(DISTRIBUTION)}")
    except PackageNotFoundError:
        typer.echo("zoo, not installed: run from its folder")
    raise typer.Exit


def _zoo(
    version: Annotated[
        bool, typer.Option("--version", help="Show the version and leave.", is_eager=True, callback=_tell_version)
    ] = False,
) -> None:
    """A zoo of network modules, and which of them to reuse on your data."""


def _stand_in() -> None:
    """Take the place of a command that was not called."""


def _load(command: Command) -> Callable[..., None]:
    """A command's function, out of the closed table above; what the user typed is never imported."""
    function: Callable[..., None] = getattr(import_module(f"client.cli.{command.file}"), command.name)
    return function


if __name__ == "__main__":
    main()
