"""The door: what happens to every request before and after its route, whatever the route is.

It gives the request an id, lets it in or not, bounds its body, answers HEAD as GET without the body, counts, logs,
traces, and turns whatever nobody expected into a problem without a stack trace.
"""

import asyncio
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

import structlog
from anyio import to_thread
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.access import Caller, Gate, check_permission
from api.actions import Wanted, wanted
from api.limits import Limits
from api.metrics import Metrics
from api.problems import framework_problem, problem_of, respond, respond_to
from registry.access import Identity
from registry.errors import BusyError, InvalidTokenError, TooLargeError, ZooError
from registry.origins import REQUEST_ID as REQUEST_ID_PATTERN
from registry.origins import Origin, originating, traceparent_of
from registry.settings import Settings
from registry.tokens import TokenService
from registry.traces import NO_SPANS, Span, Spans

log = structlog.get_logger()

REQUEST_ID = "zoo.request_id"
BODY_LIMIT = "zoo.body_limit_bytes"
HEAD = "zoo.head"
IDENTITY = "zoo.identity"
SAID = "zoo.said"
"""Headers that every answer to this request has, refusals included."""


@dataclass(slots=True)
class _Exchange:
    """One request and what has been answered so far."""

    scope: Scope
    request_id: str
    began: float
    head: bool
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    received_bytes: int = 0
    sent_bytes: int = 0


