"""`zoo serve`: the service and one local worker; a worker that dies is followed by another."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Annotated

import httpx
import typer

from client.cli.options import takes, wrong_use
from client.cli.output import line, note, write_json
from client.cli.programs import STOPPING, heard
from client.cli.work import has_torch, worker_command
from registry.errors import ConflictError, JobFailedError, SettingsError
from registry.frozen import Frozen
from registry.settings import Settings

START_SECONDS = 60.0
STOP_SECONDS = 8.0
"""How long a child has to end: a worker gives its job back within that, a service ends its answers in less."""

LOOK_SECONDS = 0.2
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 30.0
"""Before a child is started again: twice as long each time, from the first on again once one has lived for so long."""

HOME_REMEDY = "set ZOO_HOME to a folder that you may write"

Handler = Callable[[int, FrameType | None], object] | int | None


class Serving(Frozen):
    """Where the service answers."""

    url: str
    worker: bool


@dataclass(frozen=True, kw_only=True)
class ServeOptions:
    """What `zoo serve` takes."""

    host: Annotated[str | None, typer.Option(help="Address to listen on; default: ZOO_HOST, or 127.0.0.1.")] = None
    port: Annotated[
        int | None, typer.Option(min=0, max=65535, help="Port; default: ZOO_PORT, or 8000; 0 takes a free one.")
    ] = None
    worker: Annotated[bool, typer.Option(help="Run a local worker beside the service.")] = True
    json: Annotated[bool, typer.Option("--json", help="Write the address as JSON once it answers.")] = False


@takes(ServeOptions)
def serve(options: ServeOptions) -> None:
    """Run the service, with one local worker, until it is interrupted.

    A worker that dies is followed by another, and the service goes on; when the service ends, so does the worker.
    Told to stop, it stops the worker first, which gives its job back, for the next worker to go on with.
    """
    with wrong_use():
        settings = _settings(options)
        settings.check_service(has_admin=not options.worker)  # without a worker to log in, the service sees to it
        check_home(settings.home)
    worker = options.worker and has_torch()
    if options.worker and not worker:
        note("torch is not installed, so there is no local worker: nothing is trained or scored until a worker")
        note(f"comes; on a machine with the extra 'train' run: zoo work --url {local_url(settings)}")
    with Children() as children:
        children.start("service", [sys.executable, "-m", "api"], settings=settings)
        if children.wait_until_ready(local_url(settings)):
            if worker:
                children.start("worker", worker_command(local_url(settings)), settings=settings, revive=True)
            _announce(options, Serving(url=local_url(settings), worker=worker))
        children.watch()


def _settings(options: ServeOptions) -> Settings:
    """The settings with what the options change, on a port that is free. Raises ConflictError, SettingsError."""
    settings = Settings.load()
    host = settings.host if options.host is None else options.host
    port = settings.port if options.port is None else options.port
    return settings.model_copy(update={"host": host, "port": free_port(host, port)})


def free_port(host: str, port: int) -> int:
    """The port, or a free one for 0. Raises ConflictError when it is taken, SettingsError for a strange host."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
    except OSError as error:
        raise SettingsError(f"{host!r} is no address of this machine ({error}); try --host 127.0.0.1") from error
    with closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise ConflictError(f"cannot listen on {host} port {port} ({error}); choose another --port") from error
        return int(probe.getsockname()[1])


def check_home(home: Path) -> None:
    """Make the folder of everything local. Raises SettingsError where it cannot be made, or not be written."""
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise SettingsError(f"ZOO_HOME: the folder {home} cannot be made ({reason}); {HOME_REMEDY}") from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise SettingsError(f"ZOO_HOME: the folder {home} may not be written; {HOME_REMEDY}")


