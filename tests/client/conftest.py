"""A zoo whose service is a function: for faults on the way, which no real service makes on demand."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from client.connection import Timeouts
from client.zoo import Zoo

FAST = Timeouts(connect_seconds=2.0, stall_seconds=0.3, answer_seconds=2.0, retry_seconds=0.001, tries=3)

Handler = Callable[[httpx.Request], httpx.Response]
ZooOf = Callable[[Handler], Zoo]


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def zoo_of(cache: Path) -> ZooOf:
    def make(handler: Handler) -> Zoo:
        return Zoo("http://zoo.test", "secret", cache=cache, timeouts=FAST, transport=httpx.MockTransport(handler))

    return make
