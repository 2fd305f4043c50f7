"""Patience with the way to the zoo: a service that starts again must neither end a worker nor fail its job."""

import time
from collections.abc import Callable
from typing import TypeVar

import structlog

from client.errors import TEMPORARY, retry_after_seconds
from registry.errors import StorageFullError
from trainer.progress import ShouldStop, Stopped

log = structlog.get_logger()

Answer = TypeVar("Answer")

FIRST_PAUSE_SECONDS = 0.2
LONGEST_PAUSE_SECONDS = 10.0
PASSING = (*TEMPORARY, StorageFullError)
"""What nobody's job should fail of: whoever keeps the zoo will make room, too."""
GLANCE_SECONDS = 0.1


def patiently(ask: Callable[[], Answer], *, should_stop: ShouldStop) -> Answer:
    """Ask the zoo until it answers, waiting twice as long each time, or as long as it says, at most 10 seconds.

    Raises:
        Stopped: ``should_stop`` said so while the zoo was away.
    """
    pause = FIRST_PAUSE_SECONDS
    while True:
        try:
            return ask()
        except PASSING as error:
            if should_stop():
                raise Stopped from error
            seconds = max(pause, retry_after_seconds(error) or 0.0)
            log.warning("the zoo is away or full", why=error.detail, again_in_seconds=seconds)
        wait(seconds, should_stop=should_stop)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)


def wait(seconds: float, *, should_stop: ShouldStop) -> None:
    """Sleep, but look up ten times a second. Raises Stopped when ``should_stop`` says so."""
    until = time.monotonic() + seconds
    while not should_stop():
        left = until - time.monotonic()
        if left <= 0:
            return
        time.sleep(min(left, GLANCE_SECONDS))
    raise Stopped
