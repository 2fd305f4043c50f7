"""Who asks, and whether they may: a token, or, where the service has none, this machine alone."""

import hmac
import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie
from urllib.parse import urlsplit

from api.actions import Wanted
from registry.access import ALLOWED, NOBODY, OPERATOR, Action, Identity
from registry.errors import ForbiddenError, InvalidTokenError, UnauthenticatedError
from registry.settings import Settings
from registry.tokens import TokenService, cookie_of, is_well_formed

COOKIE = "zoo_pages"
READS = ("GET", "HEAD")
LOCAL_HOST = re.compile(r"(localhost|127\.0\.0\.1|\[::1\])(:[0-9]{1,5})?", re.IGNORECASE)
FORWARDED = (
    "forwarded",
    "via",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-server",
    "x-real-ip",
    "cf-connecting-ip",
    "true-client-ip",
)
"""What proxies add to requests that they pass on; one that adds none of it cannot be told from this machine."""
UNGUESSABLE_CHARACTERS = 20
"""Of so many, a token of the operator's is let in whoever else tries tokens from the same address."""
OWN_SITE = ("same-origin", "none")
"""What browsers say in Sec-Fetch-Site of requests that no other page made."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What a request says of where it comes from."""

    method: str
    path: str
    headers: Mapping[str, str]
    address: str | None

    @property
    def secret(self) -> str | None:
        """The token that the request brings; None where it brings none, or something else than a token."""
        return bearer_of(self.headers)

    @property
    def cookie(self) -> str | None:
        """What a browser was given in the place of a token."""
        try:
            found = SimpleCookie(self.headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return None
        return None if found is None else found.value


def bearer_of(headers: Mapping[str, str]) -> str | None:
    """The token of a request's headers; None where they have none, or something else than a token."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "bearer" else None


class Gate:
    """Finds out who asks. Nothing of the request's body has been read yet."""

    def __init__(self, settings: Settings, tokens: TokenService) -> None:
        """Args: settings: the operator's token, and whether there is need of any; tokens: those that are kept."""
        self._settings, self._tokens = settings, tokens
        self._token = settings.token.get_secret_value() if settings.token is not None else None

    def is_costly(self, caller: Caller, wanted: Wanted | None) -> bool:
        """Whether the database may have to be asked who this is."""
        secret = caller.secret
        if secret is not None:
            return is_well_formed(secret) and not self._tokens.remembers(secret)
        return _is_visit(caller, wanted) and caller.cookie is not None

    def is_guess(self, caller: Caller) -> bool:
        """Whether the caller might find out a short token of the operator's by trying; nobody can with 256 bits."""
        short = self._token is not None and len(self._token) < UNGUESSABLE_CHARACTERS
        return short and caller.secret is not None and not is_well_formed(caller.secret)

    def identify(self, caller: Caller, wanted: Wanted | None) -> Identity:
        """Who asks.

        Raises:
            InvalidTokenError: there is a token, and it is not known here, or over.
            ForbiddenError: without tokens, somebody else than this machine asks, or a web page from elsewhere.
        """
        secret = caller.secret
        if self._settings.is_open:
            _check_local(caller, wanted)
            known = secret is not None and is_well_formed(secret)
            return self._tokens.identify(secret) if known and secret is not None else OPERATOR
        if secret is not None:
            return self._holder(secret)
        return self._visitor(caller) if _is_visit(caller, wanted) else NOBODY

    def _holder(self, secret: str) -> Identity:
        """Who holds a token; the time taken does not tell how much of the operator's was right."""
        if self._token is not None and hmac.compare_digest(secret.encode(), self._token.encode()):
            return OPERATOR
        return self._tokens.identify(secret)

    def _visitor(self, caller: Caller) -> Identity:
        """Who looks at a page; nobody where the cookie is not known any more."""
        cookie = caller.cookie
        if cookie is None:
            return NOBODY
        if self._token is not None and hmac.compare_digest(cookie.encode(), cookie_of(self._token).encode()):
            return OPERATOR
        try:
            return self._tokens.identify_cookie(cookie)
        except InvalidTokenError:
            return NOBODY


def check_permission(
    identity: Identity, action: Action | None, *, namespace: str | None = None, public_reads: bool = True
) -> None:
    """Let somebody do something, or not.

    Args:
        identity: who asks.
        action: what kind of request it is; None where there is no such request.
        namespace: what it is about.
        public_reads: whether those who did not say who they are may read.

    Raises:
        UnauthenticatedError: whoever asks did not say who they are, and has to.
        ForbiddenError: this identity may not do it.
    """
    if identity.role is None:
        if not (action is Action.LOOK or (action is Action.READ and public_reads)):
            raise UnauthenticatedError("this request needs a token; send `Authorization: Bearer TOKEN`, or `zoo login`")
    elif action is not None and not identity.may(action):
        able = ", ".join(role for role, allowed in ALLOWED.items() if action in allowed)
        raise ForbiddenError(f"a token of the role {identity.role} may not {action}; this takes one of: {able}")
    elif action is Action.PUBLISH and namespace is not None and not identity.covers(namespace):
        inside = ", ".join(identity.namespaces or ())[:500]
        raise ForbiddenError(f"the token is for {inside}, not for the namespace {namespace[:100]!r}")


def _is_visit(caller: Caller, wanted: Wanted | None) -> bool:
    """Whether somebody looks at a page; only then a cookie counts, so no other site can write through a browser."""
    return caller.method in READS and wanted is not None and wanted.is_page


def _check_local(caller: Caller, wanted: Wanted | None) -> None:
    """Raises ForbiddenError unless this machine asks this machine.

    A foreign Host means that a name of somebody else was pointed here (DNS rebinding); a foreign Origin or
    Sec-Fetch-Site, that a page from elsewhere sends requests through the browser of whoever sits here; a forwarded
    request, that a proxy on this machine lets others in.
    """
    if caller.address is not None and not _is_loopback(caller.address):
        raise ForbiddenError(f"{caller.address} is not this machine; set ZOO_TOKEN to let others in")
    host = caller.headers.get("host", "")
    if not LOCAL_HOST.fullmatch(host):
        raise ForbiddenError(f"Host {host[:200]!r} is not this machine; use http://127.0.0.1, or set ZOO_TOKEN")
    forwarded = next((name for name in FORWARDED if name in caller.headers), None)
    if forwarded is not None:
        raise ForbiddenError(f"the header {forwarded} says that a proxy lets others in; set ZOO_TOKEN for that")
    origin = caller.headers.get("origin")
    if origin is not None and _authority(origin) != host.lower():
        raise ForbiddenError(f"a page of {origin[:200]!r} may not use this service; set ZOO_TOKEN to let others in")
    site = caller.headers.get("sec-fetch-site", "none")
    if site not in OWN_SITE and not _follows_link(caller, wanted):
        raise ForbiddenError(f"a page from elsewhere ({site[:50]}) may not use this service; open it by its address")


def _follows_link(caller: Caller, wanted: Wanted | None) -> bool:
    """Whether somebody follows a link from elsewhere to a page, which shows it to them alone."""
    navigates = caller.headers.get("sec-fetch-mode") == "navigate" and "origin" not in caller.headers
    whole = caller.headers.get("sec-fetch-dest") == "document"
    return navigates and whole and _is_visit(caller, wanted)


def _authority(origin: str) -> str | None:
    """Host and port of an Origin header; None for one that is none, such as `null`."""
    try:
        parts = urlsplit(origin)
    except ValueError:
        return None
    return parts.netloc.lower() if parts.scheme in ("http", "https") else None


def _is_loopback(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
