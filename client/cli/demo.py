"""`zoo demo`: the whole main job on real images, told by the commands that a user would type."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import httpx
import typer

from client.cli.options import takes
from client.cli.output import line, note
from client.cli.programs import run, was_stopped
from client.cli.work import require_torch
from registry.errors import JobFailedError, SettingsError

START_SECONDS = 60.0
STOP_SECONDS = 20.0
LOOK_SECONDS = 0.2
DEMO_PORT = 8000
DATA = "digits.zip"
SETTINGS = "ZOO_"

TASKS = {
    "zero-one": "0,1",
    "two-three": "2,3",
    "four-five": "4,5",
    "six-seven": "6,7",
    "round-straight": "round=0+6,straight=1+7",
    "all-eight": "0,1,2,3,4,5,6,7",
}
"""What each module of the demo is trained to tell apart; no module sees an 8 or a 9."""


@dataclass(frozen=True, kw_only=True)
class DemoOptions:
    """What `zoo demo` takes."""

    out: Annotated[Path, typer.Option(help="Folder for everything the demo makes.")] = Path("demo-out")
    keep: Annotated[bool, typer.Option("--keep", help="Leave the service running at the end.")] = False
    json: Annotated[bool, typer.Option("--json", help="Write only the ranking, as JSON, to standard output.")] = False


@takes(DemoOptions)
def demo(options: DemoOptions) -> None:
    """Run the whole main job on real images, and end with a ranking.

    Trains modules on pairs, publishes them, fetches one back and verifies it, composes and predicts, ranks the
    modules for classes that none of them saw, and draws the task map. Needs torch and scikit-learn.
    """
    require_torch()
    if find_spec("sklearn") is None:
        raise SettingsError("the demo's images come with scikit-learn; install the extra 'test': pip install '.[test]'")
    began = time.monotonic()
    options.out.mkdir(parents=True, exist_ok=True)
    _run([sys.executable, "-m", "client.cli.digits", str(options.out)], os.environ)
    with service(options.out, keep=options.keep) as port:
        story = Story(options.out, port=port, quiet=options.json)
        story.tell()
    if options.json:
        return
    _farewell(options, port, time.monotonic() - began)


@dataclass(frozen=True, slots=True)
class Story:
    """The demo's commands, in their order."""

    out: Path
    port: int
    quiet: bool

    def tell(self) -> None:
        """Run every command; the first that fails ends the demo."""
        self._say("Train small networks on six tasks, by pairs alone: 'same class or not'. No module sees an 8 or a 9.")
        for name, classes in TASKS.items():
            self._zoo("train", self._path(DATA), "--name", f"demo/{name}", "--classes", classes, "--submit")
        self._say("They are published. Fetch one back: its bytes are checked against its digest.")
        self._zoo("search", "--role", "input")
        self._zoo("fetch", "demo/zero-one-input@1", "-o", self._path("zero-one-input.safetensors"))
        self._say("Compose a pipeline and predict images that it was not trained on.")
        self._zoo("compose", "zero-or-one", "demo/zero-one-input@1", "demo/zero-one-output@1")
        self._zoo("predict", "zero-or-one", self._path("unlabelled.zip"))
        self._say("How well do the modules of each task serve the other tasks?")
        self._zoo("map", "--plot", self._path("task-map.png"))
        self._say("Which module for new data? Eights and nines, that no module saw; nothing is trained.")
        self._zoo("rank", self._path("new-digits.zip"), "--plot", self._path("ranking.png"), last=True)

    def _path(self, name: str) -> str:
        return str(self.out / name)

    def _say(self, text: str) -> None:
        if not self.quiet:
            line(f"\n# {text}")

    def _zoo(self, *words: str, last: bool = False) -> None:
        """Run one command as a user would, after showing it. Raises JobFailedError when it fails."""
        if not self.quiet:
            line(f"$ zoo {shlex.join(words)}")
        command = [sys.executable, "-m", "client.cli.app", *words, *(["--json"] if self.quiet else [])]
        _run(command, environment_of(self.out, port=self.port), silent=self.quiet and not last)


def environment_of(out: Path, *, port: int) -> dict[str, str]:
    """What the demo's programs are told: none of the user's own settings, so that no zoo of theirs is written to."""
    others = {name: value for name, value in os.environ.items() if not name.upper().startswith(SETTINGS)}
    return {**others, "ZOO_HOME": str((out / "home").resolve()), "ZOO_URL": f"http://127.0.0.1:{port}"}


def _run(command: list[str], environment: "os._Environ[str] | dict[str, str]", *, silent: bool = False) -> None:
    """Run a program to its end. Raises JobFailedError when it fails."""
    sys.stdout.flush()
    out = subprocess.DEVNULL if silent else None
    status = run(command, env=environment, stdout=out).returncode
    if was_stopped(status):
        raise typer.Exit(status)
    if status != 0:
        raise JobFailedError(f"{shlex.join(command[1:])} ended with status {status}; its own message is above")


@contextmanager
def service(out: Path, *, keep: bool) -> Iterator[int]:
    """The service with one worker, on data in the demo's folder, as long as the block lasts; gives its port."""
    port = _free_port()
    with (out / "service.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "client.cli.app", "serve", "--host", "127.0.0.1", "--port", str(port)],
            env=environment_of(out, port=port),
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
        )
    finished = False
    try:
        _wait_until_ready(process, port, out / "service.log")
        yield port
        finished = True
    finally:
        if not (keep and finished):
            process.terminate()
            process.wait(STOP_SECONDS)


def _free_port() -> int:
    """The usual port, or any that is free."""
    for port in (DEMO_PORT, 0):
        with closing(socket.socket()) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise SettingsError("no port of 127.0.0.1 is free to listen on")


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the service. Raises JobFailedError when it ends, or takes too long."""
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            if httpx.get(f"http://127.0.0.1:{port}/readyz", trust_env=False).is_success:
                return
        except httpx.TransportError:
            pass  # it does not listen yet
        time.sleep(LOOK_SECONDS)
    raise JobFailedError(f"the service did not start; its log is {log}")


def _farewell(options: DemoOptions, port: int, seconds: float) -> None:
    """Where everything is, and how to come back."""
    line(
        f"\nDone in {seconds:.0f} seconds. The pictures are {options.out / 'ranking.png'} and "
        f"{options.out / 'task-map.png'}."
    )
    if options.keep:
        line(f"The service goes on: open http://127.0.0.1:{port} in a browser.")
        return
    command = f"ZOO_HOME={shlex.quote(str(options.out / 'home'))} {_program()} serve"
    line("Open the service again on the same data, then http://127.0.0.1:8000 in a browser:")
    line(f"  {command}")
    note("(or: make demo KEEP=1)")


def _program() -> str:
    """How `zoo` is called from here."""
    path = Path(sys.executable).with_name("zoo")
    return os.path.relpath(path) if path.exists() else "zoo"
