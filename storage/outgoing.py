"""Sending requests to addresses that others named: never into a private network, never for long, never followed."""

import socket
import threading
from collections.abc import Mapping

import httpx

from registry.webhook_records import Sent
from registry.webhooks import is_public

SECONDS = 10.0
"""The longest that connecting, sending or one read may take."""

TOTAL_SECONDS = 20.0
"""Then the connection is closed, whatever it does; a read that is under way ends with it or after `SECONDS`."""

ANSWER_BYTES = 16 * 1024


class HttpSender:
    """Sends a body with POST. The address is looked up, checked, and then connected to: it cannot change in between."""

    def __init__(self, *, private: bool) -> None:
        """Args: private: whether addresses of private networks may be sent to."""
        self._private = private

    def __call__(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Sent:
        """The status that was answered, or why there is none. Redirects are answers like others; bodies are ignored."""
        try:
            address = self._address(httpx.URL(url))
        except (OSError, ValueError, httpx.InvalidURL) as error:
            return Sent(None, f"the address cannot be sent to: {error}"[:500])
        try:
            return _post(httpx.URL(url), address, body=body, headers=headers)
        except (httpx.HTTPError, OSError, RuntimeError) as error:
            return Sent(None, f"no answer: {str(error) or type(error).__name__}"[:500])

    def _address(self, url: httpx.URL) -> str:
        """The first address of a host. Raises OSError for an unknown host, ValueError if any address is private."""
        port = url.port or (443 if url.scheme == "https" else 80)
        found = [entry[4][0] for entry in socket.getaddrinfo(url.host, port, type=socket.SOCK_STREAM)]
        hidden = [address for address in map(str, found) if not is_public(address)]
        if hidden and not self._private:
            raise ValueError(f"{url.host} is {hidden[0]}, which is not on the public internet (ZOO_WEBHOOK_PRIVATE)")
        return str(found[0])


def _post(url: httpx.URL, address: str, *, body: bytes, headers: Mapping[str, str]) -> Sent:
    """Send to an address what is meant for a host; certificates are checked against the host."""
    with httpx.Client(timeout=SECONDS, trust_env=False, follow_redirects=False) as client:
        request = client.build_request(
            "POST",
            url.copy_with(host=address),
            content=body,
            headers={**headers, "Host": url.netloc.decode(), "User-Agent": "module-zoo"},
            extensions={"sni_hostname": url.host} if url.scheme == "https" else {},
        )
        deadline = threading.Timer(TOTAL_SECONDS, client.close)
        deadline.daemon = True
        deadline.start()
        try:
            response = client.send(request, stream=True)
            _read_some(response)
        finally:
            deadline.cancel()
    return Sent(response.status_code)


def _read_some(response: httpx.Response) -> None:
    """Read the start of an answer, so that the other side is done sending; the rest is not wanted."""
    count = 0
    for chunk in response.iter_raw(4096):
        count += len(chunk)
        if count >= ANSWER_BYTES:
            break
    response.close()
