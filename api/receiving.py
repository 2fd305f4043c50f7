"""Bodies on their way into an upload that may break off: what came is kept, whatever ends the request."""

import base64
import binascii
import hashlib
import hmac
from asyncio import CancelledError
from collections.abc import AsyncIterator

from anyio import move_on_after
from starlette.requests import ClientDisconnect, Request

from api.threads import finally_in_thread, in_thread
from api.uploads import CHUNK_BYTES, begin_stream, gather
from registry.errors import Fault, InvalidInputError, UploadStalledError
from registry.settings import Settings
from registry.upload_receiver import Receiver
from registry.upload_records import Upload

ALGORITHMS = ("sha1", "sha256")
"""Of checksums that a request's body may be said to have."""


class BodyChecksum:
    """The checksum of one request's body, as `Upload-Checksum` names it."""

    def __init__(self, header: str) -> None:
        """Raises InvalidInputError unless the header is a known algorithm and a digest in Base64."""
        algorithm, _, encoded = header.strip().partition(" ")
        if algorithm not in ALGORITHMS:
            raise _wrong(f"{algorithm[:50]!r} is none of {', '.join(ALGORITHMS)}")
        self._hash = hashlib.new(algorithm, usedforsecurity=False)
        try:
            self._expected = base64.b64decode(encoded, validate=True)
        except binascii.Error as error:
            raise _wrong(f"{encoded[:100]!r} is not Base64") from error
        if len(self._expected) != self._hash.digest_size:
            raise _wrong(f"{encoded[:100]!r} is not {self._hash.digest_size} bytes in Base64")

    def update(self, data: bytes, /) -> None:
        """Add bytes."""
        self._hash.update(data)

    def matches(self) -> bool:
        """Whether the bytes so far are those."""
        return hmac.compare_digest(self._hash.digest(), self._expected)


async def receive(request: Request, receiver: Receiver, settings: Settings) -> Upload:
    """Put a request's body into an upload, and end its lease whatever happens.

    Raises:
        TooLargeError: more comes than the upload is to have; what was recorded before that stays.
        ClientDisconnect: it broke off; what came is kept.
        UploadStalledError: nothing came for as long as a lease lasts; what came before is kept.
        ZooError: what the receiver raises.
    """
    size_bytes = min(CHUNK_BYTES, settings.upload_piece_bytes)
    try:
        begin_stream(request, limit_bytes=receiver.room_bytes)
        async for chunk in gather(_not_idle(request.stream(), settings.upload_lease_seconds), size_bytes=size_bytes):
            await in_thread(receiver.write, chunk)
    except (ClientDisconnect, CancelledError) as error:
        await finally_in_thread(receiver.keep)
        if isinstance(error, _IdleError):
            raise UploadStalledError(
                f"nothing came for {settings.upload_lease_seconds:g} s; what came before is kept, go on where HEAD says"
            ) from error
        raise
    except BaseException:
        await finally_in_thread(receiver.abandon)
        raise
    return await in_thread(receiver.finish)


class _IdleError(ClientDisconnect):
    """Nothing came for too long, so nobody is there as far as we know."""


async def _not_idle(chunks: AsyncIterator[bytes], seconds: float) -> AsyncIterator[bytes]:
    """The same chunks. Raises _IdleError where the next one does not come in time."""
    while True:
        with move_on_after(seconds) as waited:
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
        if waited.cancelled_caught:
            raise _IdleError
        yield chunk


def _wrong(why: str) -> InvalidInputError:
    detail = f"Upload-Checksum cannot be read: {why}; write the algorithm, a space, and the digest in Base64"
    return InvalidInputError(detail, faults=[Fault("/header/upload-checksum", why)])
