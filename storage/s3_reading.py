"""An object as a file: read in ranges that grow as reading goes on, never held as a whole."""

from collections.abc import Callable

from typing_extensions import Buffer

from registry.sized_file import SizedFile

FIRST_BYTES = 256 * 1024
MOST_BYTES = 8 * 1024 * 1024

Fetch = Callable[[int, int], Buffer]
"""Gives the bytes from a place to before another one."""


class RangedFile(SizedFile):
    """A seekable file over ranged reads.

    Each range is read ahead of what is asked for: 256 KiB after a jump, for headers and directories are small, then
    twice as much each time that reading goes straight on, up to 8 MiB, for a whole file should not cost a request a
    piece.
    """

    def __init__(self, fetch: Fetch, *, size_bytes: int) -> None:
        """Args: fetch: reads one range; size_bytes: how many bytes there are."""
        super().__init__(size_bytes)
        self._fetch = fetch
        self._first, self._window = 0, memoryview(b"")
        self._ahead_bytes = FIRST_BYTES

    def readinto(self, buffer: Buffer) -> int:
        """Fill a buffer as far as what was read ahead goes; 0 at the end."""
        wanted = memoryview(buffer).cast("B")
        if self.at >= self.size_bytes or not wanted:
            return 0
        if not self._first <= self.at < self._first + len(self._window):
            self._read_ahead(len(wanted))
        start = self.at - self._first
        given = self._window[start : start + len(wanted)]
        wanted[: len(given)] = given
        self.at += len(given)
        return len(given)

    def _read_ahead(self, wanted_bytes: int) -> None:
        """Read the range that begins here."""
        goes_on = self.at == self._first + len(self._window) > 0
        self._ahead_bytes = min(2 * self._ahead_bytes, MOST_BYTES) if goes_on else FIRST_BYTES
        past = min(self.at + max(self._ahead_bytes, min(wanted_bytes, MOST_BYTES)), self.size_bytes)
        self._window = memoryview(b"")  # let go of the last range before the next one comes
        self._window = memoryview(self._fetch(self.at, past)).cast("B")
        self._first = self.at
        if not self._window:
            raise EOFError(f"the object ended at byte {self.at} of {self.size_bytes}")
