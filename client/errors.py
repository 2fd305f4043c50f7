"""Errors of the way to the zoo, and the answers of the zoo turned back into the errors they were."""

from collections.abc import Iterator
from http import HTTPStatus

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError

from client.answered import AnsweredProblem
from registry.errors import BusyError, Fault, RateLimitedError, ZooError

DETAIL_LIMIT = 2000

PROBLEM = "application/problem+json"
TELLING_STATUSES = (401, 403, 404, 409, 412, 413, 422, 428, 429, 503)
"""Statuses that say what is wrong without a problem document, as answers to HEAD and those of proxies come."""

SILENT_STATUSES = (500, 502, 504)
"""Without a problem document these are no words of a zoo: what stands in front of it does not reach it."""

LONGEST_RETRY_SECONDS = 10.0


class ServiceUnreachableError(ZooError):
    """No zoo answers at the address."""

    code = "service_unreachable"
    title = "The zoo cannot be reached"
    status = 503


class UnexpectedAnswerError(ZooError):
    """Something answers at the address, but not as this version of the zoo does."""

    code = "unexpected_answer"
    title = "The answer is not one of this zoo"
    status = 502


class TransferBrokenError(ZooError):
    """Bytes stopped flowing, and kept stopping when the transfer was resumed."""

    code = "transfer_broken"
    title = "The transfer broke off"
    status = 504


NOT_NOW = (ServiceUnreachableError, BusyError, RateLimitedError)
"""Errors of a zoo that is not there, or has no time, at the moment."""

TEMPORARY = (*NOT_NOW, TransferBrokenError, UnexpectedAnswerError)
"""Errors that pass by themselves."""


class _FaultFields(BaseModel):
    """One entry of a problem's `errors`."""

    model_config = ConfigDict(extra="ignore")

    pointer: str = ""
    detail: str = ""
    code: str = "invalid"


class _Problem(BaseModel):
    """A problem+json document, as far as it is needed here."""

    model_config = ConfigDict(extra="ignore")

    type: str = ""
    request_id: str = ""
    title: str = ""
    detail: str = ""
    code: str = ""
    errors: tuple[_FaultFields, ...] = ()


def unreachable(url: str, error: httpx.TransportError) -> ServiceUnreachableError:
    """The error for a connection that could not be made, or that gave no answer."""
    reason = str(error) or type(error).__name__
    if isinstance(error, httpx.ProxyError):
        return ServiceUnreachableError(
            f"the proxy that the environment names does not reach {url} ({reason}); "
            "set HTTP_PROXY and HTTPS_PROXY to one that does, or name the host in NO_PROXY"
        )
    return ServiceUnreachableError(
        f"no zoo answers at {url} ({reason}); start one with `zoo serve`, or set ZOO_URL to where one runs"
    )


def error_of(response: httpx.Response) -> ZooError:
    """The error that a response with status 400 or above stands for; its body must have been read."""
    problem = _problem_in(response)
    faults = tuple(Fault(fault.pointer, fault.detail, fault.code) for fault in problem.errors)
    detail = problem.detail or problem.title or _without_words(response)
    error = _class_of(problem, response)(detail, faults=faults)
    request_id = problem.request_id or response.headers.get("X-Request-Id", "")
    asked = f"{response.request.method} {response.request.url}: {response.status_code}"
    error.__cause__ = AnsweredProblem(
        asked, problem_type=problem.type, request_id=request_id, retry_after_seconds=_retry_after(response)
    )
    return error


def was_answered(error: ZooError) -> bool:
    """Whether an error is what somebody answered, rather than that nobody did."""
    return isinstance(error.__cause__, AnsweredProblem)


def retry_after_seconds(error: Exception) -> float | None:
    """When a zoo that has no time wants to be asked again, at most 10 seconds from now; None where it does not say."""
    return error.__cause__.retry_after_seconds if isinstance(error.__cause__, AnsweredProblem) else None


def _retry_after(response: httpx.Response) -> float | None:
    after = response.headers.get("Retry-After", "")
    return min(float(after), LONGEST_RETRY_SECONDS) if after.isdecimal() else None


def error_with_code(code: str | None, detail: str, *, otherwise: type[ZooError]) -> ZooError:
    """The error that a code names; another one where there is no code, or none that is known."""
    kind = next((kind for kind in _tree(ZooError) if kind.code == code), otherwise)
    return kind(detail)


def _problem_in(response: httpx.Response) -> _Problem:
    """The problem document of a response, or an empty one where there is none."""
    try:
        return _Problem.model_validate_json(response.content)
    except ValidationError:
        return _Problem()


def _without_words(response: httpx.Response) -> str:
    """One sentence for an error that came without a problem document."""
    phrase = HTTPStatus(response.status_code).phrase if response.status_code in set(HTTPStatus) else "no reason"
    text = f"{response.request.method} {response.request.url} was answered with {response.status_code} ({phrase})"
    return text[:DETAIL_LIMIT]


def _class_of(problem: _Problem, response: httpx.Response) -> type[ZooError]:
    """The error class with a problem's code; without any code, the most general one that the status tells by itself."""
    kinds, status = tuple(_tree(ZooError)), response.status_code
    by_code = next((kind for kind in kinds if kind.code == problem.code), ZooError)
    if problem.code:
        return by_code
    if status in SILENT_STATUSES and not response.headers.get("Content-Type", "").startswith(PROBLEM):
        return ServiceUnreachableError
    return next(kind for kind in kinds if kind.status == status) if status in TELLING_STATUSES else by_code


def _tree(root: type[ZooError]) -> Iterator[type[ZooError]]:
    """A class and everything below it, parents first."""
    yield root
    for below in root.__subclasses__():
        yield from _tree(below)
