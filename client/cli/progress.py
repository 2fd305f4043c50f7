"""One line of progress on standard error, only where that is a terminal."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, Progress, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn

from client.cli.output import notes
from client.transfer import OnBytes
from registry import records

OnProgress = Callable[[records.Progress], None]
MEGABYTE = 1e6


class Bars:
    """Bars for one thing after the other: each begins when it first moves, and takes the place of the last."""

    def __init__(self, live: Progress) -> None:
        """Args: live: where the bars are drawn."""
        self._live = live
        self._label = ""
        self._task: TaskID | None = None

    def bytes(self, label: str) -> OnBytes:
        """A bar for bytes that move; it is told how many have."""

        def on_bytes(done: int, total: int | None) -> None:
            if total is not None and done >= total:
                self._move(f"{label}: checking", done=0, total=None, amount=f"{done / MEGABYTE:.1f} MB")
                return
            goal = "" if total is None else f" of {total / MEGABYTE:.1f}"
            self._move(label, done=done, total=total, amount=f"{done / MEGABYTE:.1f}{goal} MB")

        return on_bytes

    def work(self, label: str) -> OnProgress:
        """A bar for work that a worker does; it is told how far that is."""

        def on_progress(progress: records.Progress) -> None:
            total = progress.total or None
            amount = f"{progress.done} of {total}" if total else ""
            self._move(f"{label}: {told(progress)}", done=progress.done, total=total, amount=amount)

        return on_progress

    def _move(self, words: str, *, done: int, total: int | None, amount: str) -> None:
        """Draw the present state; other words are another bar as far as its clock goes."""
        label = words.partition(":")[0]
        if self._task is None or label != self._label:
            if self._task is not None:
                self._live.remove_task(self._task)
            self._live.start()
            self._label, self._task = label, self._live.add_task(words, amount=amount, total=total)
        self._live.update(self._task, description=words, completed=done, total=total, amount=amount)


@contextmanager
def bars() -> Iterator[Bars]:
    """Bars that vanish at the end, and are not drawn at all where nobody looks."""
    console = notes()
    words, amount = TextColumn("{task.description}", markup=False), TextColumn("{task.fields[amount]}", markup=False)
    live = Progress(
        SpinnerColumn(),
        words,
        BarColumn(bar_width=24),
        amount,
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    try:
        yield Bars(live)
    finally:
        live.stop()


def told(progress: records.Progress) -> str:
    """How far work is, in words."""
    parts = [progress.stage or "waiting for a worker", *numbers_of(progress)]
    if progress.seconds_left is not None:
        parts.append(f"{progress.seconds_left:.0f} s left")
    return ", ".join(parts)


def numbers_of(progress: records.Progress) -> list[str]:
    """What training says of itself, each number with its name."""
    found = (
        ("epoch {}", progress.epoch),
        ("objective {:.4f}", progress.objective),
        ("alignment {:.4f}", progress.alignment),
        ("{:,.0f} images/s", progress.examples_per_second),
    )
    return [words.format(number) for words, number in found if number is not None]
