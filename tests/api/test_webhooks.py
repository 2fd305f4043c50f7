"""Webhooks over HTTP and to a real receiver: signed, in order, resumed, and gone when they are removed."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from api.errands import running_errands
from registry import webhooks
from tests.api.serving import Service, serving
from tests.api.test_modules import publish
from tests.numpy_worker import linear_module
from tests.receiver import Receiver, receiving, right_signature


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), webhook_private=True) as running:
        yield running


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as running:
        yield running


def create(service: Service, url: str, **fields: object) -> dict[str, object]:
    """A webhook, and where it is."""
    made = service.http.post("/webhooks", json={"url": url, **fields})
    assert made.status_code == 201, made.text
    assert made.headers["location"] == f"/webhooks/{made.json()['id']}"
    return dict(made.json())


def deliver(service: Service) -> int:
    """Deliver what is due."""
    assert service.zoo.courier is not None
    return service.zoo.courier.deliver_due()


def told(receiver: Receiver) -> list[str]:
    """What was told of, in order."""
    return [json.loads(each.body)["data"]["ref"] for each in receiver.requests]


def test_a_change_is_delivered_with_a_signature_that_anybody_can_check(service: Service, receiver: Receiver) -> None:
    webhook = create(service, receiver.url)
    made = publish(service.http, "hook/signed", linear_module(1)).json()
    assert deliver(service) == 1
    assert deliver(service) == 0
    received = receiver.requests[0]
    assert received.headers["webhook-signature"] == right_signature(str(webhook["secret"]), received)
    assert abs(int(received.headers["webhook-timestamp"]) - time.time()) < 60
    body = json.loads(received.body)
    assert (body["type"], body["data"]["ref"], body["data"]["detail"]) == ("publish", "hook/signed@1", made["digest"])
    assert body["data"] == service.http.get("/changes", params={"since": body["data"]["serial"] - 1}).json()["items"][0]
    service.http.delete(f"/webhooks/{webhook['id']}")


def test_only_what_was_asked_for_is_delivered(service: Service, receiver: Receiver) -> None:
    webhook = create(service, receiver.url, events=["yank"], namespace="hook-mine")
    for name in ("hook-mine/a", "hook-other/a"):
        publish(service.http, name, linear_module(2))
        service.http.put(f"/modules/{name}/versions/1/yank", json={"reason": "no"})
    deliver(service)
    assert told(receiver) == ["hook-mine/a@1"]
    assert json.loads(receiver.requests[0].body)["type"] == "yank"
    shown = service.http.get(f"/webhooks/{webhook['id']}").json()
    assert shown["serial"] == service.zoo.changes.serial()
    service.http.delete(f"/webhooks/{webhook['id']}")


def test_the_secret_is_told_once(service: Service, receiver: Receiver) -> None:
    webhook = create(service, receiver.url)
    assert str(webhook["secret"]).startswith("whsec_")
    shown = service.http.get(f"/webhooks/{webhook['id']}").json()
    listed = service.http.get("/webhooks").json()["items"]
    assert "secret" not in shown
    assert shown in listed
    assert "whsec_" not in json.dumps(service.http.get("/audit").json())
    service.http.delete(f"/webhooks/{webhook['id']}")


def test_every_try_can_be_seen(service: Service, receiver: Receiver) -> None:
    webhook = create(service, receiver.url)
    receiver.answer = lambda _: 500
    publish(service.http, "hook/tries", linear_module(3))
    deliver(service)
    path = f"/webhooks/{webhook['id']}/deliveries"
    tried = service.http.get(path).json()["items"]
    assert [(each["attempt"], each["status"], each["error"]) for each in tried] == [(1, 500, None)]
    assert service.http.get(f"/webhooks/{webhook['id']}").json()["failures"] == 1
    service.http.delete(f"/webhooks/{webhook['id']}")
    assert service.http.get(path).status_code == 404


def test_a_redirect_is_an_answer_and_is_not_followed(service: Service, receiver: Receiver) -> None:
    with receiving() as other:
        receiver.answer, receiver.headers = (lambda _: 302), {"Location": other.url}
        webhook = create(service, receiver.url)
        publish(service.http, "hook/moved", linear_module(4))
        deliver(service)
        assert (len(receiver.requests), other.requests) == (1, [])
        tried = service.http.get(f"/webhooks/{webhook['id']}/deliveries").json()["items"]
        assert tried[0]["status"] == 302
        service.http.delete(f"/webhooks/{webhook['id']}")


def test_a_removed_webhook_is_told_nothing_more(service: Service, receiver: Receiver) -> None:
    webhook = create(service, receiver.url)
    assert service.http.delete(f"/webhooks/{webhook['id']}").status_code == 204
    publish(service.http, "hook/removed", linear_module(5))
    deliver(service)
    assert receiver.requests == []
    assert service.http.delete(f"/webhooks/{webhook['id']}").status_code == 404


def test_making_a_webhook_twice_under_one_key_makes_one(service: Service, receiver: Receiver) -> None:
    key = {"Idempotency-Key": "one-hook"}
    made = [service.http.post("/webhooks", json={"url": receiver.url}, headers=key) for _ in range(2)]
    assert made[0].content == made[1].content
    service.http.delete(made[0].headers["location"])


@pytest.mark.parametrize(
    "url",
    [
        *("ftp://zoo.test/", "zoo.test", "http://", "http://user:secret@zoo.test/", "http://zoo.test/#part", ""),
        *("http://zoo.test:99999/", "http://[::1/", "http://zoo.test/a b", "javascript:alert(1)", "file:///etc/passwd"),
    ],
)
def test_an_address_that_is_none_is_refused(service: Service, url: str) -> None:
    answer = service.http.post("/webhooks", json={"url": url})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/url")


@pytest.mark.parametrize(
    "body", [{}, {"url": "https://zoo.test", "events": ["submit"]}, {"url": "https://zoo.test", "secret": "x"}]
)
def test_a_webhook_that_asks_for_what_is_private_is_refused(service: Service, body: dict[str, object]) -> None:
    assert service.http.post("/webhooks", json=body).status_code == 422


def test_one_webhook_more_than_the_limit_is_refused(fresh: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MOST_WEBHOOKS", 2)
    url = {"url": "https://zoo.test/hook"}
    answers = [fresh.http.post("/webhooks", json=url) for _ in range(3)]
    assert [each.status_code for each in answers] == [201, 201, 422]
    assert "you have 2 webhooks already" in answers[2].json()["detail"]
    fresh.http.delete(answers[0].headers["location"]).raise_for_status()
    assert fresh.http.post("/webhooks", json=url).status_code == 201


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9/", "http://localhost/", "http://[::1]/", "http://169.254.169.254/"]
)
def test_without_the_setting_this_machine_is_refused_at_once(fresh: Service, url: str) -> None:
    answer = fresh.http.post("/webhooks", json={"url": url})
    assert (answer.status_code, "ZOO_WEBHOOK_PRIVATE" in answer.json()["detail"]) == (422, True)


def test_the_service_delivers_by_itself_and_goes_on_after_a_restart(tmp_path: Path, receiver: Receiver) -> None:
    with serving(tmp_path, webhook_private=True) as first:
        create(first, receiver.url)
        publish(first.http, "hook/before", linear_module(6))
        asyncio.run(served_until(first, lambda: len(receiver.requests) >= 1))
        publish(first.http, "hook/between", linear_module(7))
    with serving(tmp_path, webhook_private=True) as second:
        publish(second.http, "hook/after", linear_module(8))
        asyncio.run(served_until(second, lambda: len(receiver.requests) >= 3))
    assert told(receiver) == ["hook/before@1", "hook/between@1", "hook/after@1"]


async def served_until(service: Service, done: object) -> None:
    """Run what the service does beside answering, until something has happened."""
    async with running_errands(service.app):
        deadline = time.monotonic() + 20
        while not done() and time.monotonic() < deadline:  # type: ignore[operator]
            await asyncio.sleep(0.02)


def test_what_is_not_there_is_not_found(http: httpx.Client) -> None:
    for path in ("/webhooks/none", "/webhooks/none/deliveries"):
        assert http.get(path).status_code == 404
