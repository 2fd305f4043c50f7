"""Proxies of the environment: requests go through them, but for hosts that are excepted, and this machine."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import httpx
import pytest

from client.connection import KEEP_ALIVE
from client.errors import ServiceUnreachableError
from client.proxies import proxied
from client.zoo import Zoo
from registry.errors import NotFoundError, SettingsError
from tests.client.conftest import FAST

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


class ForwardProxy(ThreadingHTTPServer):
    """Answers plain requests in the place of every host, and opens no tunnel."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Passing)
        self.asked: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Passing(BaseHTTPRequestHandler):
    server: ForwardProxy

    def do_GET(self) -> None:
        self.server.asked.append(f"GET {self.path}")
        self.answer(404, b'{"code": "not_found", "detail": "said the zoo"}')

    def do_CONNECT(self) -> None:
        self.server.asked.append(f"CONNECT {self.path}")
        self.answer(403, b"")

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[ForwardProxy]:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    with ForwardProxy() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def ask(url: str, cache: Path) -> None:
    with Zoo(url, "secret", cache=cache, timeouts=FAST) as zoo:
        zoo.jobs.show(1)


@pytest.mark.parametrize("variable", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_requests_go_through_the_proxy(
    proxy: ForwardProxy, cache: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    monkeypatch.setenv(variable, proxy.url if variable == "HTTP_PROXY" else proxy.url.removeprefix("http://"))
    with pytest.raises(NotFoundError, match="said the zoo"):
        ask("http://zoo.test:8000", cache)
    assert proxy.asked == ["GET http://zoo.test:8000/jobs/1"]


def test_a_proxy_that_opens_no_tunnel_is_told_as_such(
    proxy: ForwardProxy, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    with pytest.raises(ServiceUnreachableError, match=r"the proxy .* does not reach https://zoo\.test \(403"):
        ask("https://zoo.test", cache)
    assert proxy.asked == ["CONNECT zoo.test:443"]


@pytest.mark.parametrize(
    ("url", "excepted"),
    [
        ("http://zoo.test:9", "zoo.test"),
        ("http://zoo.test:9", "other.test, .test"),
        ("http://zoo.test:9", "*"),
        ("http://zoo.test:9", "zoo.test:9"),
        ("http://192.0.2.7:9", "192.0.2.7"),
        ("http://192.0.2.7:9", "192.0.2.0/24"),
        ("http://127.0.0.1:9", ""),
        ("http://localhost:9", ""),
        ("http://[::1]:9", ""),
    ],
)
def test_hosts_that_are_excepted_and_this_machine_are_asked_directly(
    proxy: ForwardProxy, cache: Path, monkeypatch: pytest.MonkeyPatch, url: str, excepted: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", excepted)
    with pytest.raises(ServiceUnreachableError):
        ask(url, cache)
    assert proxy.asked == []


@pytest.mark.parametrize("excepted", ["other.test", "est", "192.0.2.0/24", "not a network/9"])
def test_other_hosts_are_not_excepted(
    proxy: ForwardProxy, cache: Path, monkeypatch: pytest.MonkeyPatch, excepted: str
) -> None:
    monkeypatch.setenv("HTTP_PROXY", proxy.url)
    monkeypatch.setenv("NO_PROXY", excepted)
    with pytest.raises(NotFoundError):
        ask("http://zoo.test", cache)


@pytest.mark.parametrize(
    ("address", "words"),
    [("socks5://127.0.0.1:1080", r"ALL_PROXY names a SOCKS proxy.*httpx\[socks\]"), ("ftp://x", "ALL_PROXY is not")],
)
def test_a_proxy_that_cannot_be_used_is_told_to_whoever_needs_it(
    proxy: ForwardProxy, cache: Path, monkeypatch: pytest.MonkeyPatch, address: str, words: str
) -> None:
    monkeypatch.setenv("ALL_PROXY", address)
    with pytest.raises(SettingsError, match=words):
        ask("http://zoo.test", cache)
    with pytest.raises(ServiceUnreachableError):
        ask("http://127.0.0.1:9", cache)


def test_a_dead_peer_is_noticed_through_a_proxy_too(proxy: ForwardProxy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", proxy.url)
    way = proxied("zoo.test", socket_options=KEEP_ALIVE)["https://"]
    assert isinstance(way, httpx.HTTPTransport)
    assert way._pool._socket_options == KEEP_ALIVE