class Door:
    """ASGI middleware around the whole app."""

    def __init__(
        self, app: ASGIApp, *, settings: Settings, tokens: TokenService, metrics: Metrics, spans: Spans = NO_SPANS
    ) -> None:
        """Set up.

        Args:
            app: what is behind the door.
            settings: limits, and with `tokens` who is let in.
            tokens: those that are kept.
            metrics: where requests are counted.
            spans: where they are traced.
        """
        self._app, self._settings, self._metrics, self._spans = app, settings, metrics, spans
        self._gate, self._limits = Gate(settings, tokens), Limits(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry one request through; web sockets are refused, there are none here."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        exchange = _Exchange(scope, _request_id(Headers(scope=scope)), time.perf_counter(), scope["method"] == "HEAD")
        scope[REQUEST_ID] = exchange.request_id
        scope[BODY_LIMIT] = self._settings.json_limit_bytes  # routes that take more set their own
        with self._told_of(exchange) as span:
            try:
                await self._guarded(exchange, receive, _Answer(exchange, send))
            finally:
                self._note(exchange, span)

    @contextmanager
    def _told_of(self, exchange: _Exchange) -> Iterator[Span]:
        """While the block runs, logs, traces and the jobs that are made name the request."""
        scope, request_id = exchange.scope, exchange.request_id
        given = traceparent_of(Headers(scope=scope).get("traceparent"))
        known = {"http.request.method": scope["method"], "url.path": scope["path"][:500], "zoo.request_id": request_id}
        with (
            self._spans.span(scope["method"], kind="server", parent=given, attributes=known) as span,
            originating(Origin(request_id=request_id, traceparent=span.traceparent or given)),
            structlog.contextvars.bound_contextvars(request_id=request_id),
        ):
            yield span

    async def _guarded(self, exchange: _Exchange, receive: Receive, answer: "_Answer") -> None:
        """Let the request in, pass it on, and answer for whatever goes wrong."""
        scope = exchange.scope
        try:
            await self._let_in(exchange)
            if exchange.head:
                scope["method"], scope[HEAD] = "GET", True
            await self._app(scope, _bounded(exchange, receive), answer)
        except ClientDisconnect:
            exchange.status = exchange.status or 499
        except ZooError as error:
            await self._refuse(exchange, receive, answer, problem=error)
        except asyncio.CancelledError:
            await self._stop(exchange, receive, answer)
        except Exception as error:
            if exchange.status and isinstance(error.__cause__, ZooError):
                raise  # whoever broke the answer off has said why
            log.exception("request failed", method=scope["method"], path=scope["path"])
            if exchange.status:
                raise  # the answer has begun: only breaking the connection tells that it is not whole
            detail = f"something went wrong here that should not have; ask with request id {exchange.request_id}"
            response = respond(framework_problem(500, detail), exchange.request_id)
            await response(scope, receive, answer)

    async def _let_in(self, exchange: _Exchange) -> None:
        """Find out who asks, whether they may, and whether they ask too often.

        Raises:
            UnauthenticatedError, InvalidTokenError, ForbiddenError, RateLimitedError: they may not.
        """
        scope = exchange.scope
        caller, asked = _caller(scope), wanted(scope["method"], scope["path"])
        identity = await self._identity(caller, asked)
        exchange.headers = self._limits.take(identity, caller.address, asked)
        scope[IDENTITY] = identity
        if asked is None or not asked.is_page:
            check_permission(
                identity,
                None if asked is None else asked.action,
                namespace=None if asked is None else asked.namespace,
                public_reads=self._settings.public_reads,
            )

    async def _identity(self, caller: Caller, asked: Wanted | None) -> Identity:
        """Who asks. Raises InvalidTokenError, ForbiddenError, and RateLimitedError for who brings too many tokens.

        A token that is right is let in however many wrong ones came from its address: others may share that.
        """
        if self._gate.is_guess(caller):
            self._limits.check_failures(caller.address)
        try:
            if self._gate.is_costly(caller, asked):
                return await to_thread.run_sync(self._gate.identify, caller, asked)
            return self._gate.identify(caller, asked)
        except InvalidTokenError:
            self._limits.check_failures(caller.address)
            self._limits.note_failure(caller.address)
            raise

    async def _refuse(self, exchange: _Exchange, receive: Receive, answer: "_Answer", *, problem: ZooError) -> None:
        """Answer with a zoo error, unless an answer has begun."""
        if exchange.status:
            raise problem
        response = respond_to(problem, exchange.request_id)
        await response(exchange.scope, receive, answer)

    async def _stop(self, exchange: _Exchange, receive: Receive, answer: "_Answer") -> None:
        """Answer for a request that is cut short because the service ends; one that is answered in part breaks off.

        Nobody above waits for the cancellation: the server only wants the request to end.
        """
        log.warning("request cut short, the service ends", path=exchange.scope["path"][:500])
        if exchange.status:
            return
        problem = problem_of(BusyError("the service is ending; send the request again once it is back"))
        response = respond(problem, exchange.request_id, headers={"Connection": "close"})
        await response(exchange.scope, receive, answer)

    def _note(self, exchange: _Exchange, span: Span) -> None:
        """Count and log one request, and say in its trace how it ended."""
        seconds = time.perf_counter() - exchange.began
        method = "HEAD" if exchange.head else exchange.scope["method"]
        route = getattr(exchange.scope.get("route"), "path_format", "none")
        self._metrics.note(method=method, route=route, status=exchange.status, seconds=seconds)
        self._metrics.moved(received_bytes=exchange.received_bytes, sent_bytes=exchange.sent_bytes)
        span.rename(f"{method} {route}")
        span.tell("http.route", route)
        span.tell("http.response.status_code", exchange.status)
        if exchange.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            span.fail(f"status {exchange.status}")
        log.info(
            "request",
            method=method,
            path=exchange.scope["path"][:500],
            status=exchange.status,
            milliseconds=round(1000 * seconds, 1),
        )


class _Answer:
    """What the app sends, with the headers every answer has, and without a body where the request was HEAD."""

    def __init__(self, exchange: _Exchange, send: Send) -> None:
        self._exchange, self._send, self._closed = exchange, send, False

    async def __call__(self, message: Message) -> None:
        """Pass a message on."""
        if message["type"] == "http.response.start":
            self._exchange.status = message["status"]
            headers = MutableHeaders(raw=message.setdefault("headers", []))
            headers["X-Request-Id"] = self._exchange.request_id
            headers["X-Content-Type-Options"] = "nosniff"
            headers.setdefault("Referrer-Policy", "same-origin")
            for name, value in self._exchange.headers.items():
                headers.setdefault(name, value)
            headers.update(self._exchange.scope.get(SAID, {}))
            message = {**message, "headers": headers.raw}
        elif self._exchange.head:
            if self._closed:
                return
            self._closed = True
            message = {"type": "http.response.body", "body": b"", "more_body": False}
        self._exchange.sent_bytes += len(message.get("body", b""))
        await self._send(message)


def _request_id(headers: Headers) -> str:
    """The caller's own id where it is short and plain, else a new one."""
    given = headers.get("x-request-id", "")
    return given if REQUEST_ID_PATTERN.fullmatch(given) else secrets.token_hex(12)


def _caller(scope: Scope) -> Caller:
    client = scope.get("client")
    return Caller(
        method=scope["method"],
        path=scope["path"],
        headers=Headers(scope=scope),
        address=client[0] if client else None,
    )


def _bounded(exchange: _Exchange, receive: Receive) -> Receive:
    """A receive that counts, and raises TooLargeError as soon as the body's limit is known to be passed."""
    scope = exchange.scope

    async def bounded() -> Message:
        check_length(scope)
        message = await receive()
        exchange.received_bytes += len(message.get("body", b""))
        if exchange.received_bytes > scope[BODY_LIMIT]:
            raise _too_large(f"more than {scope[BODY_LIMIT]}", scope[BODY_LIMIT])
        return message

    return bounded


def check_length(scope: Scope) -> None:
    """Raises TooLargeError before anything is read where the request says that its body is over the limit."""
    length = Headers(scope=scope).get("content-length", "")
    if length.isdecimal() and int(length) > scope[BODY_LIMIT]:
        raise _too_large(length, scope[BODY_LIMIT])


def _too_large(size: str, limit: int) -> TooLargeError:
    return TooLargeError(f"the body has {size} bytes, but at most {limit} are taken here; send less")
