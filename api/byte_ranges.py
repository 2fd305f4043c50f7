"""Bytes as answers: whole or one range of them, conditional, never in memory as a whole."""

import base64
import hashlib
import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO, Protocol

import structlog
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from api.conditions import not_modified
from api.door import HEAD
from api.threads import finally_in_thread, in_thread
from registry.errors import CorruptBlobError
from registry.known_chunks import CHUNK_BYTES, CheckMaker, Checks, KnownChunks, check_of
from registry.names import Digest
from registry.records import BlobLink

log = structlog.get_logger()

SOON_READ_BYTES = 8 * 1024 * 1024
"""A file of no more bytes is read whole where nothing is known of it and a part is asked for."""

OCTETS = "application/octet-stream"
FOR_EVER = "public, max-age=31536000, immutable"
PRIVATE_FOR_EVER = "private, max-age=31536000, immutable"
REVALIDATED = "no-cache"
LINK_MARGIN_SECONDS = 60
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
        link: gives an address where readers may fetch them themselves, if they are to.
    """

    open: Callable[[], AbstractContextManager[BinaryIO]]
    size_bytes: int
    etag: str
    name: str
    digest: Digest | None = None
    cache: str = FOR_EVER
    link: Callable[[], BlobLink | None] = lambda: None

    @property
    def headers(self) -> dict[str, str]:
        """What every answer with these bytes says, whole or in part."""
        said = {
            "ETag": f'"{self.etag}"',
            "Accept-Ranges": "bytes",
            "Cache-Control": self.cache,
            "Content-Disposition": f'attachment; filename="{self.name}"',
        }
        if self.digest is not None:
            said["Repr-Digest"] = repr_digest(self.digest)
        return said


def serve(request: Request, content: Content) -> Response:
    """Answer with bytes: 304 when the caller has them, 206 with one range, 416 beyond the end, else 200 with all.

    Where readers are sent to the store, it is 307 in place of 200 and 206; HEAD is answered here. A whole file whose
    digest is known never ends well when it is damaged, nor does a part of one that is small or passed here whole before
    (decision 0022). Several ranges at once are not served: the answer is then the whole, as RFC 9110 allows.

    Raises:
        HTTPException: 416, the range begins beyond the end.
    """
    unchanged = not_modified(request, etag=content.etag, headers=content.headers)
    if unchanged is not None:
        return unchanged
    wanted = _wanted_range(request, content)
    link = None if request.scope.get(HEAD, False) else content.link()
    if link is not None:
        return _elsewhere(content, link)
    first, past = (0, content.size_bytes) if wanted is None else wanted
    headers = {**content.headers, "Content-Length": str(past - first)}
    if wanted is not None:
        headers["Content-Range"] = f"bytes {first}-{past - 1}/{content.size_bytes}"
    source = _Slice(content, first, past, silent=request.scope.get(HEAD, False))
    services = request.app.state.services
    status = 200 if wanted is None else 206
    return _BytesResponse(
        source, services.zoo.known_chunks, services.metrics.damaged, status_code=status, headers=headers
    )


def _elsewhere(content: Content, link: BlobLink) -> Response:
    """Where the bytes are to be read instead; kept by the caller alone, and for less time than the address is good."""
    seconds = max(0, link.seconds - LINK_MARGIN_SECONDS)
    headers = {**content.headers, "Location": link.url, "Cache-Control": f"private, max-age={seconds}"}
    return Response(status_code=307, headers=headers)


def _wanted_range(request: Request, content: Content) -> tuple[int, int] | None:
    """First and past-the-last byte that are asked for; None for all of them, and for HEAD, which has no ranges."""
    if request.scope.get(HEAD, False):
        return None
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

    content: Content
    first: int
    past: int
    silent: bool

    @property
    def whole(self) -> bool:
        """Whether it is all of the file."""
        return self.past - self.first == self.content.size_bytes


class _BytesResponse(StreamingResponse):
    """Sends part of a file; the file is closed when the last byte is sent, or when the caller is gone.

    Each chunk is sent when the next one has been read, and the last one when the digest of the whole is known to be
    right: a damaged file breaks off, and a short one is not begun at all.
    """

    def __init__(
        self,
        source: _Slice,
        known: KnownChunks,
        count_damaged: Callable[[], None],
        *,
        status_code: int,
        headers: Mapping[str, str],
    ) -> None:
        super().__init__(iter(()), status_code=status_code, headers=headers, media_type=OCTETS)
        self._source, self._known, self._count_damaged = source, known, count_damaged

    async def stream_response(self, send: Send) -> None:
        """Open and read first, so that missing bytes are an error and not half an answer."""
        stack, begun = ExitStack(), False
        try:
            chunks = None if self._source.silent else await in_thread(_opened, stack, self._source, self._known)
            held = b"" if chunks is None else await in_thread(chunks.read)
            begun = True
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            while chunks is not None and chunks.left:
                await send({"type": "http.response.body", "body": held, "more_body": True})
                held = await in_thread(chunks.read)
            await send({"type": "http.response.body", "body": held, "more_body": False})
        except CorruptBlobError as error:
            if begun:  # else it becomes a problem, which is counted where all are
                self._count_damaged()
            log.error("stored bytes are damaged", digest=self._source.content.digest, reason=error.detail)  # noqa: TRY400 (one line)
            raise
        finally:
            await finally_in_thread(partial(stack.close))


class _Chunks(Protocol):
    """Reads a slice chunk by chunk; `left` bytes are still to come."""

    left: int

    def read(self) -> bytes:
        """The next chunk; empty after the last. Raises CorruptBlobError when the bytes end early or are other ones."""


class _PlainChunks:
    """Of a part that nothing is known of."""

    def __init__(self, file: BinaryIO, source: _Slice) -> None:
        file.seek(source.first)
        self._file = file
        self.left = source.past - source.first

    def read(self) -> bytes:
        """The next chunk, as it is stored. Raises CorruptBlobError when the bytes end early."""
        wanted = min(CHUNK_BYTES, self.left)
        chunk = self._file.read(wanted)
        if len(chunk) < wanted:
            raise _ended(self.left - len(chunk))
        self.left -= len(chunk)
        return chunk


class _HashedChunks(_PlainChunks):
    """Of a whole file: its digest is judged with the last one, and the others are known from then on."""

    def __init__(self, file: BinaryIO, source: _Slice, digest: Digest, known: KnownChunks) -> None:
        super().__init__(file, source)
        self._digest, self._known = digest, known
        self._hash, self._checks = hashlib.sha256(), CheckMaker()

    def read(self) -> bytes:
        """The next chunk. Raises CorruptBlobError when the bytes end early or all together have another digest."""
        chunk = super().read()
        self._hash.update(chunk)
        self._checks.update(chunk)
        if not self.left:
            found = f"sha256:{self._hash.hexdigest()}"
            if found != self._digest:
                raise _damaged(self._digest, f"they now have {found}")
            self._known.keep(self._digest, self._checks.made())
        return chunk


class _KnownChunks:
    """Of any part of a file that was right when it passed whole: each chunk that it touches is read and judged."""

    def __init__(self, file: BinaryIO, source: _Slice, digest: Digest, checks: Checks) -> None:
        """Raises CorruptBlobError when there are more bytes than there were, or fewer."""
        if source.content.size_bytes != checks.size_bytes:
            raise _damaged(digest, f"there are {source.content.size_bytes} in place of {checks.size_bytes}")
        self._file, self._digest, self._checks = file, digest, checks
        self._number, self._skipped = divmod(source.first, CHUNK_BYTES)
        file.seek(self._number * CHUNK_BYTES)
        self.left = source.past - source.first

    def read(self) -> bytes:
        """What is wanted of the next chunk. Raises CorruptBlobError when the chunk is not as it was."""
        if not self.left:
            return b""
        start = self._number * CHUNK_BYTES
        due = min(CHUNK_BYTES, self._checks.size_bytes - start)
        chunk = self._file.read(due)
        if len(chunk) < due:
            raise _ended(self._checks.size_bytes - start - len(chunk))
        if check_of(chunk) != self._checks.of(self._number):
            raise _damaged(self._digest, f"those from {start} to {start + due} are not as they were")
        wanted = chunk[self._skipped : self._skipped + self.left]
        self._number, self._skipped = self._number + 1, 0
        self.left -= len(wanted)
        return wanted


def _ended(missing_bytes: int) -> CorruptBlobError:
    return CorruptBlobError(f"stored bytes end {missing_bytes} bytes too early; upload the file again")


def _damaged(digest: Digest, how: str) -> CorruptBlobError:
    return CorruptBlobError(f"the bytes stored as {digest} are damaged, {how}; upload the file again")


def _opened(stack: ExitStack, source: _Slice, known: KnownChunks) -> _Chunks:
    """The file, at the first byte that is asked for. Raises CorruptBlobError when it is known to be damaged already."""
    digest = source.content.digest
    file = stack.enter_context(source.content.open())
    if digest is None:
        return _PlainChunks(file, source)
    checks = known.of(digest)
    if checks is None and not source.whole and source.content.size_bytes <= SOON_READ_BYTES:
        checks = _learned(file, source.content, digest, known)
    if checks is not None:
        return _KnownChunks(file, source, digest, checks)
    return _HashedChunks(file, source, digest, known) if source.whole else _PlainChunks(file, source)


def _learned(file: BinaryIO, content: Content, digest: Digest, known: KnownChunks) -> Checks | None:
    """What is known of a file once it has been read whole. Raises CorruptBlobError when it is damaged."""
    chunks = _HashedChunks(file, _Slice(content, 0, content.size_bytes, silent=False), digest, known)
    while chunks.left:
        chunks.read()
    return known.of(digest)
