"""A service collects by itself."""

import time

from api.caretaker import Caretaker
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


def test_it_collects_again_and_again_whatever_happens(tmp_path):
    collector = Counting()
    caretaker = Caretaker(collector, Settings(home=tmp_path, gc_seconds=0.01))
    caretaker.start()
    deadline = time.monotonic() + 20
    while collector.calls < 4 and time.monotonic() < deadline:
        time.sleep(0.01)
    caretaker.stop()
    assert collector.calls >= 4
