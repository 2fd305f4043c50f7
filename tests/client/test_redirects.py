"""Downloads that the zoo sends on to an object store."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from client.cache import digest_of_bytes
from client.errors import TransferBrokenError, UnexpectedAnswerError
from registry.errors import NotFoundError, UnauthenticatedError, WrongDigestError
from tests.client.conftest import ZooOf

DATA = bytes(range(256)) * 40
DIGEST = digest_of_bytes(DATA)
LINK = "https://store.test/bucket/key?X-Amz-Expires=300&X-Amz-Signature=abc"


class SendingZoo:
    """Sends readers to a store, which answers as it is told."""

    def __init__(self, *answers: Callable[[httpx.Request], httpx.Response], link: str = LINK) -> None:
        self.answers, self.link = list(answers), link
        self.asked: list[httpx.Request] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if request.url.path.endswith("/parts"):
            return httpx.Response(404, json={"code": "not_found", "detail": "there are no parts"})
        if request.url.path.startswith("/blobs/"):
            return httpx.Response(307, headers={"Location": self.link, "Cache-Control": "private, max-age=240"})
        return self.answers.pop(0)(request)

    def of_store(self) -> list[httpx.Request]:
        return [request for request in self.asked if not request.url.path.startswith("/blobs/")]


def whole(_: httpx.Request) -> httpx.Response:
    return httpx.Response(200, content=iter([DATA]))


def broken_at(place: int) -> Callable[[httpx.Request], httpx.Response]:
    def body():
        yield DATA[:place]
        raise httpx.ReadError("connection reset")

    return lambda _: httpx.Response(200, headers={"Content-Length": str(len(DATA))}, content=body())


def rest(request: httpx.Request) -> httpx.Response:
    start = int(request.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    headers = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"}
    return httpx.Response(206, headers=headers, content=iter([DATA[start:]]))


def refusing(status: int) -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, content=b"<Error><Code>AccessDenied</Code></Error>")


@pytest.mark.parametrize("link", [LINK, "http://zoo.test/store/key?X-Amz-Signature=abc", "http://zoo.test:9000/key"])
def test_the_token_goes_to_the_zoo_and_never_to_the_store(zoo_of: ZooOf, link: str) -> None:
    service = SendingZoo(whole, link=link)
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA
    assert service.asked[0].headers["Authorization"] == "Bearer secret"
    assert [str(request.url) for request in service.of_store()] == [link]
    assert "Authorization" not in service.of_store()[0].headers
    assert service.of_store()[0].headers["Host"] == httpx.URL(link).netloc.decode()


def test_a_break_is_resumed_with_a_new_link_and_a_range(zoo_of: ZooOf) -> None:
    service = SendingZoo(broken_at(100), rest)
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA
    assert [request.headers.get("Range") for request in service.asked] == [None, None, "bytes=100-", "bytes=100-"]


@pytest.mark.parametrize("status", [403, 503])
def test_a_link_that_has_expired_has_the_zoo_asked_anew(zoo_of: ZooOf, status: int) -> None:
    service = SendingZoo(broken_at(100), refusing(status), rest)
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA
    assert len(service.of_store()) == 3


def test_a_store_that_always_refuses_is_told_as_such(zoo_of: ZooOf) -> None:
    with pytest.raises(TransferBrokenError, match=r"store.test, where the zoo sends readers, answered 403 Forbidden"):
        zoo_of(SendingZoo(*[refusing(403)] * 9)).blobs.fetch(DIGEST)


def test_a_store_that_cannot_be_reached_is_not_taken_for_the_zoo(zoo_of: ZooOf) -> None:
    def nobody(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("no such host", request=request)

    with pytest.raises(TransferBrokenError, match=r"store.test, where the zoo sends readers, does not answer"):
        zoo_of(SendingZoo(*[nobody] * 9)).blobs.fetch(DIGEST)


def test_other_bytes_of_the_store_are_refused_and_not_kept(zoo_of: ZooOf, cache: Path) -> None:
    with pytest.raises(WrongDigestError, match=DIGEST):
        zoo_of(SendingZoo(lambda _: httpx.Response(200, content=iter([b"other bytes"])))).blobs.fetch(DIGEST)
    assert [path for path in cache.rglob("*") if path.is_file()] == []


def test_a_zoo_that_moved_is_followed_with_the_token_and_its_refusals_are_its_own(zoo_of: ZooOf) -> None:
    def moved(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "http":
            return httpx.Response(308, headers={"Location": str(request.url.copy_with(scheme="https"))})
        if "Authorization" not in request.headers:
            return httpx.Response(401, json={"code": "unauthenticated", "detail": "a token is needed"})
        return httpx.Response(404, json={"code": "not_found", "detail": "no such blob"})

    with pytest.raises(NotFoundError, match="no such blob"):
        zoo_of(moved).blobs.fetch(DIGEST)


def test_a_refusal_of_the_zoo_itself_is_not_tried_again(zoo_of: ZooOf) -> None:
    asked = []

    def refuse(request: httpx.Request) -> httpx.Response:
        asked.append(request)
        return httpx.Response(401, json={"code": "unauthenticated", "detail": "who are you"})

    with pytest.raises(UnauthenticatedError, match="who are you"):
        zoo_of(refuse).blobs.fetch(DIGEST)
    assert len(asked) == 1


def test_a_zoo_that_sends_us_round_in_circles_is_left(zoo_of: ZooOf) -> None:
    with pytest.raises(UnexpectedAnswerError, match="from one place to the next"):
        zoo_of(lambda request: httpx.Response(307, headers={"Location": str(request.url)})).blobs.fetch(DIGEST)
