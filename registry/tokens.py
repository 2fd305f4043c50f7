"""Tokens: made by an admin, shown once, kept as hashes, and asked about with every request."""

import hashlib
import hmac
import secrets
import threading
import zlib
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from registry.access import Identity, TokenRole
from registry.audit import note
from registry.errors import Fault, InvalidInputError, InvalidTokenError, NotFoundError
from registry.moments import in_utc
from registry.ports import Begin, Clock
from registry.records import STAFF, Page
from registry.token_records import Introduction, KeptToken, NewToken, Token, TokenScope

PREFIX = "zoo_"
SECRET_BYTES = 32
SECRET_CHARACTERS, CHECK_CHARACTERS = 43, 6
DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
COOKIE_PURPOSE = b"module-zoo pages, to look"

USE_NOTED_EVERY = timedelta(minutes=1)
REMEMBERED = timedelta(seconds=5)
"""For so long a token that another replica revoked may still be taken here."""
MOST_REMEMBERED = 10_000


def new_secret() -> str:
    """A token nobody can guess: 256 random bits, and a checksum by which leaks and slips of the hand are told."""
    random = _digits(int.from_bytes(secrets.token_bytes(SECRET_BYTES)), SECRET_CHARACTERS)
    return PREFIX + random + _checksum(random)


def is_well_formed(secret: str) -> bool:
    """Whether this may be a token: prefix, length and checksum are right."""
    random, check = secret[len(PREFIX) : -CHECK_CHARACTERS], secret[-CHECK_CHARACTERS:]
    whole = len(secret) == len(PREFIX) + SECRET_CHARACTERS + CHECK_CHARACTERS
    return whole and secret.isascii() and secret.startswith(PREFIX) and check == _checksum(random)


def hash_of(secret: str) -> str:
    """What is kept of a secret. One hash is enough, as nobody can try 256 bits; so it need not be slow or salted."""
    return hashlib.sha256(secret.encode()).hexdigest()


def cookie_of(secret: str) -> str:
    """What a browser keeps of a token: enough to look, and the token cannot be found from it other than by guessing."""
    return hmac.new(secret.encode(), COOKIE_PURPOSE, hashlib.sha256).hexdigest()


def _digits(number: int, length: int) -> str:
    """A number in base 62, with leading zeros."""
    digits = ""
    for _ in range(length):
        number, digit = divmod(number, len(DIGITS))
        digits = DIGITS[digit] + digits
    return digits


def _checksum(random: str) -> str:
    return _digits(zlib.crc32(random.encode()), CHECK_CHARACTERS)


@dataclass(frozen=True, slots=True)
class Presented:
    """What somebody showed: the hash of a token's secret, or of the cookie that is made from it."""

    kind: Literal["secret", "cookie"]
    hashed: str


@dataclass(frozen=True, slots=True)
class _Remembered:
    """A token that was found a moment ago."""

    token: Token
    at: datetime


