"""`zoo search` and `zoo show` tell whether a worker has verified a version."""

import json
from pathlib import Path

import pytest
import structlog
from typer.testing import CliRunner

from client.cli.app import application
from tests.api.serving import serving
from tests.numpy_worker import publish_only, quadrant_module, verify_all


def run(*arguments: str) -> str:
    """What `zoo` prints on a wide terminal."""
    done = CliRunner().invoke(application(arguments), list(arguments))
    assert done.exit_code == 0, done.output
    return done.output


@pytest.mark.parametrize(
    ("refused", "cell", "line"), [(None, " yes ", "yes, 20"), ("[not] finite", " refused ", ": [not] finite")]
)
def test_the_state_of_a_version_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str | None, cell: str, line: str
) -> None:
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")
    try:
        with serving(tmp_path) as service:
            monkeypatch.setenv("ZOO_URL", str(service.http.base_url).rstrip("/"))
            module = publish_only(service.zoo, "ada/seeing", quadrant_module())
            assert " not yet " in run("search")
            verify_all(service.zoo, refused={} if refused is None else {module.digest: refused})
            assert cell in run("search")
            assert line in run("show", "ada/seeing")
            found = json.loads(run("search", "--verified", "--json"))["items"]
            assert len(found) == (refused is None)
    finally:
        structlog.reset_defaults()
