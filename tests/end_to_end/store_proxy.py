"""A way to the object store that notes what is asked, and fails when it is told to."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass
class StoreProxy:
    """Passes bytes on. The next connections wait for `delays`, and end after so many bytes of `breaks`.

    While it is closed every connection ends at once.
    """

    url: str
    heads: list[str] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    delays: list[float] = field(default_factory=list)
    closed: bool = False

    def ranges(self) -> list[str | None]:
        """The Range header of each request."""
        lines = [[line for line in head.splitlines() if line.lower().startswith("range:")] for head in self.heads]
        return [found[0].partition(":")[2].strip() if found else None for found in lines]


@contextmanager
def proxy_to(endpoint: str) -> Iterator[StoreProxy]:
    """A proxy to a store, on a port of its own."""
    target = urlsplit(endpoint)
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = StoreProxy(f"http://127.0.0.1:{server.getsockname()[1]}")
        threading.Thread(
            target=_accept, args=(server, (target.hostname or "", target.port or 80), proxy), daemon=True
        ).start()
        yield proxy


def _accept(server: socket.socket, target: tuple[str, int], proxy: StoreProxy) -> None:
    with suppress(OSError):  # the server is closed when the test ends
        while True:
            peer, _ = server.accept()
            threading.Thread(target=_carry, args=(peer, target, proxy), daemon=True).start()


def _carry(peer: socket.socket, target: tuple[str, int], proxy: StoreProxy) -> None:
    """One request and its answer; the connection then ends."""
    if proxy.closed:
        peer.close()
        return
    with suppress(OSError), peer, socket.create_connection(target) as store:
        head = peer.recv(65536)
        proxy.heads.append(head.decode("latin-1"))
        left = proxy.breaks.pop(0) if proxy.breaks else 2**62
        time.sleep(proxy.delays.pop(0) if proxy.delays else 0.0)
        store.sendall(head.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        while left > 0 and (chunk := store.recv(min(65536, left))):
            peer.sendall(chunk)
            left -= len(chunk)
