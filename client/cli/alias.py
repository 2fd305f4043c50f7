"""`zoo alias`: where an alias points, where it pointed, and moving it."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import typer

from client.cli.options import ZooOptions, module_name, opened, takes, wrong_use
from client.cli.output import answers, line, plain_table, write_json
from client.zoo import Zoo
from registry.errors import NotFoundError
from registry.names import parse_alias
from registry.records import Alias, AliasMove, Page


@dataclass(frozen=True, kw_only=True)
class AliasOptions(ZooOptions):
    """What `zoo alias` takes."""

    module: Annotated[str, typer.Argument(help="Module: namespace/name.", metavar="MODULE")]
    alias: Annotated[str, typer.Argument(help="A word, such as production.", metavar="ALIAS")]
    version: Annotated[
        int | None, typer.Argument(help="Point it at this version; without one, show where it points.", min=1)
    ] = None
    history: Annotated[bool, typer.Option("--history", help="Show every move, oldest first.")] = False
    at: Annotated[
        str | None, typer.Option(help="Show where it pointed at this moment: 2026-11-01, or 2026-11-01T12:00:00Z.")
    ] = None
    remove: Annotated[bool, typer.Option("--remove", help="Take the alias away; its history stays.")] = False


@takes(AliasOptions)
def alias(options: AliasOptions) -> None:
    """Show where an alias points, or move it.

    It is moved only if nobody else moved it since it was read; a moment without a time zone is one of UTC.
    """
    name, at = module_name(options.module), _moment(options.at)
    with wrong_use():
        parse_alias(options.alias)
    _check_one_wish(options)
    with opened(options) as zoo:
        if options.remove:
            zoo.modules.remove_alias(name, options.alias, revision=zoo.modules.alias(name, options.alias).revision)
            _write_removed(options, name)
        elif options.history or at is not None:
            _write_moves(options, zoo.modules.alias_history(name, options.alias, at=at))
        else:
            _write_alias(options, name, _present(zoo, options, name))


def _check_one_wish(options: AliasOptions) -> None:
    """Wrong use unless at most one thing is asked for."""
    wishes = [options.version is not None, options.history, options.at is not None, options.remove]
    if sum(wishes) > 1:
        raise typer.BadParameter("give one of VERSION, --history, --at and --remove")


def _moment(text: str | None) -> datetime | None:
    """A moment as it was typed, or wrong use."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise typer.BadParameter(f"{text[:100]!r} is no moment; write 2026-11-01 or 2026-11-01T12:00:00Z") from error
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _present(zoo: Zoo, options: AliasOptions, name: str) -> Alias:
    """Where the alias points, after it was moved if that was asked for."""
    if options.version is None:
        return zoo.modules.alias(name, options.alias)
    try:
        revision: int | None = zoo.modules.alias(name, options.alias).revision
    except NotFoundError:
        revision = None
    return zoo.modules.set_alias(name, options.alias, options.version, revision=revision)


def _write_alias(options: AliasOptions, name: str, found: Alias) -> None:
    if options.json:
        write_json(found)
    else:
        line(f"{name}@{found.alias} -> {found.version} {found.digest} (revision {found.revision})")


def _write_moves(options: AliasOptions, moves: tuple[AliasMove, ...]) -> None:
    if options.json:
        write_json(Page[AliasMove](items=moves))
        return
    table = plain_table("revision", "from (UTC)", "version", "digest")
    for move in moves:
        target = "removed" if move.version is None else str(move.version)
        table.add_row(str(move.revision), f"{move.moved_at:%Y-%m-%d %H:%M:%S}", target, move.digest or "")
    answers().print(table)


def _write_removed(options: AliasOptions, name: str) -> None:
    if options.json:
        write_json(Page[AliasMove](items=()))
    else:
        line(f"{name} has no alias {options.alias} any more")
