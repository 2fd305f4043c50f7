"""The change feed: what has happened to the modules of the zoo, in the order in which it happened."""

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
        """Changes after a serial, of one namespace if it is named."""
        with self._begin() as work:
            found = work.changes.since(serial, limit=limit + 1, namespace=namespace)
        items = found[:limit]
        return ChangeFeed(items=items, serial=items[-1].serial if items else serial, more=len(found) > limit)

    def news(self, serial: int, *, limit: int = MOST_CHANGES, namespace: str | None = None) -> ChangeFeed | None:
        """The same; None while there is nothing."""
        feed = self.since(serial, limit=limit, namespace=namespace)
        return feed if feed.items else None
