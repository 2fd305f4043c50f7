"""The service and a worker for `bench.crashes`: processes that start in a moment, and die in less."""

import multiprocessing
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from multiprocessing.context import ForkServerProcess
from pathlib import Path

import httpx

from api.__main__ import main as serve
from registry.settings import Settings
from trainer.__main__ import work

START_SECONDS = 300.0
FORKED = multiprocessing.get_context("forkserver")
"""Every process is forked from one that has imported all that it needs."""

SERVICE_SETTINGS = {
    "ZOO_GC_SECONDS": "0.5",
    "ZOO_GC_GRACE_SECONDS": "60",
    "ZOO_LEASE_SECONDS": "3",
    "ZOO_JOB_ATTEMPTS": "100000",
}
"""Collect often; give a dead worker's job out soon, however many have died of it: here it is never the job's fault."""


@dataclass
class Killable:
    """A process that runs one function in its own environment, and is killed with -9."""

    target: Callable[[], object]
    environment: Mapping[str, str]
    log: Path
    kills: int = 0
    _process: ForkServerProcess | None = field(default=None, repr=False)

    def start(self) -> None:
        """Begin, where it does not run."""
        if self._process is None:
            self._process = FORKED.Process(target=partial(_run, self.target, self.environment, self.log), daemon=True)
            self._process.start()

    def kill(self) -> None:
        """End it as a loss of power would, but for the disk's own cache."""
        if self._process is None:
            return
        if self._process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self._process.pid, signal.SIGKILL)
        self._process.join()
        self._process, self.kills = None, self.kills + 1


def service_of(settings: Settings, log: Path) -> Killable:
    """The service: what ``python -m api`` does."""
    environment = {"ZOO_HOME": str(settings.home), "ZOO_PORT": str(settings.port), **SERVICE_SETTINGS}
    if settings.database is not None:
        environment["ZOO_DATABASE"] = settings.database
    return Killable(serve, environment, log)


def worker_of(url: str, home: Path, log: Path) -> Killable:
    """A worker: what ``python -m trainer work`` does."""
    environment = {"ZOO_HOME": str(home), "ZOO_CHECKPOINT_SECONDS": "0.2", "CUDA_VISIBLE_DEVICES": ""}
    return Killable(partial(work, url=url, token=None, name="worker"), environment, log)


def _run(target: Callable[[], object], environment: Mapping[str, str], log: Path) -> None:
    os.environ |= {"XDG_RUNTIME_DIR": str(log.parent), **environment}
    out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(out, 1)
    os.dup2(out, 2)
    raise SystemExit(target())


def wait_until_ready(url: str, log: Path) -> None:
    """Raises TimeoutError when the service does not say that it is ready."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            if httpx.get(f"{url}/readyz", trust_env=False, timeout=5.0).is_success:
                return
        time.sleep(0.02)
    told = log.read_text(errors="replace")[-3000:]
    raise TimeoutError(f"the service is not ready after {START_SECONDS} s; its log ends with:\n{told}")


def exceptions(log: Path) -> list[str]:
    """What a process wrote of failures that nobody foresaw."""
    lines = log.read_text(errors="replace").splitlines(keepends=True) if log.exists() else []
    return [line for line in lines if '"level": "error"' in line or not line.startswith("{")]


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
