"""Who may ask what: a bearer token, or, without one, this machine alone."""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from pydantic import SecretStr

from registry.errors import ForbiddenError, UnauthenticatedError

OWNER = "admin"
"""Whoever holds the token, or sits at this machine; accounts come with the issue on trust."""

READS = ("GET", "HEAD", "OPTIONS")
PRIVATE = re.compile(
    r"/(blobs|datasets|tasks|queries|jobs|transferability|reusability|calibration|audit|webhooks)(?![A-Za-z0-9_-])"
)
"""How paths begin whose answers tell of somebody's data; all else may be read by everyone. What follows the word is
not looked at, for a router may take more for the same path than we do, such as a line's end."""

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of where it comes from."""

    method: str
    path: str
    headers: Mapping[str, str]
    address: str | None


def needs_token(method: str, path: str) -> bool:
    """Whether a request writes, or reads what is private."""
    return method not in READS or PRIVATE.match(path) is not None


def check_access(caller: Caller, token: SecretStr | None) -> None:
    """Let a request in or not; nothing of its body has been read yet.

    Args:
        caller: where it comes from.
        token: the service's token; None on a machine of one's own.

    Raises:
        UnauthenticatedError: a token is needed, and there is none or another one.
        ForbiddenError: without tokens, somebody else than this machine asks, or a web page from elsewhere.
    """
    if token is None:
        _check_local(caller)
    elif needs_token(caller.method, caller.path):
        _check_token(caller.headers.get("authorization"), token.get_secret_value())


def _check_token(authorization: str | None, token: str) -> None:
    """Raises UnauthenticatedError unless the header holds the token; the time taken does not tell how much of it."""
    if authorization is None:
        raise UnauthenticatedError("this request needs a token; send `Authorization: Bearer TOKEN`, or `zoo login`")
    scheme, _, given = authorization.partition(" ")
    right = hmac.compare_digest(given.strip().encode(), token.encode())
    if scheme.lower() != "bearer" or not right:
        raise UnauthenticatedError("the token is not known here; check ZOO_TOKEN, or `zoo login` again")


def _check_local(caller: Caller) -> None:
    """Raises ForbiddenError unless this machine asks this machine.

    A foreign Host means that a name of somebody else was pointed here (DNS rebinding); a foreign Origin, that a
    page from elsewhere sends requests through the browser of whoever sits here.
    """
    if caller.address is not None and not _is_loopback(caller.address):
        raise ForbiddenError(f"{caller.address} is not this machine; set ZOO_TOKEN to let others in")
    host = caller.headers.get("host", "")
    if not _is_local_authority(host):
        raise ForbiddenError(f"Host {host[:200]!r} is not this machine; use http://127.0.0.1, or set ZOO_TOKEN")
    origin = caller.headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != host:
        raise ForbiddenError(f"a page of {origin[:200]!r} may not use this service; set ZOO_TOKEN to let others in")


def _is_local_authority(host: str) -> bool:
    """Whether a Host header names this machine, with any port."""
    try:
        return urlsplit(f"//{host}").hostname in LOCAL_NAMES
    except ValueError:
        return False


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
