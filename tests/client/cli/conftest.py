from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog

from client.zoo import Zoo
from tests.api.serving import Service, serving


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of its own for each file of tests, without any module."""
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        yield running


@pytest.fixture
def no_logs_of_the_service() -> Iterator[None]:
    """The service runs in this process, whose standard output is the command's."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


@pytest.fixture
def zoo(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zoo]:
    """The service as commands find it."""
    url = str(service.http.base_url).rstrip("/")
    monkeypatch.setenv("ZOO_URL", url)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    with Zoo(url, cache=tmp_path / "cache") as connected:
        yield connected
