"""A service in a thread of the test's own process, on a free port of this machine."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import uvicorn
from fastapi import FastAPI

from api.app import create_app
from registry.settings import Settings
from registry.zoo import Zoo
from storage.wiring import open_zoo

START_SECONDS = 20.0


@dataclass(frozen=True)
class Service:
    """A running service: the zoo behind it, its app, and a client of it."""

    zoo: Zoo
    app: FastAPI
    http: httpx.Client

    def blobs(self) -> set[str]:
        """The digests of all stored bytes, and whatever else lies about."""
        folder = self.zoo.settings.home / "blobs"
        return {f"sha256:{path.name}" for path in folder.rglob("*") if path.is_file()}


@contextmanager
def running(app: FastAPI) -> Iterator[str]:
    """The address of a running app."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_level="critical", ws="none", lifespan="off", timeout_graceful_shutdown=1
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + START_SECONDS
    while not server.started and time.monotonic() < deadline:
        time.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join(START_SECONDS)


@contextmanager
def serving(home: Path, **settings: object) -> Iterator[Service]:
    """A new zoo in a folder, served over real sockets."""
    zoo = open_zoo(Settings.model_validate({"home": home, "examples": 200, **settings}))
    app = create_app(zoo)
    with running(app) as url, httpx.Client(base_url=url, timeout=30.0, trust_env=False) as client:
        yield Service(zoo, app, client)
