"""Waiting for what workers do: many requests may wait, few threads look."""

import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Self, TypeVar

import anyio
from anyio import CapacityLimiter, to_thread
from prometheus_client import Gauge
from starlette.requests import ClientDisconnect, Request

from api.door import IDENTITY
from api.limits import counted_as
from registry.errors import BusyError

Found = TypeVar("Found")

FIRST_PAUSE_SECONDS = 0.05
LONGEST_PAUSE_SECONDS = 0.25
GROWTH = 1.5
LOOKERS = 4
"""So many threads look at the same time; the others of the pool stay free for requests that need no waiting."""

WAITERS = 256
SHARE = 64
"""So many of them may be one caller's: one token's, or without a token one address's."""


class WaitingRoom:
    """Where requests of one kind wait. No thread is held while waiting, only while looking."""

    def __init__(self, gauge: Gauge, *, limit: int = WAITERS, share: int = SHARE) -> None:
        """Set up.

        Args:
            gauge: shows how many wait, here and in other rooms.
            limit: most requests that wait at the same time.
            share: most of one caller.
        """
        self._gauge, self._limit, self._share = gauge, limit, share
        self._waiting: Counter[str] = Counter()
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
            BusyError: too many wait already, or too many of this caller.
            ClientDisconnect: nobody waits any more; `look` is not called again.
        """
        found = await self.look(look)
        if found is not None or seconds <= 0:
            return found
        deadline, pause = time.monotonic() + seconds, FIRST_PAUSE_SECONDS
        async with self.seat(request):
            while found is None and (left := deadline - time.monotonic()) > 0:
                await anyio.sleep(min(pause, left))
                pause = min(GROWTH * pause, LONGEST_PAUSE_SECONDS)
                if await request.is_disconnected():
                    raise ClientDisconnect
                found = await self.look(look)
        return found

    async def wait_or_go_on(
        self, look: Callable[[], Found | None], *, seconds: float, request: Request
    ) -> Found | None:
        """The same for whoever can be told where to look later: where there is no seat, the time is up at once."""
        try:
            return await self.wait_for(look, seconds=seconds, request=request)
        except BusyError:
            return None

    async def look(self, look: Callable[[], Found]) -> Found:
        """Look once, in one of the few threads for it."""
        return await to_thread.run_sync(look, limiter=self._lookers)

    @asynccontextmanager
    async def seat(self, request: Request) -> AsyncIterator[None]:
        """A place to wait in. Raises BusyError when all are taken, or all that one caller may have."""
        caller = counted_as(request.scope[IDENTITY], None if request.client is None else request.client.host)
        if self._waiting.total() >= self._limit:
            raise BusyError(f"{self._waiting.total()} requests wait already; try again in a moment")
        if self._waiting[caller] >= self._share:
            raise BusyError(f"{self._waiting[caller]} requests of yours wait already; try again when one has ended")
        self._waiting[caller] += 1
        self._gauge.inc()
        try:
            yield
        finally:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller]
            self._gauge.dec()


@dataclass(frozen=True, slots=True)
class Rooms:
    """Where requests wait, each kind by itself, so that none takes the seats or the threads of another.

    Args:
        claims: of workers, for jobs; there all seats may be one token's, as many workers share one.
        news: for answers, ends of jobs and changes; a look is cheap.
        progress: whoever follows a query; a look may judge what is known so far.
    """

    claims: WaitingRoom
    news: WaitingRoom
    progress: WaitingRoom

    @classmethod
    def of(cls, gauge: Gauge) -> Self:
        """Args: gauge: shows how many wait in all of them."""
        return cls(WaitingRoom(gauge, share=WAITERS), WaitingRoom(gauge), WaitingRoom(gauge))
