"""Webhooks: who wants to be told of changes, and where."""

import base64
import ipaddress
import secrets
from datetime import datetime
from functools import partial
from urllib.parse import urlsplit

from registry.audit import note
from registry.errors import Fault, InvalidInputError, NotFoundError
from registry.key_records import RequestKey
from registry.ports import Begin, Clock, UnitOfWork
from registry.records import Page
from registry.request_keys import Made, once
from registry.settings import Settings
from registry.webhook_records import Delivery, NewWebhook, SecretWebhook, Webhook

SECRET_BYTES = 32
SECRET_PREFIX = "whsec_"
MOST_WEBHOOKS = 100


class WebhookService:
    """The rules about webhooks. Each belongs to whoever made it; nobody else finds it."""

    def __init__(self, begin: Begin, clock: Clock, settings: Settings) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock, self._settings = begin, clock, settings

    def create(self, wanted: NewWebhook, *, owner: str, key: RequestKey | None = None) -> SecretWebhook:
        """Send changes to an address from now on; the secret is told this once.

        Raises:
            InvalidInputError: it is no address that may be sent to, or the owner has too many.
            KeyReusedError: the key was used for another request.
        """
        check_address(wanted.url, private=self._settings.webhook_private)
        now = self._clock()
        with self._begin() as work:
            create = partial(self._create, work, wanted, owner=owner, at=now)
            return once(work, key, create, model=SecretWebhook, at=now).model

    def _create(self, work: UnitOfWork, wanted: NewWebhook, *, owner: str, at: datetime) -> Made[SecretWebhook]:
        if len(work.webhooks.list(owner=owner, limit=MOST_WEBHOOKS, cursor=None).items) >= MOST_WEBHOOKS:
            raise InvalidInputError(f"you have {MOST_WEBHOOKS} webhooks already; remove one first")
        secret = base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()
        webhook = SecretWebhook(
            **dict(wanted),
            id=f"webhook-{secrets.token_hex(8)}",
            owner=owner,
            created_at=at,
            serial=work.changes.serial(),
            next_at=at,
            secret=SECRET_PREFIX + secret,
        )
        work.webhooks.add(webhook)
        note(work, "create_webhook", webhook.id, at=at, by=owner)
        return Made(webhook, created=True)

    def get(self, webhook_id: str, *, owner: str | None) -> Webhook:
        """One webhook, without its secret. Raises NotFoundError."""
        with self._begin() as work:
            return _webhook(work, webhook_id, owner)

    def list(self, *, owner: str | None, limit: int, cursor: str | None) -> Page[Webhook]:
        """This owner's webhooks, newest first, without their secrets."""
        with self._begin() as work:
            return work.webhooks.list(owner=owner, limit=limit, cursor=cursor)

    def remove(self, webhook_id: str, *, owner: str | None, by: str) -> None:
        """Send nothing there any more, and forget what was sent. Raises NotFoundError."""
        with self._begin() as work:
            _webhook(work, webhook_id, owner)
            work.webhooks.remove(webhook_id)
            note(work, "remove_webhook", webhook_id, at=self._clock(), by=by)

    def deliveries(self, webhook_id: str, *, owner: str | None, limit: int, cursor: str | None) -> Page[Delivery]:
        """What was sent of late, newest first. Raises NotFoundError."""
        with self._begin() as work:
            _webhook(work, webhook_id, owner)
            return work.webhooks.deliveries(webhook_id, limit=limit, cursor=cursor)


def check_address(url: str, *, private: bool) -> None:
    """Raises InvalidInputError unless this is an http(s) address with a host, not of a private network by its looks.

    What a name stands for is looked at when something is sent, every time.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError as error:
        raise _bad_address(url, str(error)) from error
    if parts.scheme not in ("http", "https") or not host or not url.isascii() or not url.isprintable() or " " in url:
        raise _bad_address(url, "write https://host/path")
    if parts.username is not None or parts.fragment:
        raise _bad_address(url, "leave out user, password and fragment; deliveries are signed")
    if not private and (host == "localhost" or _is_private_literal(host)):
        raise _bad_address(url, f"{host} is not on the public internet; ZOO_WEBHOOK_PRIVATE=true allows it")


def is_public(address: str) -> bool:
    """Whether an IP address is one of the public internet, whatever it is wrapped in."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        meant = ip.ipv4_mapped or _translated(ip)
        if meant is not None:
            return is_public(str(meant))
        tunnelled = ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if tunnelled is not None and not is_public(str(tunnelled)):
            return False
    if any(ip in network for network in NOT_PUBLIC):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


NOT_PUBLIC = (ipaddress.IPv4Network("192.0.0.0/24"), ipaddress.IPv6Network("fec0::/10"))
"""Kept for protocols, and for sites, by the IETF; `is_global` knows only some of them, and not in every Python."""

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


def _translated(ip: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a translator would reach by this one."""
    return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF) if ip in NAT64 else None


def _is_private_literal(host: str) -> bool:
    try:
        return not is_public(host)
    except ValueError:
        return False  # a name


def _bad_address(url: str, why: str) -> InvalidInputError:
    detail = f"{url[:200]!r} cannot be sent to: {why}"
    return InvalidInputError(detail, faults=[Fault("/url", detail, "bad_address")])


def _webhook(work: UnitOfWork, webhook_id: str, owner: str | None) -> Webhook:
    found = work.webhooks.get(webhook_id, owner=owner)
    if found is None:
        raise NotFoundError(f"there is no webhook {webhook_id[:200]!r}; GET /webhooks lists yours")
    return found
