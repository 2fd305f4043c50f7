"""Bytes to and from the zoo: streamed, counted, checked against their digest, resumed after a break."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx

from client.cache import CHUNK_BYTES, Cache, Draft
from client.connection import Call, Connection
from client.errors import NOT_NOW, TransferBrokenError, error_of, unreachable
from client.mending import mend
from registry.errors import WrongDigestError
from registry.names import Digest

OnBytes = Callable[[int, int | None], None]
"""Is told how many bytes have moved, and how many there are, where that is known."""


NO_USE_TO_REPEAT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.ReadTimeout)
"""Nobody is there, or somebody has all bytes and does not answer; sending them again helps in neither case."""


def ignore_bytes(done: int, total: int | None) -> None:
    """Tell nobody."""


@dataclass(frozen=True, slots=True)
class Content:
    """What is sent: a file, or bytes in memory; it can be read from its start as often as needed."""

    source: Path | bytes
    media_type: str = "application/octet-stream"

    @property
    def size(self) -> int:
        """Number of bytes."""
        return len(self.source) if isinstance(self.source, bytes) else self.source.stat().st_size

    def chunks(self, on_bytes: OnBytes, *, start: int = 0) -> Iterator[bytes]:
        """The bytes in order; whoever watches is told of each chunk when the next one is wanted."""
        total, done = self.size, start
        for chunk in self._pieces(start):
            yield chunk
            done += len(chunk)
            on_bytes(done, total)

    def _pieces(self, start: int) -> Iterator[bytes]:
        """The bytes in pieces of bounded size."""
        if isinstance(self.source, bytes):
            yield from (self.source[i : i + CHUNK_BYTES] for i in range(start, len(self.source), CHUNK_BYTES))
            return
        with self.source.open("rb") as file:
            file.seek(start)
            while chunk := file.read(CHUNK_BYTES):
                yield chunk


def upload(connection: Connection, call: Call, content: Content, *, on_bytes: OnBytes = ignore_bytes) -> httpx.Response:
    """Send bytes, from their start again after a break: every upload of the zoo may be repeated.

    Raises:
        ServiceUnreachableError: no zoo answers.
        TransferBrokenError: it broke off every time.
        ZooError: what the zoo answered.
    """
    headers = {**call.headers, "Content-Length": str(content.size), "Content-Type": content.media_type}
    call = replace(call, headers=headers)
    timeouts, stalls = connection.timeouts, 0
    for failures in range(1, timeouts.tries + 1):
        try:
            return connection.send_stream(call, content=content.chunks(on_bytes))
        except NOT_NOW as error:
            if failures == timeouts.tries:
                raise
            timeouts.pause(failures, error)
        except httpx.TransportError as error:
            if isinstance(error, NO_USE_TO_REPEAT):
                raise unreachable(connection.url, error) from error
            stalls += isinstance(error, httpx.WriteTimeout)
            if failures == timeouts.tries or (stalls + 1) * timeouts.stall_seconds > timeouts.quiet_seconds:
                raise _broken(f"sending {content.size} bytes to {call.path}", error) from error
            timeouts.pause(failures, error)
    raise AssertionError("the last try returns or raises")


def download(
    connection: Connection, path: str, *, digest: Digest, cache: Cache, on_bytes: OnBytes = ignore_bytes
) -> Path:
    """The file with this digest, from the cache or from the zoo, checked either way.

    Returns:
        Where it is in the cache; it is not to be written to.

    Raises:
        WrongDigestError: the zoo sent other bytes; nothing was kept.
        TransferBrokenError: it broke off again and again without getting further; what came is kept for next time.
        ServiceUnreachableError: no zoo answers.
        ZooError: what the zoo answered.
    """
    found = cache.find(digest)
    if found is not None:
        return found
    with cache.draft(digest) as draft:
        resumed = draft.size > 0
        _fill(connection, path, draft=draft, on_bytes=on_bytes)
        if not _is_right(draft):
            _mend(connection, path, draft)
        if resumed and not _is_right(draft):
            draft.restart()
            _fill(connection, path, draft=draft, on_bytes=on_bytes)
        return cache.keep(draft)


def _mend(connection: Connection, path: str, draft: Draft) -> None:
    """Fetch bad parts again, as far as that can be done. Raises TransferBrokenError, ZooError."""
    try:
        mend(connection, path, draft)
    except httpx.TransportError as error:
        raise _broken(f"reading bad parts of {path} again", error) from error


def _is_right(draft: Draft) -> bool:
    """Whether the bytes of a draft are the ones asked for."""
    try:
        draft.check()
    except WrongDigestError:
        return False
    return True


def _fill(connection: Connection, path: str, *, draft: Draft, on_bytes: OnBytes) -> None:
    """Write all bytes that are missing; every break that came after some progress is forgiven."""
    timeouts, failures, farthest = connection.timeouts, 0, draft.size
    moved_at = time.monotonic()
    while True:
        try:
            if _stream_rest(connection, path, draft=draft, on_bytes=on_bytes):
                return
            error: httpx.TransportError = httpx.ReadError("the answer ended before its last byte")
        except httpx.TransportError as caught:
            error = caught
        failures = 1 if draft.size > farthest else failures + 1
        moved_at = time.monotonic() - timeouts.stall_seconds if draft.size > farthest else moved_at
        farthest = max(farthest, draft.size)
        if failures >= timeouts.tries or timeouts.are_over(
            error, moved_at=moved_at, next_seconds=timeouts.stall_seconds
        ):
            raise _gave_up(connection, f"reading {path} after {draft.size} bytes", error) from error
        timeouts.pause(failures, error)


def _gave_up(connection: Connection, what: str, error: httpx.TransportError) -> Exception:
    """The error of a download whose every try failed."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return unreachable(connection.url, error)
    return _broken(what, error)


