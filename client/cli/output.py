"""What commands write: answers to standard output, everything else to standard error."""

import sys

from pydantic import BaseModel
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from registry.records import PublishedModule

PIPED_WIDTH = 200


def answers() -> Console:
    """Standard output for people; wide where it is no terminal, so that nothing is cut."""
    return Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)


def notes() -> Console:
    """Standard error, for progress and remarks."""
    return Console(stderr=True, highlight=False)


def write_json(model: BaseModel) -> None:
    """Write a model as JSON, and nothing else, to standard output."""
    sys.stdout.write(model.model_dump_json(indent=2) + "\n")


def plain_table(*headers: str) -> Table:
    """A table without rules, whose cells fold rather than lose text; without a header line where no column has one."""
    table = Table(box=None, header_style="bold", pad_edge=False, show_header=any(headers))
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def line(text: str) -> None:
    """Write one line to standard output, as it is."""
    answers().print(escape(text), soft_wrap=True)


def note(text: str) -> None:
    """Write one remark to standard error."""
    notes().print(escape(text), soft_wrap=True)


def warn_of_yanked(module: PublishedModule) -> None:
    """Remark to standard error that a version should not be used any more, where that is so."""
    if module.yanked is not None:
        note(f"warning: {module.ref} was yanked: {module.yanked or 'no reason was given'}")
