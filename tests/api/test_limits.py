"""Rate limits: so many requests a minute of one token or address, told in headers, refused at the door."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api import limits
from api.limits import Buckets, Limits
from registry.access import NOBODY, OPERATOR, TokenRole
from registry.errors import RateLimitedError
from registry.settings import Settings
from registry.tokens import new_secret
from tests.api.serving import Service, serving
from tests.api.test_access import secret_of

TOKEN = "the-operator-of-this-test"


class Seconds:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@contextmanager
def limited(home: Path, **settings: object) -> Iterator[Service]:
    with serving(home, token=TOKEN, **settings) as service:
        yield service


def test_a_bucket_gives_what_it_holds_and_fills_up_steadily() -> None:
    clock = Seconds()
    bucket = Buckets("requests", 6, clock)
    assert [bucket.take("ada") >= 0 for _ in range(8)] == [True] * 6 + [False] * 2
    assert bucket.take("bob") == 5
    clock.now += 10
    assert [bucket.take("ada") >= 0 for _ in range(2)] == [True, False]
    clock.now += 10_000
    assert [bucket.take("ada") >= 0 for _ in range(7)] == [True] * 6 + [False]


def test_a_clock_that_goes_back_gives_nothing() -> None:
    clock = Seconds()
    bucket = Buckets("requests", 2, clock)
    bucket.take("ada"), bucket.take("ada")
    clock.now -= 500
    assert bucket.take("ada") < 0


def test_buckets_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "MOST_BUCKETS", 100)
    bucket = Buckets("requests", 2)
    for number in range(1000):
        bucket.take(str(number))
    assert len(bucket._buckets) == 100


def test_addresses_of_one_network_count_as_one() -> None:
    some = Limits(Settings(host="0.0.0.0", rate_limit=2))
    for last in ("1", "2"):
        some.take(NOBODY, f"2001:db8::{last}", None)
    with pytest.raises(RateLimitedError):
        some.take(NOBODY, "2001:db8::3", None)
    some.take(NOBODY, "2001:db8:0:1::3", None)
    some.take(NOBODY, "10.0.0.1", None)
    some.take(NOBODY, "::ffff:10.0.0.1", None)
    with pytest.raises(RateLimitedError):
        some.take(NOBODY, "10.0.0.1", None)
    some.take(NOBODY, "::ffff:10.0.0.2", None)
    some.take(NOBODY, None, None)
    some.take(OPERATOR, "2001:db8::3", None)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({}, (0, 0)),
        ({"host": "0.0.0.0"}, (6000, 240)),
        ({"rate_limit": 5, "question_limit": 6}, (5, 6)),
        ({"host": "0.0.0.0", "rate_limit": 0, "question_limit": 0}, (0, 0)),
    ],
)
def test_on_loopback_there_is_no_limit_unless_one_is_set(
    settings: dict[str, object], expected: tuple[int, int]
) -> None:
    made = Settings.model_validate(settings)
    assert (made.requests_a_minute, made.questions_a_minute) == expected


def test_answers_tell_what_is_left_and_a_refusal_when_to_come_back(tmp_path: Path) -> None:
    with limited(tmp_path, rate_limit=3) as service:
        answers = [service.http.get("/modules") for _ in range(4)]
        assert [each.status_code for each in answers] == [200, 200, 200, 429]
        assert {each.headers["ratelimit-policy"] for each in answers} == {'"requests";q=3;w=60'}
        left = [re.fullmatch(r'"requests";r=(\d+);t=\d+', each.headers["ratelimit"]) for each in answers]
        assert [int(each[1]) for each in left if each] == [2, 1, 0, 0]
        refused = answers[-1]
        assert (refused.json()["code"], refused.headers["content-type"]) == ("rate_limited", "application/problem+json")
        assert 1 <= int(refused.headers["retry-after"]) <= 20
        assert "ZOO_RATE_LIMIT" in refused.json()["detail"]


def test_tokens_are_counted_apart_from_each_other_and_from_their_address(tmp_path: Path) -> None:
    with limited(tmp_path, rate_limit=2) as service:
        one, other = ({"Authorization": f"Bearer {secret_of(service, TokenRole.READER)}"} for _ in range(2))
        assert [service.http.get("/modules", headers=one).status_code for _ in range(3)] == [200, 200, 429]
        assert [service.http.get("/modules", headers=other).status_code for _ in range(3)] == [200, 200, 429]
        assert [service.http.get("/modules").status_code for _ in range(3)] == [200, 200, 429]


def test_questions_are_counted_by_themselves_too(tmp_path: Path) -> None:
    with limited(tmp_path, rate_limit=100, question_limit=2) as service:
        reader = {"Authorization": f"Bearer {secret_of(service, TokenRole.READER)}"}
        asked = [service.http.post("/transferability", json={"task": "task-none"}, headers=reader) for _ in range(3)]
        assert [each.status_code for each in asked] == [404, 404, 429]
        assert asked[0].headers["ratelimit-policy"] == '"requests";q=100;w=60, "questions";q=2;w=60'
        assert '"questions";r=1' in asked[0].headers["ratelimit"]
        assert "ZOO_QUESTION_LIMIT" in asked[-1].json()["detail"]
        assert service.http.get("/tasks", headers=reader).status_code == 200


def test_files_that_have_to_be_put_together_count_as_questions(tmp_path: Path) -> None:
    with limited(tmp_path, rate_limit=100, question_limit=1) as service:
        asked = [service.http.head("/pipelines/none/file").status_code for _ in range(2)]
        assert asked == [404, 429]
        assert service.http.get("/pipelines/none").status_code == 404


def test_whoever_tries_tokens_is_stopped_and_who_has_a_right_one_is_not(tmp_path: Path) -> None:
    with limited(tmp_path) as service:
        idle = {"Authorization": f"Bearer {secret_of(service, TokenRole.READER)}"}
        codes = [guess(service, number).status_code for number in range(limits.FAILURES_PER_MINUTE + 2)]
        assert codes == [401] * limits.FAILURES_PER_MINUTE + [429] * 2
        assert int(guess(service, 0).headers["retry-after"]) >= 1
        unknown = {"Authorization": f"Bearer {new_secret()}"}
        assert service.http.get("/tasks", headers=unknown).status_code == 429
        for right in (idle, {"Authorization": f"Bearer {TOKEN}"}):
            assert service.http.get("/tasks", headers=right).status_code == 200
        assert service.http.get("/modules").status_code == 200


def test_a_short_token_of_the_operators_is_not_found_by_trying_on(tmp_path: Path) -> None:
    with serving(tmp_path, token="short") as service:
        for number in range(limits.FAILURES_PER_MINUTE):
            assert guess(service, number).status_code == 401
        assert service.http.get("/tasks", headers={"Authorization": "Bearer short"}).status_code == 429


def guess(service: Service, number: int) -> httpx.Response:
    return service.http.get("/tasks", headers={"Authorization": f"Bearer guess-{number}"})


def test_a_body_is_not_read_when_there_were_too_many_requests(tmp_path: Path) -> None:
    with limited(tmp_path, rate_limit=1) as service:
        operator = {"Authorization": f"Bearer {TOKEN}"}
        service.http.get("/modules", headers=operator)
        assert service.http.post("/datasets", content=b"x" * 10_000_000, headers=operator).status_code == 429
        assert service.blobs() == set()
