"""One service for all tests of a file; tests use names of their own, or `fresh` where they need an empty zoo."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.api.serving import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture
def http(service: Service) -> httpx.Client:
    return service.http


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Service]:
    with serving(tmp_path) as running:
        yield running
