"""Work that takes longer than whoever asks should be kept waiting: done once, in a thread of its own."""

import contextvars
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

Made = TypeVar("Made")

MOST_UNTOLD = 100
"""So much that has ended waits to be told; what ended before that, and nobody came for, is forgotten."""


@dataclass(slots=True)
class _Running(Generic[Made]):
    """One piece of work on its way: set when it has ended, with what it made or the error it ended with."""

    ended: threading.Event = field(default_factory=threading.Event)
    made: Made | None = None
    error: BaseException | None = None


class Background(Generic[Made]):
    """Makes each thing once, however many ask for it meanwhile, few at a time; it is told, and then forgotten.

    Threads are daemons: a process that ends does not wait for them, so what they make must be made again then.
    """

    def __init__(self, *, at_once: int = 1) -> None:
        """Args: at_once: how many things are made at a time."""
        self._lock, self._turn = threading.Lock(), threading.Semaphore(at_once)
        self._running: dict[str, _Running[Made]] = {}

    def make(self, key: str, work: Callable[[], Made], *, seconds: float) -> Made | None:
        """What the work makes; None while that is not known, after so many seconds.

        Args:
            key: what tells one piece of work from another.
            work: what to do, unless it is on its way already.
            seconds: how long to wait for it at most.

        Raises:
            BaseException: what the work raised.
        """
        with self._lock:
            running = self._running.get(key)
            if running is None:
                self._forget_oldest()
                running = self._running[key] = _Running()
                context = contextvars.copy_context()  # what it asks for in its turn has the same origin
                arguments = (self._do, running, work)
                threading.Thread(target=context.run, args=arguments, name=f"make-{key}", daemon=True).start()
        if not running.ended.wait(seconds):
            return None
        with self._lock:
            if self._running.get(key) is running:
                del self._running[key]
        if running.error is not None:
            raise running.error
        return running.made

    def _forget_oldest(self) -> None:
        """Forget what ended and nobody came for; the lock is held."""
        untold = [key for key, running in self._running.items() if running.ended.is_set()]
        for key in untold[:-MOST_UNTOLD]:
            del self._running[key]

    def _do(self, running: _Running[Made], work: Callable[[], Made]) -> None:
        try:
            with self._turn:
                running.made = work()
        except BaseException as error:  # noqa: BLE001 - told to whoever asks
            running.error = error
        finally:
            running.ended.set()
