"""Work in the background: once for all who ask, told when it is done, errors too."""

import threading
import time

import pytest

from registry.background import MOST_UNTOLD, Background


def test_what_is_quick_is_told_at_once_and_made_anew_when_asked_again() -> None:
    made, background = iter((1, 2)), Background[int]()
    assert [background.make("key", lambda: next(made), seconds=5) for _ in range(2)] == [1, 2]


def test_who_will_not_wait_is_told_later_and_the_work_is_done_once() -> None:
    background, gate, calls = Background[str](), threading.Event(), []

    def work() -> str:
        calls.append(1)
        gate.wait(5)
        return "made"

    assert background.make("key", work, seconds=0) is None
    assert background.make("key", work, seconds=0.01) is None
    gate.set()
    assert background.make("key", work, seconds=5) == "made"
    assert calls == [1]


def test_an_error_reaches_whoever_asks() -> None:
    background = Background[int]()

    def work() -> int:
        raise ValueError("no such thing")

    with pytest.raises(ValueError, match="no such thing"):
        background.make("key", work, seconds=5)
    assert background.make("key", lambda: 3, seconds=5) == 3


def test_one_is_made_at_a_time() -> None:
    background, running, most = Background[int](), [], []

    def work() -> int:
        running.append(1)
        most.append(len(running))
        time.sleep(0.02)
        running.pop()
        return 0

    threads = [threading.Thread(target=background.make, args=(str(n), work), kwargs={"seconds": 5}) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1, 1, 1, 1]


def test_what_nobody_comes_for_is_forgotten_in_the_end() -> None:
    background = Background[int]()
    for number in range(3 * MOST_UNTOLD):
        background.make(str(number), lambda: 0, seconds=0)
    assert all(running.ended.wait(5) for running in list(background._running.values()))
    background.make("next", lambda: 0, seconds=0)
    assert len(background._running) <= MOST_UNTOLD + 1
