"""An object as a file: read in ranges that grow as reading goes on, never held as a whole."""

import io
from collections.abc import Callable

from typing_extensions import Buffer

FIRST_BYTES = 256 * 1024
MOST_BYTES = 8 * 1024 * 1024

Fetch = Callable[[int, int], Buffer]
"""Gives the bytes from a place to before another one."""


class RangedFile(io.RawIOBase):
    """A seekable file over ranged reads.

    Each range is read ahead of what is asked for: 256 KiB after a jump, for headers and directories are small, then
    twice as much each time that reading goes straight on, up to 8 MiB, for a whole file should not cost a request a
    piece.
    """

    def __init__(self, fetch: Fetch, *, size_bytes: int) -> None:
        """Args: fetch: reads one range; size_bytes: how many bytes there are."""
        super().__init__()
        self._fetch, self._size_bytes = fetch, size_bytes
        self._at = 0
        self._first, self._window = 0, memoryview(b"")
        self._ahead_bytes = FIRST_BYTES

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read from."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place. Raises ValueError when it lies before the first byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"there is no byte {start + offset}")
        self._at = start + offset
        return self._at

    def readinto(self, buffer: Buffer) -> int:
        """Fill a buffer as far as what was read ahead goes; 0 at the end."""
        wanted = memoryview(buffer).cast("B")
        if self._at >= self._size_bytes or not wanted:
            return 0
        if not self._first <= self._at < self._first + len(self._window):
            self._read_ahead(len(wanted))
        start = self._at - self._first
        given = self._window[start : start + len(wanted)]
        wanted[: len(given)] = given
        self._at += len(given)
        return len(given)

    def _read_ahead(self, wanted_bytes: int) -> None:
        """Read the range that begins here."""
        goes_on = self._at == self._first + len(self._window) > 0
        self._ahead_bytes = min(2 * self._ahead_bytes, MOST_BYTES) if goes_on else FIRST_BYTES
        past = min(self._at + max(self._ahead_bytes, min(wanted_bytes, MOST_BYTES)), self._size_bytes)
        self._window = memoryview(b"")  # let go of the last range before the next one comes
        self._window = memoryview(self._fetch(self._at, past)).cast("B")
        self._first = self._at
        if not self._window:
            raise EOFError(f"the object ended at byte {self._at} of {self._size_bytes}")
