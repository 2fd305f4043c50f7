"""What read-only files have in common whose bytes are fetched when they are asked for."""

import io


class SizedFile(io.RawIOBase):
    """A seekable file of a known size. Who inherits reads from `at`, and moves it on."""

    def __init__(self, size_bytes: int) -> None:
        """Args: size_bytes: how many bytes there are."""
        super().__init__()
        self.size_bytes, self.at = size_bytes, 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def tell(self) -> int:
        """Where the next byte is read from."""
        return self.at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a place. Raises ValueError when it lies before the first byte."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self.at, io.SEEK_END: self.size_bytes}[whence]
        if start + offset < 0:
            raise ValueError(f"there is no byte {start + offset}")
        self.at = start + offset
        return self.at
