"""Lists that come in pages."""

from collections.abc import Callable, Iterator
from typing import TypeVar

from registry.records import Page

Item = TypeVar("Item")


def every(page_at: Callable[[str | None], Page[Item]]) -> Iterator[Item]:
    """The items of all pages, each page asked for when the one before is used up."""
    page = page_at(None)
    yield from page.items
    while page.next_cursor is not None:
        page = page_at(page.next_cursor)
        yield from page.items
