"""Programs of commands: signals reach them, they are waited for, and their status is the command's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from client.cli.programs import check_ended, run
from registry.errors import JobFailedError

ROOT = Path(__file__).parents[3]

CHILD = """
import pathlib, signal, sys, time
def end(number, _):
    time.sleep(0.6)
    pathlib.Path(sys.argv[1]).write_text("in order")
    sys.exit(128 + number)
for name in sys.argv[2].split(","):
    signal.signal(getattr(signal, name), end)
pathlib.Path(sys.argv[1] + ".ready").touch()
time.sleep(60)
"""
PARENT = """
import sys
from client.cli.programs import check_ended, run
check_ended(run([sys.executable, *sys.argv[1:]]).returncode, what="training")
"""


def command(tmp_path: Path, *, handles: str = "SIGINT,SIGTERM,SIGHUP", nohup: bool = False) -> subprocess.Popen[bytes]:
    """A command whose program takes its time to end, once that program runs; both are a group of processes."""
    words = [sys.executable, "-c", PARENT, "-c", CHILD, str(tmp_path / "said"), handles]
    process = subprocess.Popen(
        ["nohup", *words] if nohup else words, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True
    )
    while not (tmp_path / "said.ready").exists():
        time.sleep(0.01)
    return process


@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_to_the_command_ends_its_program_in_its_own_way(tmp_path: Path, number: signal.Signals) -> None:
    process = command(tmp_path)
    process.send_signal(number)
    process.wait(20)
    assert (tmp_path / "said").read_text() == "in order"


def test_an_interrupt_from_the_terminal_leaves_the_program_its_time(tmp_path: Path) -> None:
    process = command(tmp_path)
    os.killpg(process.pid, signal.SIGINT)
    process.wait(20)
    assert (tmp_path / "said").read_text() == "in order"


def test_nothing_runs_on_when_the_program_handles_no_signal(tmp_path: Path) -> None:
    process = command(tmp_path, handles="SIGINT")
    process.terminate()
    process.wait(20)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_hangup_that_is_ignored_from_the_start_ends_nothing(tmp_path: Path) -> None:
    process = command(tmp_path, handles="SIGTERM", nohup=True)
    os.killpg(process.pid, signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.5)
    process.terminate()
    process.wait(20)
    assert (tmp_path / "said").read_text() == "in order"


@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize(
    ("code", "status"),
    [
        ("raise SystemExit(2)", 2),
        ("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", 143),
        ("import os, signal; os.kill(os.getpid(), signal.SIGHUP)", 129),
        ("raise SystemExit(130)", 130),
    ],
)
def test_the_programs_status_is_the_commands(code: str, status: int) -> None:
    done = run([sys.executable, "-c", f"print('said'); {code}"], stdout=subprocess.PIPE)
    assert done.returncode == status
    with pytest.raises(typer.Exit) as left:
        check_ended(done.returncode, what="training")
    assert left.value.exit_code == status


def test_a_program_that_was_killed_is_told_as_such() -> None:
    check_ended(0, what="training")
    killed = run([sys.executable, "-c", "import os; os.kill(os.getpid(), 9)"])
    with pytest.raises(JobFailedError, match="training was ended from outside, with status -9; is there enough memory"):
        check_ended(killed.returncode, what="training")


def test_output_and_environment_are_the_programs() -> None:
    code = "import os; print(os.environ['SAID'])"
    before = signal.getsignal(signal.SIGINT)
    done = run([sys.executable, "-c", code], stdout=subprocess.PIPE, env={**os.environ, "SAID": "this"})
    assert (done.returncode, done.stdout) == (0, b"this\n")
    assert signal.getsignal(signal.SIGINT) == before
