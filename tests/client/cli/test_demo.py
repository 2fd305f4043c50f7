"""`zoo demo` works on a zoo of its own, whatever zoo the user has set."""

from pathlib import Path

import pytest

from client.cli.demo import environment_of
from registry.settings import Settings

ELSEWHERE = {
    "ZOO_DATABASE": "postgresql://me@example.org/zoo",
    "ZOO_BLOBS": "s3://mine/zoo",
    "ZOO_S3_ENDPOINT": "https://s3.example.org",
    "ZOO_TOKEN": "mine",
    "ZOO_URL": "https://zoo.example.org",
    "ZOO_HOME": "/mine",
}


def test_nothing_of_the_users_own_zoo_reaches_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in ELSEWHERE.items():
        monkeypatch.setenv(name, value)
    environment = environment_of(tmp_path, port=8123)
    for name in ELSEWHERE:
        monkeypatch.delenv(name)
    monkeypatch.setattr("os.environ", environment)
    settings = Settings.load()
    assert (settings.home, settings.url) == (tmp_path / "home", "http://127.0.0.1:8123")
    assert (settings.database, settings.blobs, settings.s3_endpoint, settings.token) == (None, None, None, None)
    assert environment["PATH"]
