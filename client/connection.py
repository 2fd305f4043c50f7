"""One connection to one zoo: requests with models in and out, problems as errors, patience where it is asked for."""

import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from types import MappingProxyType
from typing import TypeVar
from uuid import uuid4

import httpx
from pydantic import BaseModel, ValidationError

from client.errors import (
    NOT_NOW,
    ServiceUnreachableError,
    UnexpectedAnswerError,
    error_of,
    retry_after_seconds,
    unreachable,
    was_answered,
)
from client.proxies import proxied
from registry.errors import InvalidInputError, ZooError
from registry.origins import current_origin

Model = TypeVar("Model", bound=BaseModel)
Value = str | int | bool | Sequence[str] | None

READING = ("GET", "HEAD")
REPEATABLE = (*READING, "PUT", "DELETE")
PREFER_MARGIN_SECONDS = 30.0
ANSWER_LOST = (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError)
"""The connection broke when the zoo may have done already what was asked."""

KEEP_ALIVE = [
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    *(
        (socket.IPPROTO_TCP, getattr(socket, name), value)
        for name, value in (("TCP_KEEPIDLE", 15), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
        if hasattr(socket, name)
    ),
]
"""A peer that has gone without a word is noticed within 45 s, also while we wait for its answer."""
MOST_REDIRECTS = 5
SIGNATURE = "x-amz-signature"


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long to wait for what. A stall is a transfer in which no byte moves; `answer` is the service's thinking.

    A transfer in which nothing moves for `quiet_seconds`, over all its tries, is given up. An upload waits for
    `restart_seconds` where the service was there and is not any more: nobody listens, which is no stall. `look` is for
    being told how far an upload is.
    """

    connect_seconds: float = 10.0
    stall_seconds: float = 25.0
    look_seconds: float = 10.0
    quiet_seconds: float = 55.0
    restart_seconds: float = 180.0
    answer_seconds: float = 300.0
    retry_seconds: float = 0.2
    tries: int = 5

    def are_over(self, error: Exception, *, moved_at: float, next_seconds: float) -> bool:
        """Whether a transfer has been quiet for too long, or would be if its next try, which may take so long, stalled
        as this one did.
        """
        next_try = next_seconds if isinstance(error, httpx.TimeoutException) else 0.0
        return time.monotonic() - moved_at + next_try > self.quiet_seconds

    def pause(self, failures: int, error: Exception) -> None:
        """Sleep before the next try: as long as the zoo says, or twice as long each time, at most 5 seconds."""
        told = retry_after_seconds(error)
        time.sleep(min(5.0, self.retry_seconds * 2.0 ** (failures - 1)) if told is None else told)


@dataclass(frozen=True, slots=True)
class Call:
    """One request: where to, with which JSON body, and how long the service may hold the answer back.

    `answer_seconds` is how long the answer may take to begin, where that is not as with other requests.
    One that is `keyed` gets an idempotency key, and is sent again when its answer was lost on the way. One that is
    `harmless` does no more when it is sent twice. `tries` are as many as with other requests, or fewer.
    """

    method: str
    path: str
    params: Mapping[str, Value] = field(default_factory=lambda: MappingProxyType({}))
    body: BaseModel | None = None
    headers: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    wait_seconds: float = 0.0
    answer_seconds: float | None = None
    keyed: bool = False
    harmless: bool = False
    tries: int | None = None

    @property
    def repeatable(self) -> bool:
        """Whether it may be sent again when it may have been carried out."""
        return self.keyed or self.harmless or self.method in REPEATABLE

    @property
    def query(self) -> dict[str, str | list[str]]:
        """The query string's fields; those that are None are left out."""
        return {key: _written(value) for key, value in self.params.items() if value is not None}


def _written(value: Value) -> str | list[str]:
    """A value as a query string has it."""
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if isinstance(value, str | int) else list(value or ())


class ElsewhereError(httpx.TransportError):
    """Whoever the zoo sent us to for bytes does not give them; asking the zoo anew may help."""


class Connection:
    """Requests to one zoo; may be used from several threads at once."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeouts: Timeouts | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        """Raises InvalidInputError unless ``url`` begins with http:// or https:// and names a host."""
        self.url = _checked(url)
        self.timeouts = timeouts or Timeouts()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        host = httpx.URL(self.url).host
        trusted = not _is_loopback(host)
        self._http = httpx.Client(
            base_url=self.url,
            headers=headers,
            follow_redirects=True,
            transport=transport or httpx.HTTPTransport(trust_env=trusted, socket_options=KEEP_ALIVE),
            mounts=proxied(host, socket_options=KEEP_ALIVE) if trusted and transport is None else None,
            trust_env=trusted,
        )

    def close(self) -> None:
        """Close every socket."""
        self._http.close()

    def ask(self, call: Call, answer: type[Model]) -> Model:
        """Send a request and read its answer as a model. Raises the ZooError that the zoo answered with."""
        return self.read(self.send(call), answer)

    def send(self, call: Call, *, content: bytes | None = None) -> httpx.Response:
        """Send a request; while the zoo has no time, or what stands in front does not reach it, come back."""
        if call.keyed:
            call = replace(call, headers={**call.headers, "Idempotency-Key": f'"{uuid4()}"'})
        for tried in range(1, call.tries or self.timeouts.tries):
            try:
                return self._send_once(call, content=content)
            except NOT_NOW as error:
                if not _may_send_again(call, error):
                    raise
                self.timeouts.pause(tried, error)
        return self._send_once(call, content=content)

    def send_stream(self, call: Call, *, content: Iterator[bytes]) -> httpx.Response:
        """Send a request whose body comes from an iterator, once. Raises httpx.TransportError when it breaks."""
        return self._answered(call, content=content)

    @contextmanager
    def stream(self, call: Call, *, stall_seconds: float) -> Iterator[httpx.Response]:
        """Open an answer to be read in pieces, from wherever the zoo sends us for it.

        The token goes to the zoo alone: a link to an object store has a signature of its own.

        Raises:
            httpx.TransportError: it breaks or stalls.
            ElsewhereError: the store that the zoo sent us to does not answer, or refuses.
        """
        response = self._opened(call, stall_seconds=stall_seconds)
        try:
            yield response
        except httpx.DecodingError as error:
            raise UnexpectedAnswerError(f"{self.url} answers with what cannot be unpacked ({error})") from error
        finally:
            response.close()

    def _opened(self, call: Call, *, stall_seconds: float) -> httpx.Response:
        """An answer that has begun, or a refusal with all that it says; while the zoo has no time, come back."""
        for tried in range(1, self.timeouts.tries):
            response = self._begun(call, stall_seconds=stall_seconds)
            if response.status_code < 400:
                return response
            error = error_of(response)
            if not isinstance(error, NOT_NOW):
                return response
            self.timeouts.pause(tried, error)
        return self._begun(call, stall_seconds=stall_seconds)

    def _begun(self, call: Call, *, stall_seconds: float) -> httpx.Response:
        """The answer to one request, to be read in pieces; of a refusal everything is read."""
        request = self._request(call, content=None)
        request.extensions["timeout"] = self._timeout(read_seconds=stall_seconds).as_dict()
        response = self._followed(self._http.send(request, stream=True, follow_redirects=False))
        if response.status_code >= 400:
            with closing(response):
                response.read()
        return response

    def _followed(self, response: httpx.Response) -> httpx.Response:
        """The answer at the end of all redirects. Raises ElsewhereError, UnexpectedAnswerError."""
        for _ in range(MOST_REDIRECTS):
            if response.next_request is None:
                return response
            response.close()
            response = self._sent_on(response.next_request)
        response.close()
        raise UnexpectedAnswerError(f"{self.url} sends us from one place to the next, more than {MOST_REDIRECTS} times")

    def _sent_on(self, request: httpx.Request) -> httpx.Response:
        """The answer of whoever the zoo sent us to. Raises ElsewhereError where that is another and it refuses."""
        store = _is_signed(request.url) or not _same_origin(request.url, httpx.URL(self.url))
        place = f"{request.url.host}, where the zoo sends readers,"
        if store:
            request.headers.pop("Authorization", None)
        try:
            response = self._http.send(request, stream=True, follow_redirects=False)
        except httpx.TransportError as error:
            raise ElsewhereError(f"{place} does not answer: {error or type(error).__name__}") from error
        if (
            store
            and response.status_code >= 400
            and response.status_code != httpx.codes.REQUESTED_RANGE_NOT_SATISFIABLE
        ):
            response.close()
            raise ElsewhereError(f"{place} answered {response.status_code} {response.reason_phrase}")
        return response

    def read(self, response: httpx.Response, answer: type[Model]) -> Model:
        """A response's body as a model. Raises UnexpectedAnswerError when it is something else."""
        return self.parse(response.content, answer)

    def parse(self, text: bytes | str, answer: type[Model]) -> Model:
        """JSON text as a model. Raises UnexpectedAnswerError when it is something else."""
        try:
            return answer.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            where = "/".join(str(part) for part in first["loc"])
            raise UnexpectedAnswerError(
                f"{self.url} did not answer with a {answer.__name__} ({where or 'body'}: {first['msg']}); "
                "is it a zoo, and of the same version as this client?"
            ) from error

    def _send_once(self, call: Call, *, content: bytes | None) -> httpx.Response:
        """Send a request whose body can be sent again. Raises ServiceUnreachableError, what the zoo answered."""
        try:
            return self._answered(call, content=content)
        except httpx.TransportError as error:
            raise unreachable(self.url, error) from error

    def _answered(self, call: Call, *, content: bytes | Iterator[bytes] | None) -> httpx.Response:
        """The answer to one request, from wherever a reader is sent on to; what is written is written here only.

        Raises:
            httpx.TransportError: it breaks.
            UnexpectedAnswerError: a request that writes is sent on to another address, or the answer is none.
            ZooError: what the zoo answered.
        """
        reads = call.method in READING
        try:
            response = self._http.send(self._request(call, content=content), follow_redirects=reads)
        except (httpx.TooManyRedirects, httpx.DecodingError) as error:
            raise UnexpectedAnswerError(f"{self.url} does not answer as a zoo does: {error}") from error
        if response.has_redirect_location and not reads:
            raise _moved(self.url, call, response)
        return _accepted(response)

    def _request(self, call: Call, *, content: bytes | Iterator[bytes] | None) -> httpx.Request:
        """The request as HTTP has it."""
        headers = {**_origin_headers(), **call.headers}
        if call.body is not None:
            content = call.body.model_dump_json().encode()
            headers["Content-Type"] = "application/json"
        return self._http.build_request(
            call.method,
            call.path,
            params=call.query,
            content=content,
            headers=headers,
            timeout=self._timeout(read_seconds=self._patience(call)),
        )

    def _patience(self, call: Call) -> float:
        """How long an answer may take to begin, in seconds."""
        if call.answer_seconds is not None:
            return call.answer_seconds
        return max(self.timeouts.answer_seconds, call.wait_seconds + PREFER_MARGIN_SECONDS)

    def _timeout(self, *, read_seconds: float) -> httpx.Timeout:
        """All four limits: connect, read, write, and waiting for a free socket."""
        return httpx.Timeout(
            connect=min(self.timeouts.connect_seconds, read_seconds),
            read=read_seconds,
            write=min(self.timeouts.stall_seconds, read_seconds),
            pool=min(self.timeouts.stall_seconds, read_seconds),
        )


def _origin_headers() -> dict[str, str]:
    """The id and the place in a trace of the request that this one is made for, where it is made for one."""
    origin = current_origin()
    told = {"X-Request-Id": origin.request_id, "traceparent": origin.traceparent}
    return {name: value for name, value in told.items() if value is not None}


def _checked(url: str) -> str:
    """A zoo's address without the last slash."""
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL as error:
        raise InvalidInputError(f"{url[:200]!r} is not an address ({error}); write http://host:port") from error
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise InvalidInputError(f"{url[:200]!r} is not a zoo's address; write http://host:port")
    return url.rstrip("/")


def _is_signed(url: httpx.URL) -> bool:
    """Whether an address is a link that an object store has signed, which needs no token beside it."""
    return SIGNATURE in {name.lower() for name in url.params}


def _same_origin(url: httpx.URL, zoo: httpx.URL) -> bool:
    """Whether an address is the zoo's own, perhaps by https where we asked by http."""
    if url.host == zoo.host and (zoo.scheme, url.scheme) == ("http", "https"):
        return True
    return (url.scheme, url.host, url.port) == (zoo.scheme, zoo.host, zoo.port)


def _is_loopback(host: str) -> bool:
    """Whether a host is this machine, which no proxy stands before."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def _may_send_again(call: Call, error: ZooError) -> bool:
    """Whether a request may be sent again: it was not taken, or being carried out twice does no harm."""
    if was_answered(error):
        return call.repeatable or not isinstance(error, ServiceUnreachableError)
    return call.keyed and isinstance(error.__cause__, ANSWER_LOST)


def _moved(url: str, call: Call, response: httpx.Response) -> UnexpectedAnswerError:
    """The error for a request that writes and was sent on to another address."""
    there = str(response.request.url.join(response.headers["Location"]))
    base = there.partition("?")[0].removesuffix(call.path)
    return UnexpectedAnswerError(
        f"{url} answered {call.method} {call.path} with {response.status_code} and sends us on to {there}; "
        f"what is written is not sent on, so set ZOO_URL to {base}"
    )


def _accepted(response: httpx.Response) -> httpx.Response:
    """The response. Raises the ZooError that it stands for."""
    if response.status_code >= 400:
        raise error_of(response)
    return response
