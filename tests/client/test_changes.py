"""A mirror of one's own follows the feed with the client."""

import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from client.zoo import Zoo
from tests.api.serving import Service, serving
from tests.api.test_modules import publish
from tests.numpy_worker import linear_module


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path / "service") as running:
        yield running


def test_changes_are_read_page_after_page_and_waited_for(service: Service, cache: Path) -> None:
    for seed in range(3):
        publish(service.http, "ada/digits", linear_module(seed))
    with Zoo(str(service.http.base_url), cache=cache) as zoo:
        first = zoo.changes.since(0, limit=2)
        rest = zoo.changes.since(first.serial)
        assert [change.ref for change in (*first.items, *rest.items)] == [f"ada/digits@{n}" for n in (1, 2, 3)]
        assert (first.more, rest.more) == (True, False)
        assert zoo.changes.since(rest.serial).items == ()
        timer = threading.Timer(0.3, publish, args=(service.http, "eve/digits", linear_module(9)))
        timer.start()
        assert zoo.changes.since(rest.serial, namespace="eve", wait_seconds=20).items[0].ref == "eve/digits@1"
        timer.join()
