"""Waiting for what workers do: many requests may wait, few threads look."""

import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from prometheus_client import Gauge
from starlette.requests import ClientDisconnect, Request

from registry.errors import BusyError

Found = TypeVar("Found")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.25
GROWTH = 1.5
LOOKERS = 4
"""So many threads look at the same time; the others of the pool stay free for requests that need no waiting."""

WAITERS = 256


class WaitingRoom:
    """Where requests wait. No thread is held while waiting, only while looking."""

    def __init__(self, gauge: Gauge, *, limit: int = WAITERS) -> None:
        """Args: gauge: shows how many wait; limit: most requests that wait at the same time."""
        self._gauge, self._limit, self._waiting = gauge, limit, 0
        self._lookers = CapacityLimiter(LOOKERS)

    async def wait_for(self, look: Callable[[], Found | None], *, seconds: float, request: Request) -> Found | None:
        """Look again and again, with growing pauses, until there is something to see.

        Args:
            look: gives what is waited for, or None; runs in a thread.
            seconds: how long at most; 0 looks once.
            request: who waits.

        Returns:
            What `look` gave, None when the time is up.

        Raises:
            BusyError: too many wait already.
            ClientDisconnect: nobody waits any more; `look` is not called again.
        """
        found = await self.look(look)
        if found is not None or seconds <= 0:
            return found
        deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        async with self.seat():
            while found is None and (left := deadline - time.monotonic()) > 0:
                await anyio.sleep(min(pause, left))
                pause = min(GROWTH * pause, LONGEST_PAUSE_SECONDS)
                if await request.is_disconnected():
                    raise ClientDisconnect
                found = await self.look(look)
        return found

    async def look(self, look: Callable[[], Found]) -> Found:
        """Look once, in one of the few threads for it."""
        return await to_thread.run_sync(look, limiter=self._lookers)

    @asynccontextmanager
    async def seat(self) -> AsyncIterator[None]:
        """A place to wait in. Raises BusyError when all are taken."""
        if self._waiting >= self._limit:
            raise BusyError(f"{self._waiting} requests wait already; try again in a moment")
        self._waiting += 1
        self._gauge.set(self._waiting)
        try:
            yield
        finally:
            self._waiting -= 1
            self._gauge.set(self._waiting)
