"""Bytes as answers: whole or one range of them, conditional, never in memory as a whole."""

import base64
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from api.conditions import not_modified
from api.door import HEAD
from api.uploads import finally_in_thread, in_thread
from registry.names import Digest

CHUNK_BYTES = 1024 * 1024
OCTETS = "application/octet-stream"
FOR_EVER = "public, max-age=31536000, immutable"
REVALIDATED = "no-cache"
ONE_RANGE = re.compile(r"bytes=\s*(?:([0-9]{1,18})-([0-9]{0,18})|-([0-9]{1,18}))\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Content:
    """Bytes to be answered with.

    Args:
        open: opens a seekable file of them.
        size_bytes: how many there are.
        etag: their strong entity tag, without quotes.
        digest: their digest, where it is known; told as Repr-Digest.
        name: what a browser calls the file.
        cache: for how long they may be kept.
    """

    open: Callable[[], AbstractContextManager[BinaryIO]]
    size_bytes: int
    etag: str
    name: str
    digest: Digest | None = None
    cache: str = FOR_EVER
    extra: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    @property
    def headers(self) -> dict[str, str]:
        """What every answer with these bytes says, whole or in part."""
        said = {
            "ETag": f'"{self.etag}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": self.cache,
            "Content-Disposition": f'attachment; filename="{self.name}"',
            **self.extra,
        }
        if self.digest is not None:
            said["Repr-Digest"] = repr_digest(self.digest)
        return said


def serve(request: Request, content: Content) -> Response:
    """Answer with bytes: 304 when the caller has them, 206 with one range, 416 beyond the end, else 200 with all.

    Several ranges at once are not served: the answer is then the whole, as RFC 9110 allows.

    Raises:
        HTTPException: 416, the range begins beyond the end.
    """
    unchanged = not_modified(request, etag=content.etag, headers=content.headers)
    if unchanged is not None:
        return unchanged
    wanted = _wanted_range(request, content)
    first, past = (0, content.size_bytes) if wanted is None else wanted
    headers = {**content.headers, "Content-Length": str(past - first)}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {first}-{past - 1}/{content.size_bytes}"
    source = _Slice(content.open, first, past, silent=request.scope.get(HEAD, False))
    return _BytesResponse(source, status_code=200 if wanted is None else 206, headers=headers)


def _wanted_range(request: Request, content: Content) -> tuple[int, int] | None:
    """First and past-the-last byte that are asked for; None for all of them."""
    asked = ONE_RANGE.fullmatch(request.headers.get("range", ""))
    held = request.headers.get("if-range")
    if asked is None or (held is not None and held != f'"{content.etag}"'):
        return None
    start, last, suffix = asked.groups()
    size = content.size_bytes
    if suffix is not None:
        first, past = max(size - int(suffix), 0), size
    else:
        first, past = int(start), min(int(last) + 1, size) if last else size
    if start is not None and last and int(last) < int(start):
        return None  # not a range at all, so there is none
    if first >= past:
        raise HTTPException(
            416,
            f"there are {size} bytes; {asked.string!r} asks for none of them",
            headers={"Content-Range": f"bytes */{size}", "Accept-Ranges": "bytes"},
        )
    return first, past


def repr_digest(digest: Digest) -> str:
    """A digest as the header Repr-Digest has it (RFC 9530)."""
    raw = bytes.fromhex(digest.removeprefix("sha256:"))
    return f"sha-256=:{base64.b64encode(raw).decode()}:"


@dataclass(frozen=True, slots=True)
class _Slice:
    """Part of a file: from the first byte to before `past`; nothing of it where the request was HEAD."""

    open: Callable[[], AbstractContextManager[BinaryIO]]
    first: int
    past: int
    silent: bool


class _BytesResponse(StreamingResponse):
    """Sends part of a file; the file is closed when the last byte is sent, or when the caller is gone."""

    def __init__(self, source: _Slice, *, status_code: int, headers: Mapping[str, str]) -> None:
        super().__init__(iter(()), status_code=status_code, headers=headers, media_type=OCTETS)
        self._source = source

    async def stream_response(self, send: Send) -> None:
        """Open first, so that missing bytes are an error and not half an answer."""
        stack = ExitStack()
        try:
            file = None if self._source.silent else await in_thread(_opened, stack, self._source)
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            left = 0 if file is None else self._source.past - self._source.first
            while file is not None and left > 0:
                chunk = await in_thread(file.read, min(CHUNK_BYTES, left))
                if not chunk:
                    raise OSError(f"the file ended {left} bytes too early")
                left -= len(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            await finally_in_thread(partial(stack.close))


def _opened(stack: ExitStack, source: _Slice) -> BinaryIO:
    """The file, at the first byte that is asked for."""
    file = stack.enter_context(source.open())
    file.seek(source.first)
    return file
