"""Large files on their way to the zoo: what has arrived stays there, whatever happens here, there or in between."""

import base64
import hashlib
import time
import uuid
from pathlib import Path

import httpx

from client.connection import Call, Connection, Timeouts
from client.errors import NOT_NOW, TEMPORARY, ServiceUnreachableError, TransferBrokenError, was_answered
from client.transfer import Content, OnBytes, ignore_bytes
from registry.errors import ConflictError, NotFoundError, UploadLockedError
from registry.frozen import Frozen
from registry.names import Digest, DigestField

RESUMABLE_BYTES = 32 * 1024 * 1024
"""Files from this size on are uploaded so that they can go on; smaller ones are sent again faster than asked about."""

TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = "application/offset+octet-stream"

PASSING = (httpx.TransportError, *NOT_NOW, ConflictError)
"""What may be over a moment later: nobody is there, it broke off or was too slow, or another request adds bytes now."""


class _State(Frozen):
    """How far an upload is, as the zoo tells."""

    id: str
    offset: int
    length: int | None
    metadata: str
    created_at: str
    expires_at: str
    digest: DigestField | None

    @property
    def whole(self) -> bool:
        """Whether all bytes have arrived."""
        return self.offset == self.length


class SessionFiles:
    """Remembers by zoo and digest where an upload goes on, so that another process goes on with it."""

    def __init__(self, folder: Path, url: str) -> None:
        """Args: folder: made when the first upload begins; url: the zoo's address."""
        self._folder = folder
        self._zoo = hashlib.sha256(url.encode()).hexdigest()[:16]

    def find(self, digest: Digest) -> str | None:
        """The path of the upload of these bytes, where one was begun."""
        try:
            return self._file(digest).read_text(encoding="utf-8") or None
        except FileNotFoundError:
            return None

    def keep(self, digest: Digest, path: str) -> None:
        """Remember an upload: whole or not at all."""
        self._folder.mkdir(parents=True, exist_ok=True)
        draft = self._folder / f"{uuid.uuid4().hex}.part"
        draft.write_text(path, encoding="utf-8")
        draft.replace(self._file(digest))

    def forget(self, digest: Digest) -> None:
        """Forget the upload of these bytes; no error where there is none."""
        self._file(digest).unlink(missing_ok=True)

    def _file(self, digest: Digest) -> Path:
        return self._folder / f"{digest.removeprefix('sha256:')}-{self._zoo}"


class Uploads:
    """Uploads that go on after a break."""

    def __init__(self, connection: Connection, sessions: SessionFiles) -> None:
        """Args: connection: the zoo; sessions: where it is remembered what was begun."""
        self._connection, self._sessions = connection, sessions

    def send(self, content: Content, digest: Digest, *, on_bytes: OnBytes = ignore_bytes) -> None:
        """Send bytes, from where the last try of this or another process stopped; the zoo then holds them for a day.

        Raises:
            TransferBrokenError: no byte arrived for long; asked again, it goes on there.
            WrongDigestError: the bytes changed meanwhile.
            ZooError: what the zoo answered.
        """
        patience = _Patience(self._connection)
        while True:
            try:
                state = self._state(digest, content)
                patience.note(state)
                if state.digest is not None:
                    return
                self._send_rest(state, content, digest, patience.watching(on_bytes))
            except PASSING as error:
                patience.wait(error)

    def end(self, digest: Digest) -> None:
        """Let go of bytes that were sent: they stay where something is made of them, and go elsewhere."""
        path = self._sessions.find(digest)
        if path is not None:
            self._sessions.forget(digest)
            try:
                self._connection.send(Call("DELETE", path, headers=TUS))
            except (NotFoundError, ConflictError, *TEMPORARY):  # it expires by itself
                return

    def _state(self, digest: Digest, content: Content) -> _State:
        """Where the upload of these bytes is; a new one where there is none, or none any more."""
        path = self._sessions.find(digest)
        if path is not None:
            try:
                return self._shown(path)
            except NotFoundError:
                self._sessions.forget(digest)
        metadata = f"digest {base64.b64encode(digest.encode()).decode()}"
        headers = {**TUS, "Upload-Length": str(content.size), "Upload-Metadata": metadata}
        path = self._connection.send(Call("POST", "/uploads", headers=headers)).headers["Location"]
        self._sessions.keep(digest, path)
        return self._shown(path)

    def _shown(self, path: str) -> _State:
        """Ask how far an upload is. Raises NotFoundError."""
        return self._connection.ask(Call("GET", path, answer_seconds=_look_seconds(self._connection.timeouts)), _State)

    def _send_rest(self, state: _State, content: Content, digest: Digest, on_bytes: OnBytes) -> None:
        """Send what is missing; where nothing is, have the zoo put the pieces together. Raises ConflictError."""
        left = content.size - state.offset
        headers = {**TUS, "Upload-Offset": str(state.offset), "Content-Type": OCTETS, "Content-Length": str(left)}
        seconds = self._connection.timeouts.stall_seconds
        call = Call("PATCH", f"/uploads/{state.id}", headers=headers, answer_seconds=seconds)
        try:
            self._connection.send_stream(call, content=content.chunks(on_bytes, start=state.offset))
        except NotFoundError as error:
            self._sessions.forget(digest)
            raise ConflictError(f"the upload is gone ({error.detail})") from error


class _Patience:
    """How long to go on without anything arriving. Putting the pieces of a large file together takes a while."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self._timeouts = connection, connection.timeouts
        self._offset, self._farthest, self._failures, self._whole = -1, -1, 0, False
        self._moved_at = time.monotonic()

    def note(self, state: _State) -> None:
        """Take in how far the upload is."""
        if state.offset > self._offset:
            self._offset, self._moved_at, self._failures = state.offset, time.monotonic(), 0
        self._whole = state.whole

    def watching(self, on_bytes: OnBytes) -> OnBytes:
        """The same watcher; bytes that go farther than any before are a sign of life."""

        def watch(done: int, total: int | None) -> None:
            if done > self._farthest:
                self._farthest, self._moved_at = done, time.monotonic()
                self._whole = done == total  # until the zoo says otherwise
            on_bytes(done, total)

        return watch

    def wait(self, error: Exception) -> None:
        """Pause before the next try.

        Raises:
            ServiceUnreachableError: nobody has answered yet.
            TransferBrokenError: this has gone on for too long.
        """
        if isinstance(error, ServiceUnreachableError) and self._offset < 0 and not was_answered(error):
            raise error
        self._failures += 1
        if self._is_over(error):
            raise TransferBrokenError(
                f"sending to {self._connection.url} stopped after {max(self._offset, 0)} bytes "
                f"({str(error) or type(error).__name__}); try again, it goes on there"
            ) from error
        self._timeouts.pause(self._failures, error)

    def _is_over(self, error: Exception) -> bool:
        """Whether to give up; while the zoo works with the bytes that it has, that takes as long as any answer may."""
        if self._whole or isinstance(error, UploadLockedError):
            return time.monotonic() - self._moved_at > self._timeouts.answer_seconds
        reason = error.__cause__ if isinstance(error.__cause__, httpx.TransportError) else error
        if isinstance(reason, httpx.ConnectError):
            return time.monotonic() - self._moved_at > self._timeouts.restart_seconds
        # What comes next is a look: all bytes may be there, and the zoo busy with them since.
        return self._timeouts.are_over(reason, moved_at=self._moved_at, next_seconds=_look_seconds(self._timeouts))


def _look_seconds(timeouts: Timeouts) -> float:
    """How long to wait for being told how far an upload is."""
    return min(timeouts.look_seconds, timeouts.stall_seconds)
