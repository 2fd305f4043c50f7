"""Faults as they are found: the first ones are kept, the rest are counted."""

from registry.errors import Fault

KEPT = 20
TOLD = 3


def escaped(step: str | int) -> str:
    """One step of a JSON pointer (RFC 6901)."""
    return str(step)[:200].replace("~", "~0").replace("/", "~1")


class FaultList:
    """Collects the faults of one upload without growing with it.

    Args:
        code: the stable code that every fault carries.
    """

    def __init__(self, code: str) -> None:
        """Begin without faults."""
        self._code = code
        self._kept: list[Fault] = []
        self.count = 0

    def add(self, pointer: str, detail: str) -> None:
        """Note one fault: where it is, and what is wrong there."""
        self.count += 1
        if len(self._kept) < KEPT:
            self._kept.append(Fault(pointer, detail, self._code))

    def faults(self) -> tuple[Fault, ...]:
        """The first faults in the order found and, where there were more, one that counts the rest."""
        rest = self.count - len(self._kept)
        more = (Fault("", f"and {rest:,} more", self._code),) if rest else ()
        return (*self._kept, *more)

    def told(self) -> str:
        """The first faults in one line, and how many are not told."""
        first = "; ".join(fault.detail for fault in self._kept[:TOLD])
        rest = self.count - TOLD
        return f"{first}; and {rest:,} more" if rest > 0 else first
