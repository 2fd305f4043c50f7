"""`zoo gc`, `zoo doctor`: look after a zoo on the machine that stores it."""

import subprocess
import sys
from dataclasses import dataclass
from typing import Annotated

import typer

from client.cli.options import takes


@dataclass(frozen=True, kw_only=True)
class CareOptions:
    """What every command takes that looks after a zoo where it is stored."""

    json: Annotated[bool, typer.Option("--json", help="Write JSON to standard output, and nothing else.")] = False


@dataclass(frozen=True, kw_only=True)
class GcOptions(CareOptions):
    """What `zoo gc` takes."""

    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what would be deleted.")] = False


@takes(GcOptions)
def gc(options: GcOptions) -> None:
    """Delete bytes of the zoo here that nothing refers to, once that has been so for ZOO_GC_GRACE_SECONDS.

    The service does so by itself every ZOO_GC_SECONDS. This runs where the zoo is stored, with its settings in the
    environment; the service may run meanwhile.
    """
    _where_it_is_stored(options, "gc", *(["--dry-run"] if options.dry_run else []))


@dataclass(frozen=True, kw_only=True)
class DoctorOptions(CareOptions):
    """What `zoo doctor` takes."""

    repair: Annotated[bool, typer.Option("--repair", help="Put right what can be.")] = False


@takes(DoctorOptions)
def doctor(options: DoctorOptions) -> None:
    """Verify every record and every byte of the zoo here, and name what is wrong.

    With --repair it puts right what can be worked out again, and sets damaged files aside so that an upload of the
    same bytes heals them; nothing of a module is deleted. Ends with 1 where something is wrong still. This runs where
    the zoo is stored, with its settings in the environment; the service may run meanwhile.
    """
    _where_it_is_stored(options, "doctor", *(["--repair"] if options.repair else []))


def _where_it_is_stored(options: CareOptions, *words: str) -> None:
    """Run a command of the storage, which knows the database and the blobs, and leave as it does."""
    as_json = ["--json"] if options.json else []
    done = subprocess.run([sys.executable, "-m", "storage", *words, *as_json], check=False)
    raise typer.Exit(done.returncode)
