"""The proxies that the environment names: HTTP_PROXY, HTTPS_PROXY, ALL_PROXY, and NO_PROXY for hosts without one."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network
from urllib.request import getproxies

import httpx

from registry.errors import SettingsError

SocketOption = tuple[int, int, int]

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")
SCHEMES = ("http", "https", "all")


def proxied(host: str, *, socket_options: Sequence[SocketOption]) -> dict[str, httpx.BaseTransport | None]:
    """Ways to send requests by the patterns of `httpx.Client(mounts=...)`; None stands for the direct one.

    Args:
        host: where most requests go.
        socket_options: of the connections to a proxy.
    """
    found = getproxies()
    ways = {f"{name}://": _through(name, found[name], socket_options) for name in SCHEMES if found.get(name)}
    excepted = [entry.strip() for entry in found.get("no", "").split(",") if entry.strip()]
    if "*" in excepted or not ways:
        return {}
    patterns = [pattern for entry in (*excepted, *LOOPBACK) for pattern in _patterns(entry, host)]
    return {**ways, **dict.fromkeys(patterns)}


def _through(name: str, address: str, socket_options: Sequence[SocketOption]) -> httpx.BaseTransport:
    """The way through one proxy."""
    variable = f"{name.upper()}_PROXY"
    try:
        return httpx.HTTPTransport(
            proxy=address if "://" in address else f"http://{address}", socket_options=socket_options
        )
    except ImportError:
        return _NoWay(f"{variable} names a SOCKS proxy, which needs one more package: pip install 'httpx[socks]'")
    except (ValueError, httpx.InvalidURL) as error:
        return _NoWay(f"{variable} is not the address of a proxy ({error}); write http://host:port")


class _NoWay(httpx.BaseTransport):
    """Says why a proxy cannot be used, to whoever would need it."""

    def __init__(self, why: str) -> None:
        self._why = why

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises SettingsError."""
        raise SettingsError(f"{self._why}, or set NO_PROXY={request.url.host}")


def _patterns(entry: str, host: str) -> list[str]:
    """The patterns of one entry of NO_PROXY: a host and all below it, an address, or a network that the host is in."""
    if "/" in entry:
        return [f"all://{host}"] if _is_in(host, entry) else []
    name = entry.removeprefix("*").removeprefix(".")
    if _is_address(name):
        return [f"all://[{name}]" if ":" in name else f"all://{name}"]
    return [f"all://{name}" if name.startswith("[") else f"all://*{name}"]


def _is_in(host: str, network: str) -> bool:
    try:
        return ip_address(host.strip("[]")) in ip_network(network, strict=False)
    except ValueError:
        return False


def _is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True
