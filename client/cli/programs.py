"""Programs that a command runs in a process of its own, as a training: each ends in its own way, and is waited for."""

import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType

import typer

from registry.errors import JobFailedError

SAID_WHY = (1, 2)
FEWER = "is there enough memory? --examples takes fewer images"
HANGUP = getattr(signal, "SIGHUP", None)
PASSED_ON = tuple(number for number in (signal.SIGTERM, HANGUP) if number is not None)
STOPPING = (signal.SIGINT, *PASSED_ON)
BY_SIGNAL = 128

Handler = Callable[[int, FrameType | None], None]


def run(
    command: Sequence[str], *, stdout: int | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run a program to its end, whatever signals come meanwhile.

    An interrupt reaches it from the terminal, as it does us; what else tells us to end is passed on to it.

    Args:
        command: the program and its arguments.
        stdout: where its standard output goes, as with `subprocess`; with `subprocess.PIPE` it is in the answer.
        env: its environment; by default ours.

    Returns:
        What it wrote, and its status; one that was told to end has 128 and the number of the signal, as in a shell.
    """
    running: list[subprocess.Popen[bytes]] = []
    told: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        del frame
        told.append(number)
        for process in running:
            process.send_signal(number)

    with _handling(pass_on), subprocess.Popen(command, stdout=stdout, env=env) as process:
        running.append(process)
        for number in tuple(told):  # came before there was anybody to tell
            process.send_signal(number)
        output, _ = process.communicate()
    return subprocess.CompletedProcess(command, _as_in_a_shell(process.returncode), output)


def check_ended(status: int, *, what: str, remedy: str = "is there enough memory?") -> None:
    """Leave as a program did that failed and has said why, or that was told to end.

    Args:
        status: as `run` gives it.
        what: what the program did, such as "training".
        remedy: what to look at when it was killed.

    Raises:
        typer.Exit: with its status.
        JobFailedError: it was killed.
    """
    if status in SAID_WHY or was_stopped(status):
        raise typer.Exit(status)
    if status != 0:
        raise JobFailedError(f"{what} was ended from outside, with status {status}; {remedy}")


def was_stopped(status: int) -> bool:
    """Whether a program ended because it was told to."""
    return status - BY_SIGNAL in STOPPING


def _as_in_a_shell(status: int) -> int:
    """The status of a program; a signal that tells to end, and that it did not handle, counts as one that it did."""
    return BY_SIGNAL - status if -status in STOPPING else status


def heard(numbers: Sequence[int]) -> tuple[int, ...]:
    """Those of the signals that are to be listened to: a hangup that is ignored from the start, as by nohup, is not."""
    return tuple(number for number in numbers if number != HANGUP or signal.getsignal(number) != signal.SIG_IGN)


@contextmanager
def _handling(pass_on: Handler) -> Iterator[None]:
    """Hand signals to a function while the block runs."""
    wanted: dict[int, Handler] = {signal.SIGINT: _wait_on, **dict.fromkeys(heard(PASSED_ON), pass_on)}
    before = {number: signal.signal(number, handler) for number, handler in wanted.items()}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait_on(number: int, frame: FrameType | None) -> None:
    """Do nothing; a function, since a program would inherit that a signal is ignored."""
