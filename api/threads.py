"""Threads of a request: for what waits for disk or database, and for what goes on beside the request."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from anyio import CancelScope, to_thread

Result = TypeVar("Result")


async def in_thread(function: Callable[..., Result], *arguments: object) -> Result:
    """Run a function that waits for disk or database."""
    return await to_thread.run_sync(function, *arguments)


async def finally_in_thread(function: Callable[[], None]) -> None:
    """The same, even though the request was cancelled meanwhile."""
    with CancelScope(shield=True):
        await to_thread.run_sync(function)


class Behind:
    """Calls in a thread, one after the other, each while the request goes on."""

    def __init__(self) -> None:
        self._call: asyncio.Task[object] | None = None

    async def run(self, function: Callable[..., object], *arguments: object) -> None:
        """Begin a call once the one before has ended. Raises what that one raised."""
        await self.wait()
        self._call = asyncio.create_task(in_thread(function, *arguments))

    async def wait(self) -> None:
        """Wait for the call that was begun last. Raises what it raised."""
        if self._call is not None:
            await asyncio.shield(self._call)  # who is cancelled leaves it to `end` to wait for the thread
            self._call = None

    async def end(self) -> None:
        """Wait until no thread works here any more, though the request be cancelled; what came of it is not told."""
        if self._call is not None:
            with CancelScope(shield=True):
                await asyncio.wait({self._call})
            if not self._call.cancelled():
                self._call.exception()  # told already, or nobody is left to tell


@asynccontextmanager
async def working_behind() -> AsyncIterator[Behind]:
    """Calls beside a block; no thread works any more when it ends."""
    behind = Behind()
    try:
        yield behind
    finally:
        await behind.end()
