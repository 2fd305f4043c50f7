"""`zoo token`: make, list and revoke the tokens of a zoo."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Annotated

import typer

from client.cli.options import ZooOptions, opened, takes, word
from client.cli.output import answers, line, note, plain_table, write_json
from client.paging import every
from registry.access import TokenRole
from registry.frozen import Frozen
from registry.records import Page
from registry.token_records import LONGEST_NAME, Token

USUAL_DAYS, MOST_DAYS = 90, 36_500


class TokenVerb(StrEnum):
    """What is to be done with tokens."""

    CREATE = "create"
    LIST = "list"
    REVOKE = "revoke"


class Revoked(Frozen):
    """The token that lets nobody in any more."""

    id: str


@dataclass(frozen=True, kw_only=True)
class TokenOptions(ZooOptions):
    """What `zoo token` takes."""

    verb: Annotated[TokenVerb, typer.Argument(help="create, list or revoke.")]
    name: Annotated[str, typer.Argument(help="create: what to call it; revoke: its id, as list has it.")] = ""
    role: Annotated[TokenRole | None, typer.Option(help="create: what it is for.")] = None
    owner: Annotated[str | None, typer.Option(help="create: whose it is; default: yours.")] = None
    namespace: Annotated[
        list[str] | None, typer.Option(help="create: the only namespace it is for; may be repeated.")
    ] = None
    days: Annotated[int, typer.Option(min=0, max=MOST_DAYS, help="create: how long it is good for; 0: for ever.")] = (
        USUAL_DAYS
    )


@takes(TokenOptions)
def token(options: TokenOptions) -> None:
    """Make, list and revoke the tokens of a zoo, as its admin.

    The secret of a new token is shown once and kept nowhere: put it where it is needed, with `zoo login` or ZOO_TOKEN.
    """
    match options.verb:
        case TokenVerb.CREATE:
            _create(options)
        case TokenVerb.LIST:
            _list(options)
        case TokenVerb.REVOKE:
            _revoke(options)


def _create(options: TokenOptions) -> None:
    """Make a token and show its secret."""
    if not 1 <= len(options.name) <= LONGEST_NAME:
        raise typer.BadParameter(f"give the token a name of at most {LONGEST_NAME} characters: zoo token create NAME")
    if options.role is None:
        raise typer.BadParameter(f"say what the token is for: --role {'|'.join(TokenRole)}")
    namespaces = [word(each, what="namespace") for each in options.namespace or ()]
    owner = None if options.owner is None else word(options.owner, what="owner")
    expires_at = datetime.now(UTC) + timedelta(days=options.days) if options.days else None
    with opened(options) as zoo:
        made = zoo.tokens.create(
            options.name, options.role, owner=owner, namespaces=namespaces or None, expires_at=expires_at
        )
    if options.json:
        write_json(made)
        return
    note(f"{made.id}: {_scope(made)}. This is the only time that the token is shown:")
    line(made.secret)


def _list(options: TokenOptions) -> None:
    """All tokens, newest first."""
    with opened(options) as zoo:
        found = tuple(every(lambda cursor: zoo.tokens.list(limit=200, cursor=cursor)))
    if options.json:
        write_json(Page[Token](items=found))
        return
    table = plain_table("id", "name", "for", "expires", "last used")
    for each in found:
        table.add_row(each.id, each.name, _scope(each), _day(each.expires_at, "never"), _day(each.last_used_at, "-"))
    answers().print(table)


def _revoke(options: TokenOptions) -> None:
    """End a token."""
    if not options.name:
        raise typer.BadParameter("name the token by its id, as `zoo token list` has it")
    with opened(options) as zoo:
        zoo.tokens.revoke(options.name)
    if options.json:
        write_json(Revoked(id=options.name))
    else:
        line(f"{options.name} lets nobody in any more.")


def _scope(each: Token) -> str:
    """Whose a token is, what for and where."""
    where = "" if each.namespaces is None else f" in {', '.join(each.namespaces)}"
    return f"{each.owner}, as {each.role}{where}"


def _day(moment: datetime | None, otherwise: str) -> str:
    return otherwise if moment is None else f"{moment:%Y-%m-%d %H:%M}"
