"""What came or went whole and had its digest: from then on each of its chunks is judged by itself, and soon."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from xxhash import xxh3_128, xxh3_128_digest

from registry.names import Digest
from registry.ports import BlobWriter
from registry.records import BlobInfo

CHUNK_BYTES = 1024 * 1024
CHECK_BYTES = 16
BLOB_BYTES = 272
"""What a blob takes in memory beside its checks; with one check 283 bytes were measured."""

MOST_BYTES = 16 * 1024 * 1024
"""So much memory is kept: enough for a terabyte in large blobs, or for 58,000 small ones."""


def check_of(chunk: bytes) -> bytes:
    """The check of a chunk. It tells damage, not intent: who can write to this process may do anything."""
    return xxh3_128_digest(chunk)


@dataclass(frozen=True, slots=True)
class Checks:
    """The size of a blob, and the checks of its chunks, one after the other."""

    size_bytes: int
    joined: bytes

    def of(self, number: int) -> bytes:
        """The check of a chunk, counted from 0."""
        return self.joined[number * CHECK_BYTES : (number + 1) * CHECK_BYTES]

    @property
    def kept_bytes(self) -> int:
        """How much memory keeping them takes."""
        return BLOB_BYTES + len(self.joined)


class CheckMaker:
    """Makes the checks of bytes that pass, in pieces of any size."""

    def __init__(self) -> None:
        self._made = bytearray()
        self._size_bytes = 0
        self._current = xxh3_128()

    def update(self, data: bytes) -> None:
        """Add bytes."""
        rest = memoryview(data)
        while rest:
            room = CHUNK_BYTES - self._size_bytes % CHUNK_BYTES
            self._current.update(rest[:room])
            self._size_bytes += len(rest[:room])
            rest = rest[room:]
            if not self._size_bytes % CHUNK_BYTES:
                self._made += self._current.digest()
                self._current.reset()

    def made(self) -> Checks:
        """Those of all bytes so far."""
        last = self._current.digest() if self._size_bytes % CHUNK_BYTES else b""
        return Checks(self._size_bytes, bytes(self._made) + last)


class KnownChunks:
    """Checks of the chunks of blobs that came to this process whole, or left it whole, and had their digest.

    A check is made of the very bytes that the digest was found of, and is kept in memory alone, so nothing that is
    damaged later can be taken for right: neither bytes nor checks. Bytes under a digest never change, so no check is
    ever renewed.
    """

    def __init__(self, most_bytes: int = MOST_BYTES) -> None:
        """Args: most_bytes: how much memory they take; those of blobs that were read longest ago go first."""
        self._most_bytes = most_bytes
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, Checks] = OrderedDict()
        self._kept_bytes = 0

    def of(self, blob: Digest) -> Checks | None:
        """What is known of a blob, if anything is."""
        with self._lock:
            if blob in self._kept:
                self._kept.move_to_end(blob)
            return self._kept.get(blob)

    def keep(self, blob: Digest, checks: Checks) -> None:
        """Remember the checks of a blob whose digest was right; not of one that is too large by itself."""
        if checks.kept_bytes > self._most_bytes:
            return
        with self._lock:
            if blob not in self._kept:
                self._kept_bytes += checks.kept_bytes
            self._kept[blob] = checks
            while self._kept_bytes > self._most_bytes:
                self._kept_bytes -= self._kept.popitem(last=False)[1].kept_bytes

    def watched(self, writer: BlobWriter) -> BlobWriter:
        """The same writer, whose blob is known once it is kept."""
        return _WatchedWriter(writer, self)


class _WatchedWriter:
    """Makes checks of all that it writes."""

    def __init__(self, writer: BlobWriter, known: KnownChunks) -> None:
        self._writer, self._known, self._checks = writer, known, CheckMaker()

    def write(self, chunk: bytes) -> None:
        """Append bytes."""
        self._writer.write(chunk)
        self._checks.update(chunk)

    def digest(self) -> Digest:
        """Of the bytes written so far."""
        return self._writer.digest()

    def commit(self, expected: Digest | None = None) -> BlobInfo:
        """Keep the blob, and what is known of it. Raises what the writer raises."""
        blob = self._writer.commit(expected)
        self._known.keep(blob.digest, self._checks.made())
        return blob
