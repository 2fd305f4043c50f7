"""Requests and answers: problems become errors, busy services are waited for, strangers are recognised."""

from collections.abc import Iterator

import httpx
import pytest

from client.connection import Connection
from client.errors import ServiceUnreachableError, UnexpectedAnswerError
from client.events import event_data
from registry.errors import (
    BusyError,
    Fault,
    InvalidInputError,
    InvalidManifestError,
    LeaseLostError,
    NotFoundError,
    PreconditionFailedError,
    RateLimitedError,
    UnauthenticatedError,
    ZooError,
)
from registry.records import JobStatus, ModuleSearch, Progress
from tests.builders import NOW, digest_of, train_work
from tests.client.conftest import ZooOf


def problem(status: int, **fields: object) -> httpx.Response:
    return httpx.Response(status, json=fields, headers={"Content-Type": "application/problem+json"})


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (problem(422, code="invalid_manifest", detail="seen"), InvalidManifestError),
        (problem(409, code="lease_lost", detail="seen"), LeaseLostError),
        (problem(418, code="code_of_tomorrow", detail="seen"), ZooError),
        (problem(401, detail="seen"), UnauthenticatedError),
        (httpx.Response(404), NotFoundError),
        (httpx.Response(502, text="<html>a proxy</html>"), ServiceUnreachableError),
        (httpx.Response(504), ServiceUnreachableError),
        (httpx.Response(500), ServiceUnreachableError),
        (problem(500, detail="seen"), ZooError),
        (problem(429, code="rate_limited", detail="seen"), RateLimitedError),
        (httpx.Response(429), RateLimitedError),
        (httpx.Response(599), ZooError),
    ],
)
def test_a_problem_becomes_the_error_with_its_code(zoo_of: ZooOf, answer: httpx.Response, kind: type[ZooError]) -> None:
    with pytest.raises(ZooError) as caught:
        zoo_of(lambda _: answer).jobs.show(1)
    assert type(caught.value) is kind
    assert "seen" in caught.value.detail or "GET http://zoo.test/jobs/1" in caught.value.detail


def test_every_fault_of_a_problem_arrives(zoo_of: ZooOf) -> None:
    faults = [{"pointer": "/modules/1", "detail": "does not fit", "code": "misfit"}]
    answer = problem(422, code="pipeline_misfit", detail="two misfits", errors=faults, request_id="r")
    with pytest.raises(ZooError) as caught:
        zoo_of(lambda _: answer).pipelines.compose("p", ["a/b"])
    assert caught.value.faults == (Fault("/modules/1", "does not fit", "misfit"),)


def test_a_busy_service_is_asked_again_when_it_says_when(zoo_of: ZooOf) -> None:
    answers = iter([httpx.Response(503, headers={"Retry-After": "0"}), httpx.Response(204)])
    assert zoo_of(lambda _: next(answers)).jobs.claim(["train"], worker="w", wait_seconds=0) is None


def test_a_service_that_stays_busy_is_an_error(zoo_of: ZooOf) -> None:
    with pytest.raises(BusyError, match="full"):
        zoo_of(lambda _: httpx.Response(503, headers={"Retry-After": "0"}, json={"detail": "full"})).jobs.show(1)


@pytest.mark.parametrize("body", ["<html>", "{}", "[1]"])
def test_something_else_than_a_zoo_is_recognised(zoo_of: ZooOf, body: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match=r"http://zoo\.test .*Job"):
        zoo_of(lambda _: httpx.Response(200, text=body)).jobs.show(1)


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://zoo", "http://", "http://[::1", ""])
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInputError, match="http://host:port"):
        Connection(url)


def test_requests_carry_the_token_and_only_fields_that_are_set(zoo_of: ZooOf) -> None:
    seen: list[httpx.Request] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, json={"items": [], "next_cursor": None, "facets": None})

    zoo_of(answer).modules.search(ModuleSearch(namespace="ada"), limit=7)
    assert seen[0].headers["Authorization"] == "Bearer secret"
    assert dict(seen[0].url.params) == {"namespace": "ada", "sort": "-published_at", "limit": "7"}


def test_a_search_goes_through_every_page(zoo_of: ZooOf) -> None:
    cursors: list[str | None] = []

    def answer(request: httpx.Request) -> httpx.Response:
        cursors.append(request.url.params.get("cursor"))
        return httpx.Response(200, json={"items": [], "next_cursor": {None: "b", "b": "c"}.get(cursors[-1])})

    assert list(zoo_of(answer).modules.every(ModuleSearch())) == []
    assert cursors == [None, "b", "c"]


