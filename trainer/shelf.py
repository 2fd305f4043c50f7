"""Things that are costly to make, kept by name, the least recently used let go first."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Name = TypeVar("Name", bound=Hashable)
Thing = TypeVar("Thing")


class Shelf(Generic[Name, Thing]):
    """Keeps so many things at most; may be used from several threads, of which each makes what it misses."""

    def __init__(self, places: int) -> None:
        """Args: places: how many things are kept, at least 1."""
        self._places = places
        self._things: OrderedDict[Name, Thing] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Name, make: Callable[[], Thing]) -> Thing:
        """The thing of this name, made now if it is not kept."""
        with self._lock:
            if name in self._things:
                self._things.move_to_end(name)
                return self._things[name]
        thing = make()
        with self._lock:
            self._things[name] = thing
            self._things.move_to_end(name)
            while len(self._things) > self._places:
                self._things.popitem(last=False)
        return thing
