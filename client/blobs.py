"""Blobs over HTTP: bytes under their own digest."""

from pathlib import Path

from client.cache import Cache, digest_of_bytes, digest_of_file
from client.connection import Call, Connection
from client.transfer import Content, OnBytes, download, ignore_bytes, upload
from client.uploads import RESUMABLE_BYTES, Uploads
from registry.errors import NotFoundError
from registry.names import Digest


class Blobs:
    """Bytes of the zoo."""

    def __init__(self, connection: Connection, cache: Cache, uploads: Uploads) -> None:
        """Args: connection: the zoo; cache: where fetched bytes are kept; uploads: how large ones are sent."""
        self._connection, self._cache, self._uploads = connection, cache, uploads

    def put(self, source: Path | bytes, *, on_bytes: OnBytes = ignore_bytes) -> Digest:
        """Send a file or bytes, unless the zoo has them already; a large file goes on where it broke off.

        Raises:
            TransferBrokenError: it broke off every time.
            StorageFullError: the zoo has no room.
        """
        digest = digest_of_bytes(source) if isinstance(source, bytes) else digest_of_file(source)
        content = Content(source)
        if self.has(digest):
            return digest
        if content.size >= RESUMABLE_BYTES:
            self._uploads.send(content, digest, on_bytes=on_bytes)
        else:
            upload(self._connection, Call("PUT", f"/blobs/{digest}"), content, on_bytes=on_bytes)
        return digest

    def has(self, digest: Digest) -> bool:
        """Whether the zoo has these bytes."""
        try:
            self._connection.send(Call("HEAD", f"/blobs/{digest}"))
        except NotFoundError:
            return False
        return True

    def fetch(self, digest: Digest, *, on_bytes: OnBytes = ignore_bytes) -> Path:
        """A verified file with these bytes, in the cache. Raises NotFoundError, WrongDigestError."""
        return download(self._connection, f"/blobs/{digest}", digest=digest, cache=self._cache, on_bytes=on_bytes)

    def download(self, digest: Digest, *, to: Path, on_bytes: OnBytes = ignore_bytes) -> Path:
        """A verified file with these bytes in the folder ``to``, and nowhere else: it is the caller's to remove.

        Raises:
            NotFoundError: the zoo does not have them.
            WrongDigestError: the zoo sent other bytes; nothing was kept.
            TransferBrokenError: it broke off again and again; asked again with the same folder, it goes on there.
        """
        return download(self._connection, f"/blobs/{digest}", digest=digest, cache=Cache(to), on_bytes=on_bytes)