def local_url(settings: Settings) -> str:
    """The service's address as seen from this machine."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(settings.host, settings.host)
    return f"http://[{host}]:{settings.port}" if ":" in host else f"http://{host}:{settings.port}"


def _announce(options: ServeOptions, serving: Serving) -> None:
    """Say where the service is."""
    if options.json:
        write_json(serving)
    else:
        line(f"The zoo answers at {serving.url} (interrupt to stop).")
    sys.stdout.flush()


@dataclass(slots=True)
class Child:
    """One process, and how it is started again where it is to be."""

    name: str
    command: list[str]
    environment: dict[str, str]
    revive: bool
    process: subprocess.Popen[bytes] = field(init=False)
    began: float = field(init=False)
    pause_seconds: float = FIRST_PAUSE_SECONDS
    due: float | None = None

    def __post_init__(self) -> None:
        self.start()

    def start(self) -> None:
        """Start it in a session of its own, so that a key press reaches it through us only, and once."""
        self.due, self.began = None, time.monotonic()
        self.process = subprocess.Popen(
            self.command, env=self.environment, stdin=subprocess.DEVNULL, stdout=sys.stderr, start_new_session=True
        )

    def look_after(self) -> None:
        """Start it again some time after it has ended. Raises JobFailedError for one that is not to be."""
        status = self.process.poll()
        if status is None:
            return
        if not self.revive:
            raise JobFailedError(f"the {self.name} ended by itself with status {status}; see its log above")
        now = time.monotonic()
        if self.due is None:
            lived = now - self.began
            self.pause_seconds = FIRST_PAUSE_SECONDS if lived > LONGEST_PAUSE_SECONDS else self.pause_seconds
            self.due = now + self.pause_seconds
            note(f"the {self.name} ended with status {status}; another begins in {self.pause_seconds:.0f} seconds")
            self.pause_seconds = min(2 * self.pause_seconds, LONGEST_PAUSE_SECONDS)
        elif now >= self.due:
            self.start()


@dataclass(slots=True)
class Children:
    """Processes that are started together; leaving the block stops them."""

    _running: dict[str, Child] = field(default_factory=dict)
    _signals: list[int] = field(default_factory=list)
    _before: dict[int, Handler] = field(default_factory=dict)

    def __enter__(self) -> "Children":
        for number in heard(STOPPING):
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop()
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def start(self, name: str, command: list[str], *, settings: Settings, revive: bool = False) -> None:
        """Start a process; with `revive` it is started again whenever it ends, with pauses that grow."""
        environment = {**os.environ, "ZOO_HOST": settings.host, "ZOO_PORT": str(settings.port)}
        self._running[name] = Child(name, command, environment, revive)

    def wait_until_ready(self, url: str) -> bool:
        """Wait for the service to be ready; False when it was told to stop before.

        Raises:
            JobFailedError: it ended, or is not ready in time.
        """
        deadline = time.monotonic() + START_SECONDS
        with httpx.Client(trust_env=False, timeout=2.0) as http:
            while time.monotonic() < deadline:
                self._check()
                if self._signals or _is_ready(http, url):
                    return not self._signals
                time.sleep(LOOK_SECONDS)
        raise JobFailedError(f"the service is not ready at {url} after {START_SECONDS:.0f} seconds; see its log above")

    def watch(self) -> None:
        """Wait until told to stop. Raises JobFailedError when a process ends that is not to be started again."""
        while not self._signals:
            self._check()
            time.sleep(LOOK_SECONDS)

    def _check(self) -> None:
        """Look after every child. Raises JobFailedError when one has ended that is not to be started again."""
        for child in self._running.values():
            if not self._signals:
                child.look_after()

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        """Note that it is time to stop."""
        del frame
        self._signals.append(number)

    def _stop(self) -> None:
        """End one after the other, the last one started first: a worker gives its job back while the service listens.

        Whatever signal came to us, a child is told with the one that every child listens to.
        """
        for child in reversed(self._running.values()):
            child.process.terminate()
            try:
                child.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                child.process.kill()
                child.process.wait()


def _is_ready(http: httpx.Client, url: str) -> bool:
    """Whether the service says that it is ready."""
    try:
        return http.get(f"{url}/readyz").status_code == httpx.codes.OK
    except httpx.TransportError:
        return False
