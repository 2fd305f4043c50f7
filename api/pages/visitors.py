"""Who may see what pages tell of somebody's data.

A browser sends the token once, from a form's field, in the header. What it gets back is a cookie that lets it look:
made from the token, but good for nothing else, and gone with it. Scripts cannot read it, other sites cannot send it.
"""

from starlette.requests import Request
from starlette.responses import Response

from api.access import COOKIE, bearer_of
from registry.tokens import cookie_of

KEPT_SECONDS = 30 * 24 * 3600


def remember(response: Response, request: Request) -> None:
    """Give the cookie to a visitor whom the door has let write with a token."""
    secret = bearer_of(request.headers)
    if not secret:
        return
    response.set_cookie(
        COOKIE,
        cookie_of(secret),
        max_age=KEPT_SECONDS,
        path="/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )
