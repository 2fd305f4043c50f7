"""`zoo gc`, `zoo doctor`, `zoo backup`, `zoo restore`: look after a zoo on the machine that stores it."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from client.cli.options import takes
from client.cli.programs import run


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


@dataclass(frozen=True, kw_only=True)
class BackupOptions(CareOptions):
    """What `zoo backup` takes."""

    folder: Annotated[Path, typer.Argument(help="Where the backup goes; one that is there is brought up to date.")]


@takes(BackupOptions)
def backup(options: BackupOptions) -> None:
    """Back up the zoo here into a folder, while it serves.

    Files that the folder has already are not copied again. The backup can be restored on another kind of database or
    blob store. Ends with 1 where files were damaged or lost in the zoo; all the others are in the backup then. This
    runs where the zoo is stored, with its settings in the environment.
    """
    _where_it_is_stored(options, "backup", str(options.folder))


@dataclass(frozen=True, kw_only=True)
class RestoreOptions(CareOptions):
    """What `zoo restore` takes."""

    folder: Annotated[Path, typer.Argument(help="A backup.", exists=True, file_okay=False)]


@takes(RestoreOptions)
def restore(options: RestoreOptions) -> None:
    """Restore a backup where no zoo is yet, verified.

    It goes into the database and the blob store of the settings in the environment (ZOO_HOME, ZOO_DATABASE), which must
    be empty. Records come last and all at once; after an interruption, run it again.
    """
    _where_it_is_stored(options, "restore", str(options.folder))


def _where_it_is_stored(options: CareOptions, *words: str) -> None:
    """Run a command of the storage, which knows the database and the blobs, and leave as it does."""
    as_json = ["--json"] if options.json else []
    raise typer.Exit(run([sys.executable, "-m", "storage", *words, *as_json]).returncode)
