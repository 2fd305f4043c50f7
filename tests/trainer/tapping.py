"""A wire tap: a proxy in front of a service that keeps every byte its clients send."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class Tap:
    """A tapped address, and what was sent to it."""

    url: str
    _sent: bytearray = field(default_factory=bytearray)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sent(self) -> bytes:
        """All bytes that clients have sent so far, those of parallel connections mixed piece by piece."""
        with self._lock:
            return bytes(self._sent)

    def keep(self, piece: bytes) -> None:
        """Write a piece down."""
        with self._lock:
            self._sent += piece


@contextmanager
def tapped(url: str) -> Iterator[Tap]:
    """A proxy to an address while the block runs."""
    parts = urlsplit(url)
    target = (parts.hostname or "127.0.0.1", parts.port or 80)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        tap = Tap(f"http://127.0.0.1:{listener.getsockname()[1]}")
        threading.Thread(target=_listen, args=(listener, target, tap), daemon=True).start()
        try:
            yield tap
        finally:
            listener.shutdown(socket.SHUT_RDWR)


def _listen(listener: socket.socket, target: tuple[str, int], tap: Tap) -> None:
    """Connect every client through, until the listener is closed."""
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(target)
            threading.Thread(target=_pass, args=(client, server, tap), daemon=True).start()
            threading.Thread(target=_pass, args=(server, client, None), daemon=True).start()


def _pass(source: socket.socket, sink: socket.socket, tap: Tap | None) -> None:
    """Pass bytes on in one direction until that ends."""
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            if tap is not None:
                tap.keep(piece)
            sink.sendall(piece)
    for end in (source, sink):
        with suppress(OSError):
            end.shutdown(socket.SHUT_RDWR)
        end.close()
