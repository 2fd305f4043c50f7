"""Run as a program: every hostile file is parsed in a process that may take only so much memory and time.

Prints one line of JSON for each file: its name, how it ended, and how long that took.
"""

import io
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from registry.dataset_file import summarise
from registry.errors import ZooError
from registry.module_file import check_module_file
from tests.hostile.dataset_files import DATASET_FILES
from tests.hostile.files import HostileFile
from tests.hostile.forged_files import FORGED_FILES
from tests.hostile.module_files import MODULE_FILES
from tests.hostile.swelling_files import SWELLING_FILES
from tests.registry.dataset_samples import LIMITS, MEBIBYTE

MEMORY_BYTES = 256 * MEBIBYTE
"""Beyond what the process has before it begins; four times what an upload may unpack to here."""

CPU_SECONDS = 20
REFUSED, TAKEN, OUT_OF_MEMORY, CRASHED = 0, 10, 11, 12
ENDINGS = {REFUSED: "refused", TAKEN: "taken", OUT_OF_MEMORY: "out of memory", CRASHED: "crashed"}


def parse(hostile: HostileFile, data: bytes) -> int:
    """Parse a file; says how it ended."""
    try:
        if hostile in MODULE_FILES:
            check_module_file(io.BytesIO(data), size_bytes=len(data), parameter_limit=10**9, features_limit=4096)
        else:
            summarise(io.BytesIO(data), limits=LIMITS)
    except ZooError:
        return REFUSED
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is told
        sys.stderr.write(f"{hostile.name}: {error!r}\n")
        return CRASHED
    return TAKEN


def bound() -> None:
    """Let this process have no more memory and time than is allowed."""
    here = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (here + MEMORY_BYTES, here + MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))


def probe(hostile: HostileFile, data: bytes) -> int:
    """Take more memory than is allowed, so that it shows whether the bound binds."""
    try:
        return TAKEN if bytes(2 * MEMORY_BYTES) else CRASHED
    except MemoryError:
        return OUT_OF_MEMORY


def ending(hostile: HostileFile, do: Callable[[HostileFile, bytes], int] = parse) -> str:
    """How a file ends in a process of its own."""
    data = hostile.make()
    child = os.fork()
    if child == 0:
        bound()
        os._exit(do(hostile, data))
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return ENDINGS.get(code, f"signal {-code}")


def main() -> None:
    """Parse every file, after a probe."""
    sys.stdout.write(json.dumps({"name": "probe", "ended": ending(DATASET_FILES[0], probe), "seconds": 0}) + "\n")
    for hostile in (*MODULE_FILES, *DATASET_FILES, *FORGED_FILES, *SWELLING_FILES):
        began = time.monotonic()
        ended = ending(hostile)
        seconds = round(time.monotonic() - began, 3)
        sys.stdout.write(json.dumps({"name": hostile.name, "ended": ended, "seconds": seconds}) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
