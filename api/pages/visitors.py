"""Who may see what pages tell of somebody's data.

The door asks for the token with everything that writes; a browser sends it from a form's field, in the header. What
it gets back is a cookie that lets it look: made from the token, but good for nothing else. Scripts cannot read it, and
other sites cannot send it.
"""

import hashlib
import hmac

from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import Response

from api.inputs import identity_of
from registry.access import OPERATOR, Identity
from registry.errors import UnauthenticatedError

COOKIE = "zoo_pages"
PURPOSE = b"module-zoo pages, to look"
KEPT_SECONDS = 30 * 24 * 3600


def check_visitor(request: Request, token: SecretStr | None) -> Identity:
    """Who looks. Raises UnauthenticatedError unless there is no token, or the request has the cookie that it gives."""
    if token is None:
        return identity_of(request)
    given = request.cookies.get(COOKIE, "")
    if not hmac.compare_digest(given.encode(), _cookie(token).encode()):
        raise UnauthenticatedError("this page tells of somebody's data; give the token of this zoo to see it")
    return OPERATOR


def remember(response: Response, request: Request, token: SecretStr | None) -> None:
    """Give the cookie to a visitor whom the door has let write."""
    if token is None:
        return
    response.set_cookie(
        COOKIE,
        _cookie(token),
        max_age=KEPT_SECONDS,
        path="/rank",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def _cookie(token: SecretStr) -> str:
    """What the cookie holds; the token cannot be found from it other than by guessing."""
    return hmac.new(token.get_secret_value().encode(), PURPOSE, hashlib.sha256).hexdigest()
