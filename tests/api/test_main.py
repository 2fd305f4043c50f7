"""`python -m api`: it starts where that is safe, says why where it is not, and ends when told to."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from api.__main__ import main
from api.asgi import application
from registry.errors import SettingsError
from registry.settings import Settings
from tests.api.serving import START_SECONDS


def start(home: Path, **settings: str) -> subprocess.Popen[str]:
    """The service as a process of its own."""
    given = {f"ZOO_{name.upper()}": value for name, value in settings.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
    return subprocess.Popen(
        [sys.executable, "-m", "api"],
        env={**kept, "ZOO_HOME": str(home), **given},
        cwd=Path(__file__).parents[2],
        stderr=subprocess.PIPE,
        text=True,
    )


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@pytest.mark.parametrize(
    ("settings", "named"),
    [({"host": "0.0.0.0"}, "ZOO_TOKEN"), ({"port": "many"}, "ZOO_PORT"), ({"home": "/proc/nowhere"}, "/proc")],
)
def test_a_start_that_is_not_safe_is_refused(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    settings: dict[str, str],
    named: str,
) -> None:
    monkeypatch.delenv("ZOO_TOKEN", raising=False)
    for name, value in {"home": str(tmp_path), **settings}.items():
        monkeypatch.setenv(f"ZOO_{name.upper()}", value)
    monkeypatch.setattr("api.__main__.configure_logs", lambda *_: None)
    assert main() == 1
    said = capsys.readouterr().err
    assert named in said
    assert said.count("\n") == 1


def test_the_service_answers_until_it_is_told_to_end(tmp_path: Path) -> None:
    port = free_port()
    process = start(tmp_path, port=str(port))
    deadline = time.monotonic() + 2 * START_SECONDS
    while True:
        try:
            answer = httpx.get(f"http://127.0.0.1:{port}/healthz", trust_env=False)
            break
        except httpx.TransportError:
            assert time.monotonic() < deadline
            time.sleep(0.1)
    assert answer.json() == {"status": "ok"}
    assert "server" not in answer.headers
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=20)
    assert '"event": "request"' in said
    assert "Traceback" not in said


def test_a_factory_refuses_what_the_program_refuses(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="ZOO_TOKEN"):
        application(Settings(home=tmp_path, host="0.0.0.0"))
