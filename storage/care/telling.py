"""How commands tell what they do: a bar on standard error where somebody looks, an answer on standard output."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pydantic import BaseModel
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn

OnBytes = Callable[[int], None]
"""Is told how many more bytes are done."""


def nobody(size_bytes: int) -> None:
    """Tell nobody."""
    del size_bytes


@contextmanager
def byte_bar(words: str, total_bytes: int | None) -> Iterator[OnBytes]:
    """A bar for bytes that are read, gone at the end, and not drawn where standard error is no terminal."""
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), DownloadColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as live:
        task = live.add_task(words, total=total_bytes)
        yield lambda size_bytes: live.advance(task, size_bytes)


def write_answer(answer: BaseModel, lines: list[str], *, as_json: bool) -> None:
    """Write an answer to standard output: as JSON, or as lines for people."""
    text = answer.model_dump_json(indent=2) if as_json else "\n".join(lines)
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def megabytes(size_bytes: int) -> str:
    """Bytes for people."""
    return f"{size_bytes / 1e6:,.1f} MB"
