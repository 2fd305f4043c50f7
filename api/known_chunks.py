"""What came or went whole and had its digest: from then on each of its chunks is judged by itself, and soon."""

import threading
from collections import OrderedDict
from dataclasses import dataclass

from xxhash import xxh3_128, xxh3_128_digest

from registry.names import Digest

CHUNK_BYTES = 1024 * 1024
MOST_CHUNKS = 256 * 1024
"""Of so many chunks the checks are remembered, which is 16 MB of checks and 256 GiB of blobs."""

check_of = xxh3_128_digest
"""The check of a chunk: 16 bytes. It tells damage, not intent: who can write to this process may do anything."""


@dataclass(frozen=True, slots=True)
class Checks:
    """The size of a blob, and the check of each of its chunks, in order."""

    size_bytes: int
    of_chunks: tuple[bytes, ...]


class CheckMaker:
    """Makes the checks of bytes that pass, in pieces of any size."""

    def __init__(self) -> None:
        self._made: list[bytes] = []
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
                self._made.append(self._current.digest())
                self._current.reset()

    def made(self) -> Checks:
        """Those of all bytes so far."""
        last = (self._current.digest(),) if self._size_bytes % CHUNK_BYTES else ()
        return Checks(self._size_bytes, (*self._made, *last))


class KnownChunks:
    """Checks of the chunks of blobs that came to this process whole, or left it whole, and had their digest.

    A check is made of the very bytes that the digest was found of, and is kept in memory alone, so nothing that is
    damaged later can be taken for right: neither bytes nor checks. Bytes under a digest never change, so no check is
    ever renewed.
    """

    def __init__(self, most_chunks: int = MOST_CHUNKS) -> None:
        """Args: most_chunks: how many checks are kept; those of blobs that were read longest ago go first."""
        self._most_chunks = most_chunks
        self._lock = threading.Lock()
        self._kept: OrderedDict[Digest, Checks] = OrderedDict()
        self._count = 0

    def of(self, blob: Digest) -> Checks | None:
        """What is known of a blob, if anything is."""
        with self._lock:
            if blob in self._kept:
                self._kept.move_to_end(blob)
            return self._kept.get(blob)

    def keep(self, blob: Digest, checks: Checks) -> None:
        """Remember the checks of a blob whose digest was right; not of one that is too large by itself."""
        if len(checks.of_chunks) > self._most_chunks:
            return
        with self._lock:
            if blob not in self._kept:
                self._count += len(checks.of_chunks)
            self._kept[blob] = checks
            while self._count > self._most_chunks:
                self._count -= len(self._kept.popitem(last=False)[1].of_chunks)
