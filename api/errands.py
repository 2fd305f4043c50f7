"""What the service does beside answering, in threads: it brings changes to webhooks, and collects bytes."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import structlog
from fastapi import FastAPI

from api.caretaker import STOP_SECONDS, Caretaker
from registry.zoo import Zoo

log = structlog.get_logger()

LOOK_SECONDS = 1.0
TROUBLE_SECONDS = 10.0


class Errand:
    """Something done again and again in a thread of its own, that a failure does not end."""

    def __init__(self, work: Callable[[], int], *, name: str) -> None:
        """Args: work: does what is due, and gives how much it was; name: of the thread."""
        self._work, self._name = work, name
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after what is under way; where that takes long, the process ends without it, and it is done again."""
        self._stopped.set()
        self._thread.join(STOP_SECONDS)

    def _run(self) -> None:
        while not self._stopped.wait(self._once()):
            pass

    def _once(self) -> float:
        """Do what is due; gives the seconds until the next time."""
        try:
            self._work()
        except Exception:
            log.exception("an errand failed and is tried again", errand=self._name)
            return TROUBLE_SECONDS
        return LOOK_SECONDS


@asynccontextmanager
async def running_errands(app: FastAPI) -> AsyncIterator[None]:
    """Run the errands of an app's zoo while it serves."""
    zoo: Zoo = app.state.services.zoo
    errands: list[Errand | Caretaker] = [Caretaker(zoo.collector, zoo.uploads, zoo.queries, zoo.settings)]
    if zoo.courier is not None:
        errands.append(Errand(zoo.courier.deliver_due, name="courier"))
    for errand in errands:
        errand.start()
    try:
        yield
    finally:
        for errand in errands:
            errand.stop()
