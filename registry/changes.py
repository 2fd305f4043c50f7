"""The change feed: what has happened to the modules of the zoo, in the order in which it happened."""

from collections.abc import Callable
from functools import partial

from registry.frozen import Frozen
from registry.ports import Begin
from registry.records import Change

MOST_CHANGES = 200


class ChangeFeed(Frozen):
    """Some changes, oldest first. `serial` is where to go on from: whoever has read up to it has missed none."""

    items: tuple[Change, ...]
    serial: int
    more: bool


class ChangeService:
    """Reading what everybody may know of."""

    def __init__(self, begin: Begin) -> None:
        """Args: begin: where it is kept."""
        self._begin = begin

    def serial(self) -> int:
        """The newest serial, 0 for an empty zoo."""
        with self._begin() as work:
            return work.changes.serial()

    def since(self, serial: int, *, limit: int = MOST_CHANGES, namespace: str | None = None) -> ChangeFeed:
        """Changes after a serial, of one namespace if it is named.

        Once there are no more, the serial to go on from is the zoo's newest, which is read first: what others did
        elsewhere until then is not looked through again.
        """
        with self._begin() as work:
            newest = work.changes.serial()
            found = work.changes.since(serial, limit=limit + 1, namespace=namespace)
        items, more = found[:limit], len(found) > limit
        read_to = items[-1].serial if items else serial
        return ChangeFeed(items=items, serial=read_to if more else max(read_to, newest), more=more)

    def wait(self, serial: int, *, limit: int = MOST_CHANGES, namespace: str | None = None) -> "AwaitedChanges":
        """What is to be looked at again and again until there are such changes."""
        return AwaitedChanges(partial(self.since, limit=limit, namespace=namespace), serial)


class AwaitedChanges:
    """The changes that somebody waits for; each look goes on where the last one ended."""

    def __init__(self, since: Callable[[int], ChangeFeed], serial: int) -> None:
        """Args: since: reads the changes after a serial; serial: where to begin."""
        self._since = since
        self.feed = ChangeFeed(items=(), serial=serial, more=False)

    def look(self) -> ChangeFeed | None:
        """What has come; None while there is nothing, and then `feed` tells where to go on from."""
        self.feed = self._since(self.feed.serial)
        return self.feed if self.feed.items else None