class TokenService:
    """The rules about tokens: admins make them, nobody can widen one, and one that is gone lets nobody in."""

    def __init__(self, begin: Begin, clock: Clock) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock = begin, clock
        self._lock = threading.Lock()
        self._remembered: OrderedDict[Presented, _Remembered] = OrderedDict()

    def create(self, scope: TokenScope, *, by: str = STAFF) -> NewToken:
        """Make a token. Raises InvalidInputError for one that could never be used, or an admin within namespaces."""
        now = self._clock()
        _check_scope(scope, now)
        secret = new_secret()
        token = Token(**dict(scope), id=f"token-{secrets.token_hex(8)}", created_at=now)
        kept = KeptToken(token=token, secret_hash=hash_of(secret), cookie_hash=hash_of(cookie_of(secret)))
        with self._begin() as work:
            work.tokens.add(kept)
            note(work, "create_token", token.id, at=now, by=by, detail=f"{scope.role} {scope.owner}")
        return NewToken(**dict(token), secret=secret)

    def list(self, *, limit: int, cursor: str | None) -> Page[Token]:
        """All tokens, newest first, those that have expired too."""
        with self._begin() as work:
            return work.tokens.list(limit=limit, cursor=cursor)

    def revoke(self, token_id: str, *, identity: Identity) -> None:
        """End a token, at once. Raises NotFoundError; for a token of somebody else, unless an admin asks, too."""
        if not identity.is_admin and identity.token_id != token_id:
            raise _no_token(token_id)
        with self._begin() as work:
            if not work.tokens.remove(token_id):
                raise _no_token(token_id)
            note(work, "revoke_token", token_id, at=self._clock(), by=identity.owner)
        with self._lock:
            self._remembered.clear()

    def introduce(self, identity: Identity) -> Introduction:
        """Who somebody is. Raises NotFoundError when the token went at this moment."""
        token = None
        if identity.token_id is not None:
            with self._begin() as work:
                token = work.tokens.get(identity.token_id)
            if token is None:
                raise _no_token(identity.token_id)
        return Introduction(owner=identity.owner, role=identity.role, namespaces=identity.namespaces, token=token)

    def has_admin(self) -> bool:
        """Whether a token can manage this zoo now."""
        with self._begin() as work:
            return work.tokens.has_admin(at=self._clock())

    def identify(self, secret: str) -> Identity:
        """Who holds a token; the use is noted, at most once a minute. Raises InvalidTokenError."""
        if not is_well_formed(secret):
            raise InvalidTokenError("the token is not known here; check ZOO_TOKEN, or `zoo login` again")
        return self._identity(Presented("secret", hash_of(secret)))

    def identify_cookie(self, cookie: str) -> Identity:
        """Who holds the token that a cookie was made from. Raises InvalidTokenError."""
        return self._identity(Presented("cookie", hash_of(cookie)))

    def remembers(self, secret: str) -> bool:
        """Whether this token was found a moment ago, so that asking about it costs nothing."""
        return self._recall(Presented("secret", hash_of(secret)), self._clock()) is not None

    def _identity(self, presented: Presented) -> Identity:
        now = self._clock()
        token = self._recall(presented, now) or self._found(presented, now)
        if token.expires_at is not None and token.expires_at <= now:
            raise InvalidTokenError(f"the token {token.name!r} expired at {token.expires_at:%Y-%m-%d %H:%M} UTC")
        return Identity(token.owner, token.role, namespaces=token.namespaces, token_id=token.id)

    def _found(self, presented: Presented, now: datetime) -> Token:
        """A token as the database has it, its use noted. Raises InvalidTokenError."""
        with self._begin() as work:
            find = work.tokens.by_secret if presented.kind == "secret" else work.tokens.by_cookie
            token = find(presented.hashed)
            if token is None:
                raise InvalidTokenError("the token is not known here; check ZOO_TOKEN, or `zoo login` again")
            if token.last_used_at is None or now - token.last_used_at >= USE_NOTED_EVERY:
                work.tokens.note_use(token.id, at=now)
        with self._lock:
            self._remembered[presented] = _Remembered(token, now)
            while len(self._remembered) > MOST_REMEMBERED:
                self._remembered.popitem(last=False)
        return token

    def _recall(self, presented: Presented, now: datetime) -> Token | None:
        with self._lock:
            remembered = self._remembered.get(presented)
        fresh = remembered is not None and timedelta(0) <= now - remembered.at < REMEMBERED
        return remembered.token if fresh and remembered is not None else None


def _check_scope(scope: TokenScope, now: datetime) -> None:
    """Raises InvalidInputError where a token would be of no use, or would say less than it allows."""
    if scope.expires_at is not None and scope.expires_at.tzinfo is None:
        raise _wrong("/expires_at", f"expires_at {scope.expires_at} has no time zone; write it as 2030-01-31T12:00:00Z")
    try:
        over = scope.expires_at is not None and in_utc(scope.expires_at) <= now
    except ValueError as error:
        raise _wrong("/expires_at", f"expires_at {error}") from error
    if over:
        raise _wrong("/expires_at", f"expires_at {scope.expires_at} is over; name a moment to come, or null for none")
    if scope.owner == STAFF:
        raise _wrong(
            "/owner", f"the name {STAFF!r} is the zoo's own, which owns jobs that nobody asked for; take another"
        )
    if scope.role in (TokenRole.ADMIN, TokenRole.WORKER) and scope.namespaces is not None:
        raise _wrong("/namespaces", f"the role {scope.role} is not kept to namespaces; leave namespaces out")


def _wrong(pointer: str, detail: str) -> InvalidInputError:
    return InvalidInputError(detail, faults=[Fault(pointer, detail)])


def _no_token(token_id: str) -> NotFoundError:
    return NotFoundError(f"there is no token {token_id[:200]!r}; GET /tokens lists them")
