"""`zoo login`: a zoo's token is kept for later commands."""

import sys
from dataclasses import dataclass

import typer

from client.cli.options import ZooOptions, address, takes, token_file, zoo_at
from client.cli.output import line, write_json
from registry.access import TokenRole
from registry.frozen import Frozen


class LoggedIn(Frozen):
    """For which zoo a token is kept, and where; whose it is, and what for."""

    url: str
    file: str
    owner: str
    role: TokenRole | None


@dataclass(frozen=True, kw_only=True)
class LoginOptions(ZooOptions):
    """What `zoo login` takes."""


@takes(LoginOptions)
def login(options: LoginOptions) -> None:
    """Keep a zoo's token for later commands.

    The token is asked for, or read from standard input; the zoo is asked whether it takes it. It is kept in a file
    that only you can read.
    """
    url, token = address(options), options.token or _asked()
    if not token:
        raise typer.BadParameter("the token is empty")
    with zoo_at(url, token) as zoo:
        who = zoo.tokens.me()
    file = token_file().keep(url, token)
    if options.json:
        write_json(LoggedIn(url=url, file=str(file), owner=who.owner, role=who.role))
    else:
        line(f"The token for {url} is kept in {file}. You are {who.owner}, as {who.role}.")


def _asked() -> str:
    """The token, as typed unseen or as piped in."""
    if sys.stdin.isatty():
        return str(typer.prompt("Token", hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()
