"""Bodies on their way into the blob store: streamed, hashed, counted; an unfinished one leaves nothing."""

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import BinaryIO

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from api.door import BODY_LIMIT, check_length
from api.guests import Guests
from api.threads import finally_in_thread, in_thread, working_behind
from registry.names import Digest
from registry.ports import BlobWriter
from registry.records import BlobInfo
from registry.zoo import Zoo

CHUNK_BYTES = 1024 * 1024
HELD_BACK_SECONDS = 1.0
MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Received:
    """Bytes that a request brought, and whether they were there before."""

    blob: BlobInfo
    known: bool


@dataclass(frozen=True, slots=True)
class Desk:
    """Where bytes are taken in: the zoo that stores them, and the guests among them."""

    zoo: Zoo
    guests: Guests

    @asynccontextmanager
    async def body(
        self, request: Request, *, limit_bytes: int, expected: Digest | None = None
    ) -> AsyncIterator[Received]:
        """Store a request's raw body while the block runs, and longer if something refers to it by then.

        Raises:
            TooLargeError: it is over the limit; where its length is given, before anything is read.
            WrongDigestError: it does not have the expected digest.
            ClientDisconnect: it broke off.
            HTTPException: 415, it is a form, or encoded.
        """
        if media_type(request) == MULTIPART:
            raise HTTPException(415, "send the file itself as the body, not a form; with curl: --data-binary @FILE")
        begin_stream(request, limit_bytes=limit_bytes)
        async with self._stored(request.stream(), expected) as received:
            yield received

    @asynccontextmanager
    async def file(self, file: BinaryIO) -> AsyncIterator[Received]:
        """The same for a file that lies on disk already."""
        async with self._stored(_chunks_of(file), None) as received:
            yield received

    @asynccontextmanager
    async def held(self, digest: Digest) -> AsyncIterator[None]:
        """Hold bytes that were uploaded before, so that no other request's tidying takes them away."""
        await in_thread(self.guests.enter, digest)
        try:
            yield
        finally:
            await finally_in_thread(partial(self.guests.leave, digest))

    @asynccontextmanager
    async def _stored(self, chunks: AsyncIterator[bytes], expected: Digest | None) -> AsyncIterator[Received]:
        """Write the chunks as a blob and hold it while the block runs."""
        async with AsyncExitStack() as stack:
            async with self._writer() as writer, working_behind() as writing:
                async for gathered in gather(chunks):
                    await writing.run(writer.write, gathered)
                await writing.wait()
                digest = writer.digest()
                known = await in_thread(self.guests.enter, digest)
                stack.push_async_callback(finally_in_thread, partial(self.guests.leave, digest))
                await in_thread(self.zoo.keeper.spare, digest)
                blob = await in_thread(writer.commit, expected)
            yield Received(blob, known)

    @asynccontextmanager
    async def _writer(self) -> AsyncIterator[BlobWriter]:
        """A blob writer that is closed whatever happens, a cancelled request included."""
        stack = ExitStack()
        try:
            yield self.zoo.known_chunks.watched(await in_thread(stack.enter_context, self.zoo.blobs.writer()))
        finally:
            await finally_in_thread(stack.close)


def media_type(request: Request) -> str:
    """What the body is said to be, in lower case, without parameters."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def begin_stream(request: Request, *, limit_bytes: int) -> None:
    """Set the limit of a body that is streamed. Raises TooLargeError, and HTTPException 415 for an encoded body."""
    request.scope[BODY_LIMIT] = limit_bytes
    check_length(request.scope)
    encoding = request.headers.get("content-encoding", "identity")
    if encoding != "identity":
        raise HTTPException(415, f"a body with Content-Encoding {encoding[:50]!r} is not taken; send it as it is")


async def gather(chunks: AsyncIterator[bytes], *, size_bytes: int = CHUNK_BYTES) -> AsyncIterator[bytes]:
    """The same bytes in large chunks, so that a thread is asked for few of them; and none held back for long.

    Raises:
        ClientDisconnect: the caller broke off; what came before was given.
    """
    gathered, size, began = list[bytes](), 0, time.monotonic()
    try:
        async for chunk in chunks:
            gathered.append(chunk)
            size += len(chunk)
            if size >= size_bytes or time.monotonic() - began > HELD_BACK_SECONDS:
                yield b"".join(gathered)
                gathered, size, began = [], 0, time.monotonic()
    except ClientDisconnect:
        yield b"".join(gathered)
        raise
    yield b"".join(gathered)


async def _chunks_of(file: BinaryIO) -> AsyncIterator[bytes]:
    """A file in pieces."""
    while chunk := await in_thread(file.read, CHUNK_BYTES):
        yield chunk
