"""What every unit of work does that holds."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.builders import digest_of, kept_statistics

THREADS = 6
TURNS = 5
MODULE = digest_of("module")


def of_module(work, module):
    """Everything kept of the statistics of a module."""
    return work.statistics.of_modules([module]).get(module, ())


class UnitOfWorkContract:
    """Needs a fixture `begin`."""

    def test_no_two_hold_at_once(self, begin):
        inside = threading.Lock()

        def take_turns(_):
            for _ in range(TURNS):
                with begin() as work:
                    work.hold()
                    assert inside.acquire(blocking=False), "two hold at once"
                    time.sleep(0.002)
                    inside.release()

        together(take_turns)

    def test_who_holds_sees_all_that_was_committed_by_those_who_held_before(self, begin):
        def take_turns(_):
            for _ in range(TURNS):
                with begin() as work:
                    of_module(work, MODULE)
                    work.hold()
                    count = len(of_module(work, MODULE))
                    time.sleep(0.002)
                    work.statistics.add(kept_statistics(count))

        together(take_turns)
        with begin() as work:
            kept = of_module(work, MODULE)
        assert {one.key for one in kept} == {digest_of(count) for count in range(THREADS * TURNS)}

    @pytest.mark.parametrize("ways", [("hold", "hold_shared"), ("hold_shared", "hold")])
    def test_who_holds_alone_and_who_shares_wait_for_one_another(self, begin, ways):
        order = []
        first_holds = threading.Event()

        def first():
            with begin() as work:
                getattr(work, ways[0])()
                first_holds.set()
                time.sleep(0.2)
                order.append("first is done")

        def second():
            first_holds.wait(timeout=30)
            with begin() as work:
                getattr(work, ways[1])()
                order.append("second holds")

        with ThreadPoolExecutor(2) as pool:
            for done in [pool.submit(first), pool.submit(second)]:
                done.result()
        assert order == ["first is done", "second holds"]

    def test_who_holds_alone_may_share_too(self, begin):
        with begin() as work:
            work.hold()
            work.hold_shared()
            work.statistics.add(kept_statistics())
        with begin() as work:
            assert len(of_module(work, MODULE)) == 1

    def test_what_is_held_is_free_again_after_an_error(self, begin):
        with pytest.raises(RuntimeError, match="undone"), begin() as work:
            fail_after(work.hold, lambda: work.statistics.add(kept_statistics()))
        with begin() as work:
            work.hold()
            assert of_module(work, MODULE) == ()

    def test_holding_late_or_twice_commits_nothing_early(self, begin):
        with pytest.raises(RuntimeError, match="undone"), begin() as work:
            fail_after(lambda: work.statistics.add(kept_statistics()), work.hold, work.hold)
        with begin() as work:
            assert of_module(work, MODULE) == ()

    def test_who_only_reads_waits_for_no_holder(self, begin):
        with begin() as holder:
            holder.hold()
            holder.statistics.add(kept_statistics())
            started = time.monotonic()
            with begin() as reader:
                assert of_module(reader, MODULE) == ()
            assert time.monotonic() - started < 1


def fail_after(*steps):
    """Take these steps, then fail."""
    for step in steps:
        step()
    raise RuntimeError("undone")


def together(take_turns):
    """Run the same in several threads that start at once; raises what one of them raised."""
    start = threading.Barrier(THREADS)

    def run(number):
        start.wait()
        take_turns(number)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(run, range(THREADS)))
