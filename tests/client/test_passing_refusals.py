"""Refusals that pass: of a zoo that has no time, and of a proxy that does not reach it."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import httpx
import pytest

from client.cache import digest_of_bytes
from client.errors import ServiceUnreachableError, UnexpectedAnswerError
from client.uploads import RESUMABLE_BYTES
from client.zoo import Zoo
from registry.errors import BusyError, RateLimitedError
from registry.rankings import RankingQuestion
from registry.records import Job, JobStatus, Progress
from tests.builders import NOW, digest_of, train_work
from tests.client.conftest import ZooOf

DATA = bytes(range(256)) * 40
DIGEST = digest_of_bytes(DATA)
SOON = {"Retry-After": "0"}

REFUSALS = [
    pytest.param(lambda: httpx.Response(502, text="<html>a proxy</html>"), id="502"),
    pytest.param(lambda: httpx.Response(504), id="504"),
    pytest.param(lambda: httpx.Response(500, text="Internal Server Error"), id="500"),
    pytest.param(lambda: httpx.Response(503, headers=SOON), id="503"),
    pytest.param(lambda: httpx.Response(503), id="503 without a word"),
    pytest.param(lambda: httpx.Response(429, headers=SOON, json={"code": "rate_limited", "detail": "slow"}), id="429"),
]
Refusal = Callable[[], httpx.Response]


class RefusingOnce:
    """Refuses the first request of a method and path, and answers all others."""

    def __init__(self, refusal: Refusal, answer: Callable[[httpx.Request], httpx.Response], *, times: int = 1) -> None:
        self.refusal, self.answer, self.times = refusal, answer, times
        self.asked: list[str] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        what = f"{request.method} {request.url.path}"
        request.read()
        self.asked.append(what)
        return self.refusal() if self.asked.count(what) <= self.times else self.answer(request)


def job(**changes: object) -> Job:
    return Job.model_validate({"id": 1, "status": "done", "work": train_work(), "created_at": NOW} | changes)


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_download_goes_on_after_one(zoo_of: ZooOf, refusal: Refusal) -> None:
    service = RefusingOnce(refusal, lambda _: httpx.Response(200, content=iter([DATA])))
    assert zoo_of(service).blobs.fetch(DIGEST).read_bytes() == DATA


@pytest.mark.parametrize("refusal", REFUSALS)
def test_events_go_on_after_one(zoo_of: ZooOf, refusal: Refusal) -> None:
    events = f"data: {job().model_dump_json()}\n\n"
    zoo = zoo_of(RefusingOnce(refusal, lambda _: httpx.Response(200, text=events)))
    assert [each.status for each in zoo.jobs.events(1)] == [JobStatus.DONE]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_an_upload_is_sent_again_after_one(zoo_of: ZooOf, refusal: Refusal) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404 if request.method == "HEAD" else 201)

    service = RefusingOnce(refusal, answer)
    assert zoo_of(service).blobs.put(DATA) == DIGEST
    assert service.asked == [f"HEAD /blobs/{DIGEST}"] * 2 + [f"PUT /blobs/{DIGEST}"] * 2


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_large_upload_goes_on_after_one(zoo_of: ZooOf, tmp_path: Path, refusal: Refusal) -> None:
    sent: list[int] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "HEAD":
            return httpx.Response(404)
        if request.method == "PATCH":
            sent.append(len(request.content))
            return httpx.Response(204)
        if request.method == "POST":
            return httpx.Response(201, headers={"Location": "/uploads/u"})
        state = {"id": "u", "length": RESUMABLE_BYTES, "metadata": "", "created_at": "", "expires_at": ""}
        digest = digest_of("whole") if sent else None
        return httpx.Response(200, json={**state, "offset": sum(sent), "digest": digest})

    file = tmp_path / "file"
    file.write_bytes(bytes(RESUMABLE_BYTES))
    zoo_of(RefusingOnce(refusal, answer)).blobs.put(file)
    assert sent == [RESUMABLE_BYTES]


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_question_is_asked_again_after_one(zoo_of: ZooOf, refusal: Refusal) -> None:
    service = RefusingOnce(refusal, lambda _: httpx.Response(418))
    with pytest.raises(Exception, match="418"):
        zoo_of(service).queries.rank(RankingQuestion(task=digest_of("task")))
    assert len(service.asked) == 2


def test_what_may_have_been_done_already_is_not_sent_again(zoo_of: ZooOf) -> None:
    service = RefusingOnce(lambda: httpx.Response(502), lambda _: httpx.Response(204))
    with pytest.raises(ServiceUnreachableError, match="502"):
        zoo_of(service).jobs.claim(["train"], worker="w", wait_seconds=0)
    assert len(service.asked) == 1


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        (lambda: httpx.Response(503, headers=SOON), BusyError),
        (lambda: httpx.Response(429, headers=SOON), RateLimitedError),
        (lambda: httpx.Response(502), ServiceUnreachableError),
    ],
)
def test_tries_are_bounded(zoo_of: ZooOf, refusal: Refusal, kind: type[Exception]) -> None:
    service = RefusingOnce(refusal, lambda _: httpx.Response(404), times=99)
    zoo = zoo_of(service)
    for attempt in (lambda: zoo.blobs.fetch(DIGEST), lambda: list(zoo.jobs.events(1)), lambda: zoo.jobs.show(2)):
        with pytest.raises(kind):
            attempt()
    assert [service.asked.count(what) for what in dict.fromkeys(service.asked)] == [3, 3, 3]


def test_a_heartbeat_is_sent_once(zoo_of: ZooOf) -> None:
    service = RefusingOnce(lambda: httpx.Response(503, headers=SOON), lambda _: httpx.Response(404))
    with pytest.raises(BusyError):
        zoo_of(service).jobs.heartbeat(1, attempt=1, progress=Progress(), answer_seconds=1.0)
    assert len(service.asked) == 1


@pytest.mark.parametrize("ahead_seconds", [-45, 0, 45])
def test_a_lease_ends_by_the_clock_of_the_worker(zoo_of: ZooOf, ahead_seconds: int) -> None:
    of_zoo = datetime.now(UTC) - timedelta(seconds=ahead_seconds)
    answered = job(status="running", lease_expires_at=of_zoo + timedelta(seconds=30)).model_dump(mode="json")
    headers = {"Date": format_datetime(of_zoo, usegmt=True)}
    zoo = zoo_of(lambda _: httpx.Response(200, json=answered, headers=headers))
    for found in (zoo.jobs.claim(["train"], worker="w"), zoo.jobs.heartbeat(1, attempt=1, progress=Progress())):
        assert found is not None
        assert found.lease_expires_at is not None
        assert 27 < (found.lease_expires_at - datetime.now(UTC)).total_seconds() < 32


def writes(zoo: Zoo, file: Path) -> Iterator[Callable[[], object]]:
    yield lambda: zoo.modules.publish("ada/digits", file)
    yield lambda: zoo.jobs.release(1, attempt=1)
    yield lambda: zoo.blobs.put(DATA)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_what_is_written_is_not_sent_on_and_the_other_address_is_named(
    zoo_of: ZooOf, tmp_path: Path, status: int
) -> None:
    asked: list[str] = []

    def move(request: httpx.Request) -> httpx.Response:
        asked.append(request.method)
        if request.method == "HEAD":
            return httpx.Response(404)
        return httpx.Response(status, headers={"Location": str(request.url.copy_with(scheme="https"))})

    file = tmp_path / "file"
    file.write_bytes(DATA)
    for write in writes(zoo_of(move), file):
        with pytest.raises(UnexpectedAnswerError, match=r"set ZOO_URL to https://zoo\.test$"):
            write()
    assert asked == ["POST", "POST", "HEAD", "PUT"]


def test_readers_that_go_round_in_circles_are_told(zoo_of: ZooOf) -> None:
    with pytest.raises(UnexpectedAnswerError, match="redirects"):
        zoo_of(lambda request: httpx.Response(307, headers={"Location": str(request.url)})).jobs.show(1)
