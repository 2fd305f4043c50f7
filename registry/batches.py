"""Many items, some at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

Item = TypeVar("Item")


def batches(items: Iterable[Item], size: int) -> Iterator[tuple[Item, ...]]:
    """The items in pieces of a size, the last of which may be smaller."""
    rest = iter(items)
    while piece := tuple(islice(rest, size)):
        yield piece
