"""Every error as one shape: application/problem+json (RFC 9457), those of the framework included."""

from collections.abc import Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import islice

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match

from api.limits import RefusedError
from registry.errors import (
    BusyError,
    CorruptBlobError,
    InvalidInputError,
    InvalidTokenError,
    RateLimitedError,
    UnauthenticatedError,
    ZooError,
)
from registry.fault_list import escaped
from registry.frozen import Frozen
from registry.wrong_values import told

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_SECONDS = 1
FAULTS_TOLD = 100
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
METHOD_NOT_ALLOWED = 405
CHALLENGE = 'Bearer realm="zoo"'
NO_JSON = "this request takes JSON; send it with Content-Type: application/json"

FRAMEWORK_CODES = {
    400: "bad_request",
    404: "not_found",
    405: "method_not_allowed",
    406: "not_acceptable",
    413: "too_large",
    415: "unsupported_media_type",
    416: "range_not_satisfiable",
    500: "internal_error",
}
"""Stable codes of errors that no rule of the zoo raises."""

OTHER_CODE = "http_error"
"""The code of every other status."""


class ProblemFault(Frozen):
    """One thing wrong: where, as a JSON pointer into the body, or /query/NAME, /path/NAME, /header/NAME."""

    pointer: str
    detail: str
    code: str


class Problem(Frozen):
    """What went wrong, for programs (`code`) and for people (`detail`)."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: tuple[ProblemFault, ...] = ()
    request_id: str


def problem_of(error: ZooError) -> Problem:
    """A zoo error as a problem, without a request's id yet."""
    faults = tuple(
        ProblemFault(pointer=fault.pointer, detail=fault.detail, code=fault.code)
        for fault in error.faults[:FAULTS_TOLD]
    )
    return Problem(
        type=f"/errors/{error.code}",
        title=error.title,
        status=error.status,
        detail=error.detail,
        code=error.code,
        errors=faults,
        request_id="",
    )


def framework_problem(status: int, detail: str) -> Problem:
    """A problem that no rule of the zoo raises: an unknown path, a wrong method, an unexpected error."""
    code = FRAMEWORK_CODES.get(status, OTHER_CODE)
    title = HTTPStatus(status).phrase
    return Problem(type=f"/errors/{code}", title=title, status=status, detail=detail, code=code, request_id="")


def respond(problem: Problem, request_id: str, *, headers: Mapping[str, str] | None = None) -> Response:
    """A problem as the answer to a request, with the headers its status asks for."""
    faults = tuple(
        fault.model_copy(update={"pointer": _writable(fault.pointer), "detail": _writable(fault.detail)})
        for fault in problem.errors
    )
    said = {"detail": _writable(problem.detail), "errors": faults, "request_id": request_id}
    told = problem.model_copy(update=said)
    sent = {"Cache-Control": "no-store", **(headers or {})}
    if problem.status == UnauthenticatedError.status:
        sent["WWW-Authenticate"] = challenge(problem.code)
    if problem.status in (RateLimitedError.status, BusyError.status):
        sent.setdefault("Retry-After", str(RETRY_AFTER_SECONDS))
    return Response(told.model_dump_json(), status_code=problem.status, headers=sent, media_type=MEDIA_TYPE)


def respond_to(error: ZooError, request_id: str) -> Response:
    """A zoo error as the answer to a request, with what it says of when to come back."""
    headers: dict[str, str] = {}
    if isinstance(error, RateLimitedError):
        headers["Retry-After"] = str(error.retry_after_seconds)
    if isinstance(error, RefusedError):
        headers |= error.headers
    return respond(problem_of(error), request_id, headers=headers)


def challenge(code: str) -> str:
    """What a refusal for want of a token asks for (RFC 6750), and whether it is because of the one that came."""
    return f'{CHALLENGE}, error="invalid_token"' if code == InvalidTokenError.code else CHALLENGE


def _writable(text: str) -> str:
    """A text that quotes what was sent, with half characters, which UTF-8 cannot write, as their numbers."""
    return text.encode("utf-8", "backslashreplace").decode()


def request_id_of(request: Request) -> str:
    """The id that the door gave this request."""
    return str(request.scope.get("zoo.request_id", ""))


def install(app: FastAPI) -> None:
    """Turn every error that the app raises into a problem."""
    app.add_exception_handler(ZooError, _zoo_error)
    app.add_exception_handler(RequestValidationError, _validation_error)
    app.add_exception_handler(HTTPException, _http_error)


def _zoo_error(request: Request, error: Exception) -> Response:
    """A rule of the zoo was broken."""
    if not isinstance(error, ZooError):
        raise error
    if isinstance(error, CorruptBlobError):
        request.app.state.services.metrics.damaged()
    return respond_to(error, request_id_of(request))


def _http_error(request: Request, error: Exception) -> Response:
    """The framework refused; a body that could not be read hides the zoo error which says why."""
    if not isinstance(error, HTTPException):
        raise error
    if isinstance(error.__cause__, ZooError):
        return _zoo_error(request, error.__cause__)
    detail = f"{request.method} {request.url.path[:200]}: {error.detail}; GET /openapi.json lists what there is"
    if error.status_code not in (404, METHOD_NOT_ALLOWED):
        detail = str(error.detail)
    headers = dict(error.headers or {})
    if error.detail == HTTPStatus.METHOD_NOT_ALLOWED.phrase:  # the framework's; whoever words a refusal names them all
        headers["Allow"] = ", ".join(_allowed(request))
    return respond(framework_problem(error.status_code, detail), request_id_of(request), headers=headers)


def _allowed(request: Request) -> list[str]:
    """Every method that some route has for this path; the framework names those of one route only."""
    found = {
        method
        for method in METHODS
        for route in request.app.routes
        if route.matches({**request.scope, "method": method})[0] is Match.FULL
    }
    return [method for method in METHODS if method in found or (method == "HEAD" and "GET" in found)]


def _validation_error(request: Request, error: Exception) -> Response:
    """Fields are wrong; each is named."""
    if not isinstance(error, RequestValidationError):
        raise error
    if isinstance(error.body, bytes):
        return respond(framework_problem(415, NO_JSON), request_id_of(request))
    count, faults = len(error.errors()), tuple(islice(_faults(error), FAULTS_TOLD))
    more = f" (and {count - 1} more, see errors)" if count > 1 else ""
    detail = f"the request is not valid: {faults[0].detail}{more}"
    problem = problem_of(InvalidInputError(detail)).model_copy(update={"errors": faults})
    return respond(problem, request_id_of(request))


def _faults(error: RequestValidationError) -> Iterator[ProblemFault]:
    """Each wrong field, and what was sent for it, worded when it is asked for."""
    for wrong in error.errors():
        place, *steps = wrong["loc"]
        if place == "body":
            path = "/".join(escaped(step) for step in _existing(steps, error.body))
            pointer = f"/{path}" if path else ""
        else:
            path = "/".join(escaped(step) for step in steps)
            pointer = f"/{place}/{path}"
        yield ProblemFault(pointer=pointer, detail=told(wrong, path or "the body"), code=str(wrong["type"]))


def _existing(steps: Sequence[str | int], body: object) -> Iterator[str | int]:
    """The steps of a validator's location that the body has; it also names the kinds it tried in between."""
    for place, step in enumerate(steps):
        if isinstance(body, dict) and step in body:
            body = body[step]
        elif isinstance(body, list):
            if not isinstance(step, int) or step >= len(body):
                continue
            body = body[step]
        elif not isinstance(body, dict) or place < len(steps) - 1:
            continue
        yield step
