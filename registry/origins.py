"""Where work comes from: the request that asked for it, so that what is said of it anywhere can be found together."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Annotated

from pydantic import Field

from registry.frozen import Frozen

REQUEST_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, version 00."""


class Origin(Frozen):
    """The request that asked for work: its id, and its place in a trace where there is one (W3C `traceparent`)."""

    request_id: Annotated[str, Field(pattern=f"^{REQUEST_ID.pattern}$")] | None = None
    traceparent: Annotated[str, Field(max_length=55)] | None = None


NOWHERE = Origin()
_CURRENT: ContextVar[Origin] = ContextVar("zoo_origin", default=NOWHERE)


def current_origin() -> Origin:
    """What whatever is done now was asked for by; `NOWHERE` where nobody said. Threads must be given the context."""
    return _CURRENT.get()


@contextmanager
def originating(origin: Origin) -> Iterator[None]:
    """Everything done in the block was asked for by this."""
    token = _CURRENT.set(origin)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def traceparent_of(header: str | None) -> str | None:
    """A caller's place in a trace, where it is written as it should be; anything else is left out."""
    return header if header is not None and TRACEPARENT.fullmatch(header) else None
