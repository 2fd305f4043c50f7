"""Whether the zoo can serve: each part is tried, within bounds of time, and no part more often than is of use."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from registry.errors import BusyError, Fault, ZooError

Check = Callable[[], None]
"""Tries one part. Raises ZooError or OSError while it cannot be used."""

PATIENCE_SECONDS = 2.0
FRESH_SECONDS = 1.0


@dataclass(slots=True)
class _Try:
    """One look at one part: when it began, and, once it has ended, what is wrong, if anything is."""

    began: float = field(default_factory=time.monotonic)
    ended: threading.Event = field(default_factory=threading.Event)
    wrong: str | None = None


class Readiness:
    """Tries every part at once. One that hangs is not tried again before it has come back, so nothing piles up."""

    def __init__(self, parts: Mapping[str, Check], *, patience_seconds: float = PATIENCE_SECONDS) -> None:
        """Args: parts: what must be usable, by name; patience_seconds: who takes longer counts as unusable."""
        self._parts, self._patience = dict(parts), patience_seconds
        self._lock = threading.Lock()
        self._tries: dict[str, _Try] = {}

    def check(self) -> None:
        """Raises BusyError that names every part which cannot be used, or does not say in time."""
        tries = {name: self._try(name) for name in self._parts}
        deadline = time.monotonic() + self._patience
        faults = []
        for name, each in tries.items():
            if not each.ended.wait(max(0.0, deadline - time.monotonic())):
                silent = time.monotonic() - each.began
                faults.append(Fault(f"/{name}", f"the {name} did not answer within {silent:.1f} seconds", "silent"))
            elif each.wrong is not None:
                faults.append(Fault(f"/{name}", f"the {name} cannot be used: {each.wrong}", "unusable"))
        if faults:
            raise BusyError("not ready: " + "; ".join(fault.detail for fault in faults), faults=faults)

    def _try(self, name: str) -> _Try:
        """The look that is on its way, or ended a moment ago; else a new one."""
        with self._lock:
            last = self._tries.get(name)
            fresh = last is not None and time.monotonic() - last.began < FRESH_SECONDS
            if last is not None and (fresh or not last.ended.is_set()):
                return last
            new = self._tries[name] = _Try()
            threading.Thread(target=self._look, args=(name, new), name=f"ready-{name}", daemon=True).start()
            return new

    def _look(self, name: str, new: _Try) -> None:
        try:
            self._parts[name]()
        except ZooError as error:
            new.wrong = error.detail
        except OSError as error:
            new.wrong = error.strerror or type(error).__name__
        except Exception as error:  # noqa: BLE001 - whatever it is, the part cannot be used
            new.wrong = type(error).__name__
        finally:
            new.ended.set()
