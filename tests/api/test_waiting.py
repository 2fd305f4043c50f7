"""Waiting, and the guests among the bytes."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge
from starlette.requests import ClientDisconnect, Request

from api.door import IDENTITY
from api.guests import Guests
from api.waiting import WaitingRoom
from registry.access import Identity, TokenRole
from registry.errors import BusyError
from registry.settings import Settings
from registry.zoo import Zoo
from storage.wiring import open_zoo


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return open_zoo(Settings(home=tmp_path))


def room(limit: int = 2, **more: int) -> WaitingRoom:
    return WaitingRoom(Gauge("waiting", "Waiting.", registry=CollectorRegistry()), limit=limit, **more)


def asked(*, gone: bool = False, token: str = "one") -> Request:
    """A request whose caller is there, or has gone."""
    identity = Identity("ada", TokenRole.READER, token_id=token)

    async def receive() -> dict[str, object]:
        if gone:
            return {"type": "http.disconnect"}
        await asyncio.sleep(60)
        raise AssertionError("nobody waits so long")

    return Request({"type": "http", "headers": [], IDENTITY: identity}, receive)


def after(count: int) -> Callable[[], int | None]:
    """Something that is there at the so-manieth look."""
    looks = iter(range(1, 10_000))
    return lambda: seen if (seen := next(looks)) >= count else None


def test_what_comes_in_time_is_found() -> None:
    assert asyncio.run(room().wait_for(after(3), seconds=10, request=asked())) == 3


def test_no_time_looks_once() -> None:
    looks = after(10)
    assert asyncio.run(room().wait_for(looks, seconds=0, request=asked())) is None
    assert looks() is None


def test_the_time_is_kept() -> None:
    assert asyncio.run(room().wait_for(lambda: None, seconds=0.2, request=asked())) is None


def test_who_has_gone_is_not_waited_for() -> None:
    with pytest.raises(ClientDisconnect):
        asyncio.run(room().wait_for(after(100), seconds=10, request=asked(gone=True)))


def test_too_many_are_told_to_come_again() -> None:
    async def crowd() -> list[object]:
        there = room(limit=2)
        waits = [there.wait_for(lambda: None, seconds=0.3, request=asked()) for _ in range(3)]
        return await asyncio.gather(*waits, return_exceptions=True)

    found = asyncio.run(crowd())
    assert found.count(None) == 2
    assert sum(isinstance(each, BusyError) for each in found) == 1


def test_one_caller_cannot_take_all_seats() -> None:
    async def crowd() -> list[object]:
        there = room(limit=4, share=2)
        tokens = ["one", "one", "one", "other"]
        waits = [there.wait_for(lambda: None, seconds=0.3, request=asked(token=token)) for token in tokens]
        found = await asyncio.gather(*waits, return_exceptions=True)
        return [*found, await there.wait_for(lambda: None, seconds=0.1, request=asked())]

    *mine, others, afterwards = asyncio.run(crowd())
    (refused,) = [each for each in mine if each is not None]
    assert isinstance(refused, BusyError)
    assert "2 requests of yours" in refused.detail
    assert (others, afterwards) == (None, None)


def test_who_can_look_later_goes_on_where_there_is_no_seat() -> None:
    looks = after(2)
    assert asyncio.run(room(limit=0).wait_or_go_on(looks, seconds=10, request=asked())) is None
    assert asyncio.run(room(limit=0).wait_or_go_on(looks, seconds=10, request=asked())) == 2


def test_a_guest_goes_with_its_last_holder(zoo: Zoo) -> None:
    guests, digest = Guests(zoo), zoo.blobs.put(b"once")
    zoo.blobs.delete(digest)
    assert guests.enter(digest) is False
    zoo.blobs.put(b"once")
    assert guests.enter(digest) is True
    guests.leave(digest)
    assert zoo.blobs.get(digest) == b"once"
    guests.leave(digest)
    assert guests.enter(digest) is False


def test_what_was_there_before_or_is_kept_stays(zoo: Zoo) -> None:
    guests, digest = Guests(zoo), zoo.blobs.put(b"before")
    assert guests.enter(digest) is True
    guests.leave(digest)
    assert zoo.blobs.get(digest) == b"before"
    zoo.blobs.delete(digest)
    guests.enter(digest)
    zoo.blobs.put(b"before")
    guests.keep(digest)
    guests.leave(digest)
    assert zoo.blobs.get(digest) == b"before"


def test_holders_in_many_threads_leave_nothing(zoo: Zoo) -> None:
    guests, digest = Guests(zoo), zoo.blobs.put(b"many")
    zoo.blobs.delete(digest)
    missing = []

    def visit() -> None:
        for _ in range(20):
            guests.enter(digest)
            zoo.blobs.put(b"many")
            try:
                zoo.blobs.info(digest)
            except Exception as error:  # noqa: BLE001
                missing.append(error)
            guests.leave(digest)

    threads = [threading.Thread(target=visit) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert missing == []
    assert guests.enter(digest) is False
