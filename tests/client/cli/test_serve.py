"""Processes that live and die together."""

import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

import pytest

from client.cli.serve import Children, free_port, local_url
from registry.errors import ConflictError, JobFailedError, SettingsError
from registry.settings import Settings

SLEEPER = [sys.executable, "-c", "import time; time.sleep(60)"]
SETTINGS = Settings(host="127.0.0.1", port=1)


@pytest.fixture(autouse=True)
def _stderr_is_a_file(capfd: pytest.CaptureFixture[str]) -> None:
    """Child processes write to a real file, which pytest's own stand-in for stderr is not."""


def pid_of(children: Children, name: str) -> int:
    return children._running[name].process.pid


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def test_when_the_service_ends_by_itself_the_worker_is_stopped_and_that_is_a_failure() -> None:
    with Children() as children:
        children.start("worker", SLEEPER, settings=SETTINGS, revive=True)
        children.start("service", [sys.executable, "-c", "raise SystemExit(3)"], settings=SETTINGS)
        worker = pid_of(children, "worker")
        with pytest.raises(JobFailedError, match="the service ended by itself with status 3"):
            children.watch()
    assert is_gone(worker)


def test_a_worker_that_is_killed_is_followed_by_another_and_the_service_goes_on() -> None:
    with Children() as children:
        children.start("service", SLEEPER, settings=SETTINGS)
        children.start("worker", SLEEPER, settings=SETTINGS, revive=True)
        service, first = pid_of(children, "service"), pid_of(children, "worker")
        os.kill(first, signal.SIGKILL)
        while pid_of(children, "worker") == first:
            children._check()
            time.sleep(0.01)
        second = pid_of(children, "worker")
        assert not is_gone(second)
        assert pid_of(children, "service") == service
        assert not is_gone(service)
    assert [is_gone(pid) for pid in (service, first, second)] == [True] * 3


def test_a_worker_that_cannot_live_is_tried_with_pauses_that_grow(capfd: pytest.CaptureFixture[str]) -> None:
    with Children() as children:
        children.start("worker", [sys.executable, "-c", "raise SystemExit(3)"], settings=SETTINGS, revive=True)
        threading.Timer(6.0, os.kill, (os.getpid(), signal.SIGTERM)).start()
        children.watch()
    said = [line for line in capfd.readouterr().err.splitlines() if "ended with status 3" in line]
    assert 2 <= len(said) <= 4
    assert "in 1 seconds" in said[0]
    assert "in 2 seconds" in said[1]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_both_and_that_is_no_failure(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with Children() as children:
        children.start("service", SLEEPER, settings=SETTINGS)
        children.start("worker", SLEEPER, settings=SETTINGS)
        pids = [pid_of(children, name) for name in ("service", "worker")]
        threading.Timer(0.3, os.kill, (os.getpid(), number)).start()
        children.watch()
    assert [is_gone(pid) for pid in pids] == [True, True]
    assert signal.getsignal(number) == before


LAST_WORDS = """
import os, pathlib, signal, sys, time
def end(number, _):
    time.sleep(0.5)
    pathlib.Path(sys.argv[1]).write_text(f"{number} {time.monotonic()}")
    sys.exit()
for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
    signal.signal(number, end)
pathlib.Path(sys.argv[1] + ".ready").touch()
time.sleep(60)
"""
"""Ends half a second after it was told to, and writes down by which signal and when."""


@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_worker_has_ended_before_the_service_is_told_to(number: signal.Signals, tmp_path: Path) -> None:
    names = ("service", "worker")
    with Children() as children:
        for name in names:
            children.start(name, [sys.executable, "-c", LAST_WORDS, str(tmp_path / name)], settings=SETTINGS)
        while not all((tmp_path / f"{name}.ready").exists() for name in names):
            time.sleep(0.01)
        os.kill(os.getpid(), number)
        children.watch()
    service, worker = [(tmp_path / name).read_text().split() for name in names]
    assert [service[0], worker[0]] == [str(int(signal.SIGTERM))] * 2
    assert float(service[1]) - float(worker[1]) >= 0.5


def test_a_hangup_that_is_ignored_from_the_start_stops_nothing() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Children() as children:
            children.start("service", SLEEPER, settings=SETTINGS)
            os.kill(os.getpid(), signal.SIGHUP)
            assert children._signals == []
            assert not is_gone(pid_of(children, "service"))
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_service_that_dies_before_it_is_ready_is_a_failure_at_once() -> None:
    began = time.monotonic()
    with Children() as children:
        children.start("service", [sys.executable, "-c", "raise SystemExit(1)"], settings=SETTINGS)
        with pytest.raises(JobFailedError, match="the service ended by itself with status 1"):
            children.wait_until_ready("http://127.0.0.1:1")
    assert time.monotonic() - began < 10


def test_the_children_learn_host_and_port_from_the_environment() -> None:
    code = "import os, sys; sys.exit(0 if os.environ['ZOO_PORT'] == '1' else 9)"
    with Children() as children:
        children.start("service", [sys.executable, "-c", code], settings=SETTINGS)
        with pytest.raises(JobFailedError, match="with status 0"):
            children.watch()


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        taken = server.getsockname()[1]
        with pytest.raises(ConflictError, match=f"port {taken}"):
            free_port("127.0.0.1", taken)
    assert free_port("127.0.0.1", 0) > 0


def test_a_host_that_is_none_is_named() -> None:
    with pytest.raises(SettingsError, match="no host"):
        free_port("no host", 0)


@pytest.mark.parametrize(
    ("host", "url"),
    [("127.0.0.1", "http://127.0.0.1:1"), ("0.0.0.0", "http://127.0.0.1:1"), ("::", "http://[::1]:1")],
)
def test_the_address_is_one_that_this_machine_can_ask(host: str, url: str) -> None:
    assert local_url(Settings(host=host, port=1)) == url
