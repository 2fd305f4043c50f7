"""Sending to addresses that others named: never into a private network, never for long."""

import socket
import threading
import time
from collections.abc import Iterator

import pytest

from registry.webhooks import is_public
from storage import outgoing
from storage.outgoing import HttpSender
from tests.receiver import Receiver, receiving

PRIVATE = [
    *("127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1"),
    *("224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1", "198.18.0.1"),
    *("::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12:3456::1", "ff02::1", "2001:db8::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "2002:7f00:1::", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe"),
    *("192.0.0.1", "192.0.0.8", "192.0.0.170", "::ffff:192.0.0.8", "fec0::1", "feff::1"),
]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_of_a_private_network_is_not_public_whatever_it_is_wrapped_in(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0x7f.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]"])
def test_nothing_is_sent_to_this_machine_however_it_is_written(receiver: Receiver, host: str) -> None:
    sent = HttpSender(private=False)(f"http://{host}:{receiver.port}/", body=b"{}", headers={})
    assert sent.status is None
    assert "public internet" in str(sent.error) or "cannot be sent to" in str(sent.error)
    assert receiver.requests == []


def test_one_private_address_among_others_is_enough_to_refuse(monkeypatch: pytest.MonkeyPatch) -> None:
    look_up(monkeypatch, {"both.test": ["1.1.1.1", "10.0.0.1"]})
    sent = HttpSender(private=False)("http://both.test/", body=b"", headers={})
    assert "both.test is 10.0.0.1" in str(sent.error)


def test_a_name_is_looked_up_once_and_the_checked_address_is_connected_to(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = look_up(monkeypatch, {"receiver.test": ["127.0.0.1"]})
    url = f"http://receiver.test:{receiver.port}/hook?x=1"
    sent = HttpSender(private=True)(url, body=b'{"a":1}', headers={"webhook-id": "m"})
    assert (sent.status, sent.error) == (204, None)
    assert asked == ["receiver.test"]
    received = receiver.requests[0]
    assert (received.path, received.body) == ("/hook?x=1", b'{"a":1}')
    assert received.headers["host"] == f"receiver.test:{receiver.port}"
    assert received.headers["webhook-id"] == "m"


def look_up(monkeypatch: pytest.MonkeyPatch, known: dict[str, list[str]]) -> list[str]:
    """Have some names stand for some addresses; gives which were asked for."""
    asked, real = [], socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        if host not in known:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in known[host]]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


@pytest.mark.parametrize("url", ["http://no-such-host.invalid/", "http://127.0.0.1:1/", "http://[::1", "https://"])
def test_what_cannot_be_reached_is_told_and_raises_nothing(url: str) -> None:
    sent = HttpSender(private=True)(url, body=b"", headers={})
    assert sent.status is None
    assert sent.error


def test_proxies_of_the_environment_are_not_used(receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    assert HttpSender(private=True)(receiver.url, body=b"", headers={}).status == 204


def test_a_receiver_that_drips_its_answer_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outgoing, "TOTAL_SECONDS", 0.5)
    with socket.create_server(("127.0.0.1", 0)) as server:
        stop = threading.Event()
        thread = threading.Thread(target=drip, args=(server, stop), daemon=True)
        thread.start()
        began = time.monotonic()
        sent = HttpSender(private=True)(f"http://127.0.0.1:{server.getsockname()[1]}/", body=b"", headers={})
        stop.set()
        thread.join()
    assert sent.status is None
    assert time.monotonic() - began < 8


def drip(server: socket.socket, stop: threading.Event) -> None:
    """Answer one byte at a time, for as long as anybody listens."""
    connection, _ = server.accept()
    with connection:
        connection.sendall(b"HTTP/1.1 200 OK\r\nX-Long: ")
        try:
            while not stop.wait(0.05):
                connection.sendall(b"x")
        except OSError:
            return


def test_a_long_answer_is_not_read_to_its_end() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer_at_length, args=(server,), daemon=True)
        thread.start()
        sent = HttpSender(private=True)(f"http://127.0.0.1:{server.getsockname()[1]}/", body=b"", headers={})
        thread.join(10)
    assert sent.status == 200
    assert not thread.is_alive()


def answer_at_length(server: socket.socket) -> None:
    """Answer with a body of a terabyte, as far as anybody reads it."""
    connection, _ = server.accept()
    with connection:
        try:
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000000\r\n\r\n")
            while True:
                connection.sendall(b"x" * 65536)
        except OSError:
            return
