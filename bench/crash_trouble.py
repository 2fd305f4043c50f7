"""What goes wrong beside the deaths in `bench.crashes`: a disk that fills up, a database that is stopped."""

import errno
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path

from tests.postgres import OwnPostgres

BLOCK_BYTES = 64 * 1024
SHORTEST_SECONDS, LONGEST_SECONDS = 0.3, 1.5


def fill_up(folder: Path, choices: random.Random) -> None:
    """Leave no room on a disk for a while."""
    with filled(folder / "filler"):
        time.sleep(choices.uniform(SHORTEST_SECONDS, LONGEST_SECONDS))


@contextmanager
def filled(file: Path) -> Iterator[None]:
    """No room on the disk of a file while the block runs; whoever makes room meanwhile may use it."""
    try:
        with file.open("wb", buffering=0) as out:
            for size in (BLOCK_BYTES, 1):
                _write_until_full(out, bytes(size))
            yield
    finally:
        file.unlink()


def _write_until_full(out: RawIOBase, block: bytes) -> None:
    try:
        while out.write(block):
            pass
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise


def restart(postgres: OwnPostgres, choices: random.Random) -> None:
    """Stop a database server, in one of the ways there are, and start it again."""
    postgres.control("stop", "-m", choices.choice(["fast", "immediate"]))
    time.sleep(choices.uniform(0.0, LONGEST_SECONDS))
    postgres.start()
