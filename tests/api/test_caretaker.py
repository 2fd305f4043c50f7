"""A service looks after itself."""

import asyncio
import threading
import time

from api.caretaker import Caretaker
from api.errands import running_errands
from registry.errors import BusyError
from registry.settings import Settings


class Counting:
    """Stands where the collector does, and fails in more than one way."""

    def __init__(self):
        self.calls = 0

    def collect_in_turn(self):
        self.calls += 1
        if self.calls == 1:
            raise BusyError("the database is busy")
        if self.calls == 2:
            raise RuntimeError("a mistake")
        return None if self.calls == 3 else "collected"


class Waiting:
    """Stands where uploads do: some have waited too long, more than go at once."""

    def __init__(self):
        self.left = 250

    def expire(self):
        gone = min(self.left, 100)
        self.left -= gone
        return gone


class Asked:
    """Stands where queries do."""

    def __init__(self):
        self.looks = 0

    def look_after(self):
        self.looks += 1


def test_it_collects_again_and_again_whatever_happens(tmp_path):
    collector = Counting()
    uploads, queries = Waiting(), Asked()
    caretaker = Caretaker(collector, uploads, queries, Settings(home=tmp_path, gc_seconds=0.01))
    caretaker.start()
    deadline = time.monotonic() + 20
    while (collector.calls < 4 or uploads.left or not queries.looks) and time.monotonic() < deadline:
        time.sleep(0.01)
    caretaker.stop()
    assert collector.calls >= 4
    assert uploads.left == 0
    assert queries.looks >= 1


def test_it_begins_and_ends_with_the_service(fresh):
    async def served():
        async with running_errands(fresh.app):
            return alive()

    assert alive() == 0
    assert asyncio.run(served()) == 1
    assert alive() == 0


def alive():
    """How many caretakers there are."""
    return sum(thread.name == "caretaker" for thread in threading.enumerate())
