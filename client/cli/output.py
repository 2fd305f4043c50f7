"""What commands write: answers to standard output, everything else to standard error."""

import sys
import unicodedata

from pydantic import BaseModel
from rich.console import Console, RenderableType
from rich.style import StyleType
from rich.table import Table
from rich.text import Text

from registry.records import PublishedModule

PIPED_WIDTH = 200
KEPT = frozenset("\n\t")
UNSAFE = frozenset({"Cc", "Cs"})
"""Characters that a terminal obeys, and bytes of file names that are no text and cannot be written at all."""


class TextTable(Table):
    """A table whose cells are shown as they are: rich would take ``[...]`` in names for markup and drop it, or fail."""

    def add_row(self, *cells: RenderableType | None, style: StyleType | None = None, end_section: bool = False) -> None:
        """Add one row; a cell that is to have a style of its own is a `Text`."""
        shown = (verbatim(cell) if isinstance(cell, str) else cell for cell in cells)
        super().add_row(*shown, style=style, end_section=end_section)


def verbatim(text: str) -> Text:
    """Text as it is, without markup or emoji codes; what a terminal would obey is written as an escape."""
    return Text("".join(letter if _is_plain(letter) else repr(letter)[1:-1] for letter in text))


def _is_plain(letter: str) -> bool:
    return letter in KEPT or unicodedata.category(letter) not in UNSAFE


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
    table = TextTable(box=None, header_style="bold", pad_edge=False, show_header=any(headers))
    for header in headers:
        table.add_column(header, overflow="fold")
    return table


def line(text: str) -> None:
    """Write one line to standard output, as it is."""
    answers().print(verbatim(text), soft_wrap=True)


def note(text: str) -> None:
    """Write one remark to standard error."""
    notes().print(verbatim(text), soft_wrap=True)


def warn_of_yanked(module: PublishedModule) -> None:
    """Remark to standard error that a version should not be used any more, where that is so."""
    if module.yanked is not None:
        note(f"warning: {module.ref} was yanked: {module.yanked or 'no reason was given'}")
