"""How a command says that it failed: one red line and the single faults, or a problem as JSON; always on stderr."""

import json
import sys

from client.answered import AnsweredProblem
from registry.errors import ZooError

RED, PLAIN = "\x1b[31m", "\x1b[0m"
SHOWN_FAULTS = 20
REMEDIES = {"broken_image": "--leave-out-broken leaves out images that cannot be read"}
"""Options that help against faults of a kind."""


def report(error: ZooError | OSError, *, as_json: bool) -> None:
    """Write what went wrong to stderr."""
    text = _as_json(error) if as_json else _for_people(error)
    sys.stderr.write(text + "\n")


def _as_json(error: ZooError | OSError) -> str:
    """A problem document, as the zoo would send it."""
    if not isinstance(error, ZooError):
        return json.dumps({"title": "The system refused", "detail": str(error), "code": "os_error", "errors": []})
    faults = [{"pointer": fault.pointer, "detail": fault.detail, "code": fault.code} for fault in error.faults]
    told = {
        "title": error.title,
        "status": error.status,
        "detail": error.detail,
        "code": error.code,
        "errors": faults,
    }
    answered = error.__cause__
    if isinstance(answered, AnsweredProblem):
        told |= {"type": answered.type or f"/errors/{error.code}", "request_id": answered.request_id}
    return json.dumps(told)


def _for_people(error: ZooError | OSError) -> str:
    """A red line, and a line for each fault that the first one does not tell already."""
    line = f"error: {error}"
    lines = [f"{RED}{line}{PLAIN}" if sys.stderr.isatty() else line]
    faults = error.faults if isinstance(error, ZooError) else ()
    told = [fault for fault in faults if fault.detail not in str(error)]
    lines += [f"  {fault.pointer}: {fault.detail}" if fault.pointer else f"  {fault.detail}" for fault in told]
    hidden = len(lines) - 1 - SHOWN_FAULTS
    more = [f"  and {hidden} more"] if hidden > 0 else []
    remedies = [remedy for code, remedy in REMEDIES.items() if any(fault.code == code for fault in faults)]
    return "\n".join([*lines[: SHOWN_FAULTS + 1], *more, *remedies])
