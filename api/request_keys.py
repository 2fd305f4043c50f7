"""The `Idempotency-Key` of a request: with it, sending a POST again does nothing a second time."""

import hashlib
from typing import Annotated

from fastapi import Depends, Header
from starlette.requests import Request

from api.inputs import owner_of
from registry.key_records import RequestKey

WRITTEN = r'^("[!-~]{1,255}"|[!-~]{1,255})$'

Given = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        pattern=WRITTEN,
        description="a new word for each request, best a UUID; the same request sent again under it, within a day, "
        "is answered as it was the first time",
    ),
]


async def request_key(request: Request, given: Given = None) -> RequestKey | None:
    """The key that a request came with; None without one.

    The quotes that the header has as a structured field may be left out. Requests are the same when method, path,
    query and body are, byte for byte.
    """
    if given is None:
        return None
    head = f"{request.method} {request.url.path}?{request.url.query}\n".encode()
    fingerprint = hashlib.sha256(head + await request.body()).hexdigest()
    return RequestKey(owner=owner_of(request), key=given.strip('"') or given, fingerprint=fingerprint)


TheKey = Annotated[RequestKey | None, Depends(request_key)]
