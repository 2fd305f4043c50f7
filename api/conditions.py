"""Conditional requests: entity tags, If-None-Match, If-Match; and what Prefer asks for (RFC 9110, RFC 7240)."""

import re
from collections.abc import Mapping

from starlette.requests import Request
from starlette.responses import Response

from registry.errors import PreconditionFailedError, PreconditionRequiredError
from registry.modules import AliasCondition

TAG = re.compile(r'\s*(W/)?"([^"]*)"\s*')
WAIT = re.compile(r'\s*wait\s*=\s*"?([0-9]{1,9})"?\s*', re.IGNORECASE)
ANSWER_NOW = re.compile(r"\s*respond-async\s*", re.IGNORECASE)


def not_modified(request: Request, *, etag: str, headers: Mapping[str, str]) -> Response | None:
    """304 when the caller has this version already, else None."""
    if not matches(request.headers.get("if-none-match"), etag):
        return None
    kept = {name: value for name, value in headers.items() if name in ("ETag", "Cache-Control", "Vary")}
    return Response(status_code=304, headers=kept)


def matches(header: str | None, etag: str) -> bool:
    """Whether a list of entity tags, compared weakly, or ``*`` holds this one."""
    if header is None:
        return False
    return header.strip() == "*" or etag in {tag for _, tag in _tags(header)}


def alias_condition(request: Request, *, present: int | None, alias: str) -> AliasCondition:
    """What `If-Match` or `If-None-Match` asks of an alias before it moves.

    Args:
        request: the request.
        present: the alias's revision now, None where there is none yet.
        alias: its name, for the sentence.

    Raises:
        PreconditionRequiredError: neither header is there.
        PreconditionFailedError: `If-Match` names no revision the alias may have.
    """
    wanted, unwanted = request.headers.get("if-match"), request.headers.get("if-none-match")
    if wanted is not None:
        return AliasCondition(revision=_revision(wanted, present=present, alias=alias))
    if unwanted is not None and unwanted.strip() == "*":
        return AliasCondition(must_be_new=True)
    raise PreconditionRequiredError(
        f'moving alias {alias!r} needs If-Match: "REVISION" as GET gave it in ETag, or If-None-Match: * for a new one'
    )


def _revision(header: str, *, present: int | None, alias: str) -> int:
    """The revision that must still hold. Raises PreconditionFailedError when none can."""
    if header.strip() == "*" and present is not None:
        return present
    revisions = {int(tag) for weak, tag in _tags(header) if not weak and tag.isdecimal() and len(tag) < 19}
    if not revisions:
        raise PreconditionFailedError(f"If-Match {header[:200]!r} is no revision of alias {alias!r}")
    return present if present in revisions and present is not None else min(revisions)


def _tags(header: str) -> list[tuple[bool, str]]:
    """Each entity tag of a header, and whether it is weak."""
    found = (TAG.fullmatch(part) for part in header.split(","))
    return [(match[1] is not None, match[2]) for match in found if match is not None]


def preferred_wait(request: Request, *, default: float, limit: float) -> float:
    """How many seconds the caller is ready to wait, at most `limit`."""
    asked = _asked_wait(request)
    return min(default if asked is None else asked, limit)


def preference_applied(request: Request, seconds: float) -> dict[str, str]:
    """The header that says which wait was applied, where one was asked for."""
    return {} if _asked_wait(request) is None else {"Preference-Applied": f"wait={seconds:g}"}


def _asked_wait(request: Request) -> float | None:
    """How many seconds `Prefer` asks to wait; None where it does not say, though it may say other things."""
    for preference in ",".join(request.headers.getlist("prefer")).split(","):
        if ANSWER_NOW.fullmatch(preference):
            return 0.0
        asked = WAIT.fullmatch(preference)
        if asked is not None:
            return float(asked[1])
    return None
