"""Calls beside a request: one at a time, errors told, and no thread left when the request is gone."""

import asyncio
import threading
import time

import pytest

from api.threads import working_behind


def test_calls_come_one_after_the_other_while_the_block_goes_on():
    told = []

    def slow(number):
        told.append(("begun", number))
        time.sleep(0.05)
        told.append(("ended", number))

    async def work():
        async with working_behind() as behind:
            for number in range(2):
                await behind.run(slow, number)
                await asyncio.sleep(0.01)
                told.append(("went on", number))
            await behind.wait()
            told.append(("waited", 1))

    asyncio.run(work())
    wanted = ["begun 0", "went on 0", "ended 0", "begun 1", "went on 1", "ended 1", "waited 1"]
    assert [f"{what} {number}" for what, number in told] == wanted


def test_an_error_comes_with_the_next_call_or_when_it_is_waited_for():
    def failing():
        raise OSError(28, "no room")

    async def work(*, again):
        async with working_behind() as behind:
            await behind.run(failing)
            await (behind.run(print) if again else behind.wait())

    for again in (True, False):
        with pytest.raises(OSError, match="no room"):
            asyncio.run(work(again=again))


def test_no_thread_works_any_more_when_the_request_was_cancelled():
    begun, released, ended = threading.Event(), threading.Event(), threading.Event()

    def slow():
        begun.set()
        released.wait(20)
        ended.set()

    async def work():
        async with working_behind() as behind:
            await behind.run(slow)
            await behind.wait()

    async def cancelled():
        task = asyncio.create_task(work())
        await asyncio.to_thread(begun.wait)
        task.cancel()
        await asyncio.sleep(0.05)
        assert not task.done()
        released.set()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert ended.is_set()

    asyncio.run(cancelled())
