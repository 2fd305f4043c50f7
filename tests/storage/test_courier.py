"""The courier on both databases: in order, at least once, one at a time, later where it failed."""

import itertools
import multiprocessing
import os
import signal
import threading
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta

import pytest

from registry.audit import note
from registry.courier import AT_ONCE, FIRST_PAUSE, GIVEN_UP_AFTER, KEPT, LEASE, LONGEST_PAUSE, TURN, Courier
from registry.ports import Begin
from registry.settings import Settings
from registry.webhook_records import Delivery, NewWebhook, Sent, Webhook
from registry.webhooks import WebhookService
from storage.engine import open_engine
from storage.unit_of_work import units_of_work
from tests.builders import NOW

URL = "https://receiver.test/"


class Line:
    """A receiver at the other end of the port, and a clock; `answers` are given one after the other, then 200."""

    def __init__(self) -> None:
        self.now, self.seconds_each = NOW, 0.0
        self.sent: list[str] = []
        self.answers: list[Sent] = []
        self.lock = threading.Lock()

    def clock(self) -> datetime:
        return self.now

    def send(self, url: str, *, body: bytes, headers: Mapping[str, str]) -> Sent:
        with self.lock:
            self.sent.append(headers["webhook-id"])
            self.now += timedelta(seconds=self.seconds_each)
            return self.answers.pop(0) if self.answers else Sent(200)

    def serials(self) -> list[int]:
        return [int(message.rpartition("-")[2]) for message in self.sent]


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def courier(begin: Begin, line: Line) -> Courier:
    return Courier(begin, line.clock, line.send)


@pytest.fixture
def webhooks(begin: Begin, line: Line) -> WebhookService:
    return WebhookService(begin, line.clock, Settings())


@pytest.fixture
def webhook(webhooks: WebhookService) -> Webhook:
    return webhooks.create(NewWebhook(url=URL), owner="ada")


def publish(begin: Begin, count: int, *, namespace: str = "ada") -> None:
    """Change something so often."""
    for n in range(count):
        with begin() as work:
            note(work, "publish", f"{namespace}/digits@{n + 1}", at=NOW)


def test_changes_are_delivered_in_order_and_once(begin: Begin, webhook: Webhook, courier: Courier, line: Line) -> None:
    publish(begin, 5)
    assert (courier.deliver_due(), courier.deliver_due()) == (5, 0)
    assert line.serials() == [2, 3, 4, 5, 6], "1 is the webhook itself, which is nobody's business"