def test_an_alias_moves_only_from_the_revision_that_was_seen(zoo_of: ZooOf) -> None:
    held: list[tuple[str | None, str | None]] = []

    def answer(request: httpx.Request) -> httpx.Response:
        held.append((request.headers.get("If-Match"), request.headers.get("If-None-Match")))
        return problem(412, code="precondition_failed", detail="moved")

    for revision in (None, 3):
        with pytest.raises(PreconditionFailedError):
            zoo_of(answer).modules.set_alias("ada/digits", "best", 2, revision=revision)
    assert held == [(None, "*"), ('"3"', None)]


def job_json(status: JobStatus, done: int = 0) -> str:
    progress = Progress(stage="epoch", done=done, total=9)
    job = {"id": 1, "status": status, "work": train_work().model_dump(mode="json"), "created_at": NOW.isoformat()}
    return httpx.Response(200, json={**job, "progress": progress.model_dump(mode="json")}).text


def test_events_go_on_over_a_new_connection_after_a_break(zoo_of: ZooOf) -> None:
    connections: list[str] = []

    def broken() -> Iterator[bytes]:
        yield b": hello\n\nevent: progress\ndata: " + job_json(JobStatus.RUNNING, 1).encode() + b"\n\n"
        raise httpx.ReadError("reset")

    def answer(request: httpx.Request) -> httpx.Response:
        connections.append(request.url.path)
        if len(connections) == 1:
            return httpx.Response(200, content=broken())
        lines = [job_json(JobStatus.RUNNING, 1), job_json(JobStatus.RUNNING, 2), job_json(JobStatus.DONE, 9)]
        return httpx.Response(200, text="".join(f"data: {line}\r\n\r\n" for line in lines))

    states = [(job.status, job.progress.done) for job in zoo_of(answer).jobs.events(1)]
    assert states == [("running", 1), ("running", 2), ("done", 9)]
    assert connections == ["/jobs/1/events"] * 2


def test_events_that_never_come_are_an_error(zoo_of: ZooOf) -> None:
    with pytest.raises(ZooError, match="ended before"):
        list(zoo_of(lambda _: httpx.Response(200, text="")).jobs.events(1))


def test_event_data_is_put_together_from_its_lines() -> None:
    lines = ["event: a", "data: one", "data: two", "", ": comment", "", "data:three", "", "data: never ended"]
    assert list(event_data(iter(lines))) == ["one\ntwo", "three"]


def test_names_with_strange_line_separators_survive_in_events(zoo_of: ZooOf) -> None:
    text = job_json(JobStatus.DONE).replace('"stage":"epoch"', '"stage":"a\u2028b\x85c"')
    states = list(zoo_of(lambda _: httpx.Response(200, content=f"data: {text}\n\n".encode())).jobs.events(1))
    assert states[0].progress.stage == "a\u2028b\x85c"


def test_a_blob_is_known_by_its_digest_only(zoo_of: ZooOf) -> None:
    assert zoo_of(lambda request: httpx.Response(200)).blobs.has(digest_of("x"))
    assert not zoo_of(lambda request: httpx.Response(404)).blobs.has(digest_of("x"))


def test_a_post_whose_answer_was_lost_is_sent_again_under_the_same_key(zoo_of: ZooOf) -> None:
    keys: list[str] = []

    def lose_the_first_answer(request: httpx.Request) -> httpx.Response:
        keys.append(request.headers["Idempotency-Key"])
        if len(keys) == 1:
            raise httpx.RemoteProtocolError("the connection was closed", request=request)
        return httpx.Response(503, headers={"Retry-After": "0"}) if len(keys) == 2 else problem(404, code="not_found")

    zoo = zoo_of(lose_the_first_answer)
    with pytest.raises(NotFoundError):
        zoo.tasks.create(digest_of(1))
    assert len(keys) == 3
    assert len(set(keys)) == 1
    with pytest.raises(NotFoundError):
        zoo.tasks.create(digest_of(1))
    assert len(set(keys)) == 2, "another request has another key"


def test_a_request_without_a_key_is_not_sent_again_when_its_answer_was_lost(zoo_of: ZooOf) -> None:
    sent = []

    def lose(request: httpx.Request) -> httpx.Response:
        sent.append(request)
        raise httpx.ReadError("reset", request=request)

    with pytest.raises(ServiceUnreachableError):
        zoo_of(lose).jobs.claim(["train"], worker="w", wait_seconds=0)
    assert len(sent) == 1