def _stream_rest(connection: Connection, path: str, *, draft: Draft, on_bytes: OnBytes) -> bool:
    """Read from where the draft ends; False when the answer was shorter than it said it would be."""
    headers = {"Accept-Encoding": "identity", "Accept": "application/octet-stream"}
    if draft.size:
        headers["Range"] = f"bytes={draft.size}-"
    call = Call("GET", path, headers=headers)
    with connection.stream(call, stall_seconds=connection.timeouts.stall_seconds) as response:
        if response.status_code == httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE and draft.size:
            return _ends_here(response, draft)
        if response.status_code >= 400:
            raise error_of(response)
        if not _continues(response, draft):
            draft.restart()
        total = _total_bytes(response, already=draft.size)
        for chunk in response.iter_raw():
            draft.write(chunk)
            on_bytes(draft.size, total)
    return total is None or draft.size >= total


def _ends_here(response: httpx.Response, draft: Draft) -> bool:
    """Whether nothing was missing; a draft that is too long is begun anew."""
    if response.headers.get("Content-Range") == f"bytes */{draft.size}":
        return True
    draft.restart()
    return False


def _continues(response: httpx.Response, draft: Draft) -> bool:
    """Whether an answer goes on exactly where the draft ends."""
    partial = response.status_code == httpx.codes.PARTIAL_CONTENT
    return partial and response.headers.get("Content-Range", "").startswith(f"bytes {draft.size}-")


def _total_bytes(response: httpx.Response, *, already: int) -> int | None:
    """How many bytes the whole file has, as far as the answer tells."""
    length = response.headers.get("Content-Length", "")
    return already + int(length) if length.isdecimal() else None


def _broken(what: str, error: httpx.TransportError) -> TransferBrokenError:
    """The error of a transfer that broke off too often."""
    reason = str(error) or type(error).__name__
    return TransferBrokenError(f"{what} broke off too often ({reason}); try again, it goes on where it stopped")