def test_what_happened_before_is_not_delivered(
    begin: Begin, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    publish(begin, 3)
    webhooks.create(NewWebhook(url=URL), owner="ada")
    publish(begin, 1)
    courier.deliver_due()
    assert line.serials() == [5]


def test_one_that_fails_is_sent_again_later_and_the_others_wait(
    begin: Begin, webhook: Webhook, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    publish(begin, 2)
    line.answers = [Sent(500), Sent(None, "no answer")]
    assert (courier.deliver_due(), courier.deliver_due()) == (1, 0)
    line.now += FIRST_PAUSE
    assert courier.deliver_due() == 1
    line.now += 2 * FIRST_PAUSE - timedelta(microseconds=1)
    assert courier.deliver_due() == 0, "the second pause is twice the first"
    line.now += timedelta(microseconds=1)
    assert courier.deliver_due() == 2
    assert line.serials() == [2, 2, 2, 3]
    assert len(set(line.sent)) == 2, "it has the same id each time"
    tried = webhooks.deliveries(webhook.id, owner="ada", limit=9, cursor=None).items
    assert [(each.serial, each.attempt, each.status) for each in tried] == [
        (3, 1, 200),
        (2, 3, 200),
        (2, 2, None),
        (2, 1, 500),
    ]
    first = webhooks.deliveries(webhook.id, owner="ada", limit=3, cursor=None)
    rest = webhooks.deliveries(webhook.id, owner="ada", limit=3, cursor=first.next_cursor)
    assert (*first.items, *rest.items) == tried
    assert webhooks.get(webhook.id, owner="ada").failures == 0


def test_one_that_fails_for_days_is_given_up_with_the_reason(
    begin: Begin, webhook: Webhook, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    publish(begin, 1)
    line.answers = [Sent(None, "no answer: refused")] * 1000
    pauses = []
    while (now := webhooks.get(webhook.id, owner="ada")).disabled is None:
        assert courier.deliver_due() == (now.next_at <= line.now)
        following = webhooks.get(webhook.id, owner="ada").next_at
        pauses.append(following - line.now)
        line.now = following
    assert max(pauses) == LONGEST_PAUSE
    assert GIVEN_UP_AFTER <= line.now - NOW <= GIVEN_UP_AFTER + 2 * LONGEST_PAUSE
    assert now.disabled == "no delivery succeeded for 5 days; at last no answer: refused"
    line.now += GIVEN_UP_AFTER
    assert courier.deliver_due() == 0


def test_a_receiver_that_is_gone_is_given_up_at_once(
    begin: Begin, webhook: Webhook, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    publish(begin, 2)
    line.answers = [Sent(410)]
    courier.deliver_due()
    assert "410" in str(webhooks.get(webhook.id, owner="ada").disabled)
    line.now += GIVEN_UP_AFTER
    assert courier.deliver_due() == 0


def test_a_receiver_that_fails_does_not_hold_up_another(
    begin: Begin, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    made = [webhooks.create(NewWebhook(url=URL), owner="ada").id for _ in range(2)]
    publish(begin, 3)
    line.answers = [Sent(500)]
    courier.deliver_due()
    served = Counter(message.rpartition("-")[0] for message in line.sent)
    assert sorted(served.values()) == [1, 3]
    assert set(served) == set(made)


def test_a_slow_receiver_lets_others_go_first(
    begin: Begin, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    for _ in range(2):
        webhooks.create(NewWebhook(url=URL), owner="ada")
    publish(begin, 6)
    line.seconds_each = TURN.total_seconds() / 2
    courier.deliver_due()
    turns = [message.rpartition("-")[0] for message in line.sent]
    assert len(turns) == 12
    assert sum(a != b for a, b in itertools.pairwise(turns)) > 1
    assert turns[0] == turns[1] == turns[2] != turns[3]


def test_many_changes_that_are_not_wanted_are_passed_over(
    begin: Begin, webhooks: WebhookService, courier: Courier, line: Line
) -> None:
    made = webhooks.create(NewWebhook(url=URL, namespace="bob"), owner="ada")
    publish(begin, AT_ONCE + 20)
    publish(begin, 1, namespace="bob")
    publish(begin, 1)
    while courier.deliver_due():
        pass
    assert line.serials() == [AT_ONCE + 22]
    assert webhooks.get(made.id, owner="ada").serial == AT_ONCE + 23


def test_couriers_of_many_replicas_deliver_each_change_once(begin: Begin, webhooks: WebhookService, line: Line) -> None:
    for _ in range(3):
        webhooks.create(NewWebhook(url=URL), owner="ada")
    couriers = [Courier(begin, line.clock, line.send) for _ in range(4)]
    with ThreadPoolExecutor(5) as pool:
        publishing = pool.submit(publish, begin, 20)
        for _ in range(8):
            list(pool.map(Courier.deliver_due, couriers))
        publishing.result()
        list(pool.map(Courier.deliver_due, couriers))
    assert Counter(line.sent).most_common(1)[0][1] == 1
    assert len(line.sent) == 60
    per_hook = {hook: [int(m.rpartition("-")[2]) for m in line.sent if m.startswith(hook)] for hook in hooks(line)}
    assert all(serials == sorted(serials) for serials in per_hook.values())


def hooks(line: Line) -> set[str]:
    return {message.rpartition("-")[0] for message in line.sent}


def test_a_webhook_that_is_removed_while_something_is_sent_stays_removed(
    begin: Begin, webhook: Webhook, webhooks: WebhookService, line: Line
) -> None:
    publish(begin, 2)

    def send(url: str, *, body: bytes, headers: Mapping[str, str]) -> Sent:
        webhooks.remove(webhook.id, owner="ada", by="ada")
        return line.send(url, body=body, headers=headers)

    assert Courier(begin, line.clock, send).deliver_due() == 1
    assert webhooks.list(owner="ada", limit=9, cursor=None).items == ()


def test_after_kill_9_another_delivers_again_what_nobody_knows_of(
    begin: Begin, database: str, webhook: Webhook, courier: Courier, line: Line
) -> None:
    publish(begin, 3)
    process = multiprocessing.get_context("spawn").Process(target=deliver_and_die, args=(database,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    assert courier.deliver_due() == 0, "the lease of the one who died is not over"
    line.now += LEASE
    assert courier.deliver_due() == 2, "the first of three was delivered and kept; the second may come twice"
    assert line.serials() == [3, 4]


def deliver_and_die(database: str) -> None:
    """What a process does that is killed after the second request was answered, and before that was kept."""
    line = Line()

    def send(url: str, *, body: bytes, headers: Mapping[str, str]) -> Sent:
        sent = line.send(url, body=body, headers=headers)
        if len(line.sent) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return sent

    Courier(units_of_work(open_engine(database)), line.clock, send).deliver_due()


def test_deliveries_are_forgotten_in_time(begin: Begin, webhook: Webhook, webhooks: WebhookService) -> None:
    old = Delivery(serial=1, attempt=1, at=NOW, status=200, milliseconds=1.0)
    new = old.model_copy(update={"at": NOW + KEPT + timedelta(seconds=1)})
    with begin() as work:
        work.webhooks.add_delivery(webhook.id, old, forget_before=NOW)
        work.webhooks.add_delivery(webhook.id, new, forget_before=new.at - KEPT)
    assert webhooks.deliveries(webhook.id, owner="ada", limit=9, cursor=None).items == (new,)


def test_webhooks_are_their_owners_alone(webhook: Webhook, webhooks: WebhookService) -> None:
    other = webhooks.create(NewWebhook(url=URL, events=("yank",)), owner="bob")
    assert [each.id for each in webhooks.list(owner="ada", limit=9, cursor=None).items] == [webhook.id]
    assert {each.id for each in webhooks.list(owner=None, limit=9, cursor=None).items} == {webhook.id, other.id}
    assert webhooks.get(other.id, owner="bob").events == ("yank",)
