"""The deployment under test: the one that `ZOO_CONFORMANCE_URL` names, or one of our own in a process of its own."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

START_SECONDS = 60.0
STOP_SECONDS = 20.0
ROOT = Path(__file__).parents[2]


@contextmanager
def own_service(home: Path, **settings: str) -> Iterator[str]:
    """The address of a service without a worker, in a folder of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("ZOO_")}
    told = {"ZOO_HOME": str(home), "ZOO_PORT": str(port), **{f"ZOO_{k.upper()}": v for k, v in settings.items()}}
    log = home / "service.log"
    home.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "api"], cwd=ROOT, env={**inherited, **told}, stdout=output, stderr=output
        )
    try:
        url = f"http://127.0.0.1:{port}"
        _wait_until_ready(url, process, log)
        yield url
    finally:
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"{url}/readyz", trust_env=False).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.05)
    raise RuntimeError(f"the service is not ready at {url}: {log.read_text()[-2000:]}")


def client_of(url: str, token: str | None) -> httpx.Client:
    """A client that sends the token, where there is one, with every request."""
    headers = {} if token is None else {"Authorization": f"Bearer {token}"}
    return httpx.Client(base_url=url, headers=headers, timeout=60.0)


def random_namespace() -> str:
    """A namespace that nobody else has."""
    return f"conformance-{secrets.token_hex(6)}"
