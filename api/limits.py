"""How many requests are taken in a minute: of one token, or of one address where there is no token.

A bucket holds a minute's requests and fills up steadily. Each process counts for itself, in memory: of several
replicas, each takes as many. The headers are those of the IETF draft on RateLimit header fields for HTTP.
"""

import ipaddress
import math
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from api.actions import DEAR, Wanted
from registry.access import Identity
from registry.errors import RateLimitedError
from registry.settings import Settings

WINDOW_SECONDS = 60
MOST_BUCKETS = 10_000
FAILURES_PER_MINUTE = 30
IPV6_PREFIX = 64
"""Whoever has one IPv6 address has as many as this leaves; they count as one."""


@dataclass(slots=True)
class _Bucket:
    """How much was left, and when."""

    left: float
    at: float


@dataclass(slots=True)
class Buckets:
    """Buckets of one kind, the least used of which are forgotten when there are too many."""

    name: str
    quota: int
    clock: Callable[[], float] = time.monotonic
    _buckets: OrderedDict[str, _Bucket] = field(default_factory=OrderedDict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def policy(self) -> str:
        """The policy as `RateLimit-Policy` has it."""
        return f'"{self.name}";q={self.quota};w={WINDOW_SECONDS}'

    def take(self, key: str) -> float:
        """Take one; gives what is left then, which is below 0 where there was none to take."""
        with self._lock:
            bucket = self._filled(key)
            if bucket.left < 1:
                return bucket.left - 1
            bucket.left -= 1
            return bucket.left

    def is_empty(self, key: str) -> bool:
        """Whether there is none to take; takes none."""
        with self._lock:
            return self._filled(key).left < 1

    def seconds_until(self, left: float, wanted: float) -> int:
        """Whole seconds until so much is there again."""
        return max(0, math.ceil((wanted - left) * WINDOW_SECONDS / self.quota))

    def state(self, left: float) -> str:
        """What is left, and when all of it is there again, as `RateLimit` has it."""
        return f'"{self.name}";r={max(0, math.floor(left))};t={self.seconds_until(left, self.quota)}'

    def _filled(self, key: str) -> _Bucket:
        now = self.clock()
        bucket = self._buckets.pop(key, None) or _Bucket(self.quota, now)
        gained = (now - bucket.at) * self.quota / WINDOW_SECONDS
        bucket.left, bucket.at = min(float(self.quota), bucket.left + max(0.0, gained)), now
        self._buckets[key] = bucket
        if len(self._buckets) > MOST_BUCKETS:
            self._buckets.popitem(last=False)
        return bucket


class Limits:
    """The limits of one service; where the settings have none, everything is taken."""

    def __init__(self, settings: Settings, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Args: settings: how many are taken; clock: seconds that only grow."""
        self._failures = Buckets("failures", FAILURES_PER_MINUTE, clock)
        self._of_all = _buckets("requests", settings.requests_a_minute, clock)
        self._of_dear = _buckets("questions", settings.questions_a_minute, clock)

    def check_failures(self, address: str | None) -> None:
        """Raises RateLimitedError where an address has brought too many tokens that are none."""
        if self._failures.is_empty(_network(address)):
            raise RateLimitedError(
                f"more than {FAILURES_PER_MINUTE} tokens in a minute from this address were not known; wait a minute",
                retry_after_seconds=self._failures.seconds_until(0, 1),
            )

    def note_failure(self, address: str | None) -> None:
        """Count a token that is none."""
        self._failures.take(_network(address))

    def take(self, identity: Identity, address: str | None, wanted: Wanted | None) -> Mapping[str, str]:
        """Count a request; gives the headers that tell what is left. Raises RateLimitedError, with them."""
        key = counted_as(identity, address)
        dear = wanted is not None and wanted.route in DEAR
        counted = [each for each in (self._of_all, self._of_dear if dear else None) if each is not None]
        told: dict[str, str] = {}
        for buckets in counted:
            left = buckets.take(key)
            told = {
                "RateLimit-Policy": ", ".join(each.policy for each in counted),
                "RateLimit": ", ".join(part for part in (told.get("RateLimit"), buckets.state(left)) if part),
            }
            if left < 0:
                raise _refused(buckets, left + 1, told)
        return told


class RefusedError(RateLimitedError):
    """The same, with the headers that go with it."""

    def __init__(self, detail: str, *, retry_after_seconds: int, headers: Mapping[str, str]) -> None:
        """Args: headers: what is left of which limit."""
        super().__init__(detail, retry_after_seconds=retry_after_seconds)
        self.headers = headers


def _refused(buckets: Buckets, left: float, headers: Mapping[str, str]) -> RefusedError:
    seconds = max(1, buckets.seconds_until(left, 1))
    setting = "ZOO_RATE_LIMIT" if buckets.name == "requests" else "ZOO_QUESTION_LIMIT"
    detail = f"more than {buckets.quota} {buckets.name} in a minute ({setting}); try again in {seconds} s"
    return RefusedError(detail, retry_after_seconds=seconds, headers=headers)


def _buckets(name: str, quota: int, clock: Callable[[], float]) -> Buckets | None:
    return Buckets(name, quota, clock) if quota else None


def counted_as(identity: Identity, address: str | None) -> str:
    """Who counts as one caller: a token, its owner where it is none that is kept, an address where there is none."""
    return identity.token_id or (identity.owner if identity.role is not None else _network(address))


def _network(address: str | None) -> str:
    """What counts as one address."""
    try:
        parsed = ipaddress.ip_address(address or "")
    except ValueError:
        return address or "unknown"
    if parsed.version == 4:
        return str(parsed)
    if parsed.ipv4_mapped is not None:
        return str(parsed.ipv4_mapped)
    return str(ipaddress.ip_network((int(parsed), IPV6_PREFIX), strict=False))
