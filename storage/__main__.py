"""Look after a zoo where it is stored: ``python -m storage COMMAND``; all settings come from ``ZOO_*`` variables.

``upgrade``, ``downgrade REVISION`` and ``revision`` are about the tables of the database; the others are about what is
kept. It ends with 0 when done, 1 when not (also when something is wrong with what was looked at), 2 when used wrongly,
which wrong settings are, too.
"""

import argparse
import logging
import sys
from collections.abc import Sequence

import structlog

from registry.errors import InvalidInputError, SettingsError, ZooError
from registry.settings import Settings
from storage import revisions
from storage.care import commands

DONE, FAILED, WRONG_USE = 0, 1, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command: 0 done, 1 failed or something is wrong, 2 wrong use."""
    quiet = structlog.make_filtering_bound_logger(logging.WARNING)
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr), wrapper_class=quiet)
    parser = argparse.ArgumentParser(prog="python -m storage", description="Look after a zoo where it is stored.")
    parsers = parser.add_subparsers(required=True, metavar="COMMAND")
    revisions.add_commands(parsers)
    commands.add_commands(parsers)
    given = parser.parse_args(arguments)
    try:
        done: bool = given.run(Settings.load(), given)
    except (SettingsError, InvalidInputError) as error:
        return _told(error, WRONG_USE)
    except (ZooError, OSError) as error:
        return _told(error, FAILED)
    return DONE if done else FAILED


def _told(error: ZooError | OSError, status: int) -> int:
    """Say what went wrong in one sentence, and each fault by itself."""
    faults = error.faults if isinstance(error, ZooError) and len(error.faults) > 1 else ()
    for line in (f"error: {error}", *(f"  {fault.detail}" for fault in faults)):
        sys.stderr.write(line + "\n")
    return status


if __name__ == "__main__":
    raise SystemExit(main())
