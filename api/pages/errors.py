"""Errors on pages: read by people, so they are HTML, whatever the REST door says of the same error."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from api.pages.rendering import error_page
from registry.errors import InvalidInputError, ZooError
from registry.wrong_values import told

POLLED = "/rank/{query_id}/progress"
STOP_POLLING = 286
"""htmx takes a piece with this status and asks no more."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class PageRoute(APIRoute):
    """A route whose errors are pages, or the piece of a page that was asked for."""

    def get_route_handler(self) -> Handler:
        """The handler, with its errors shown."""
        handler = super().get_route_handler()

        async def shown(request: Request) -> Response:
            try:
                return await handler(request)
            except ZooError as error:
                return _told(request, error)
            except RequestValidationError as error:
                return error_page(request, _invalid(error))
            except HTTPException as error:
                if isinstance(error.__cause__, ZooError):
                    return error_page(request, error.__cause__)
                return error_page(request, InvalidInputError(str(error.detail)))

        return shown


def _told(request: Request, error: ZooError) -> Response:
    """The page of an error; a piece that is asked for again and again is not asked for any more."""
    page = error_page(request, error)
    if getattr(request.scope.get("route"), "path", None) == POLLED:
        page.status_code = STOP_POLLING
    return page


def _invalid(error: RequestValidationError) -> InvalidInputError:
    """The fields that the framework refused."""
    listed = "; ".join(told(wrong, str(wrong["loc"][-1])) for wrong in error.errors())
    return InvalidInputError(f"the address or the form is not valid: {listed}; go back and correct it")
