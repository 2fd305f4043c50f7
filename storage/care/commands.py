"""The commands of whoever runs a zoo; each is given the settings and what was typed, and tells whether all is well."""

from argparse import ArgumentParser, Namespace, _SubParsersAction
from pathlib import Path
from typing import TypeAlias

from registry.settings import Settings
from storage.blob_choice import open_blobs
from storage.care.backup import Backup
from storage.care.doctor import Doctor, require_database
from storage.care.problems import Problem, Report
from storage.care.restore import Restore
from storage.care.telling import byte_bar, megabytes, write_answer
from storage.clock import utc_now
from storage.engine import open_engine
from storage.wiring import open_zoo

QUARANTINE = "quarantine"
"""The folder in ZOO_HOME where damaged bytes are set aside."""

Parsers: TypeAlias = "_SubParsersAction[ArgumentParser]"


def add_commands(parsers: Parsers) -> None:
    """Add each command to those of ``python -m storage``."""
    gc = _command(parsers, "gc", "Delete bytes that nothing has referred to for long enough.")
    gc.add_argument("--dry-run", action="store_true", help="only tell what would be deleted")
    gc.set_defaults(run=collect)
    doctor = _command(parsers, "doctor", "Verify every record and every byte, and name what is wrong.")
    doctor.add_argument("--repair", action="store_true", help="put right what can be; nothing of a module is deleted")
    doctor.set_defaults(run=examine)
    backup = _command(
        parsers, "backup", "Back up the zoo, while it serves, into a folder; run again, it copies the new."
    )
    backup.add_argument("target", type=Path, metavar="FOLDER")
    backup.set_defaults(run=back_up)
    restored = _command(parsers, "restore", "Restore a backup where no zoo is yet.")
    restored.add_argument("source", type=Path, metavar="FOLDER")
    restored.set_defaults(run=restore)


def _command(parsers: Parsers, name: str, words: str) -> ArgumentParser:
    """A command that can answer in JSON."""
    parser = parsers.add_parser(name, help=words, description=words)
    parser.add_argument("--json", action="store_true", help="write JSON to standard output, and nothing else")
    return parser


def collect(settings: Settings, given: Namespace) -> bool:
    """Run the collector once, beside whatever runs."""
    zoo = open_zoo(settings)
    try:
        done = zoo.collector.collect(rehearsal=given.dry_run)
    finally:
        zoo.close()
    words = "would be deleted" if done.rehearsal else "deleted"
    lines = [
        f"{done.looked_at} blobs, {megabytes(done.looked_at_bytes)}; nothing refers to {done.unreferred}, "
        f"{megabytes(done.unreferred_bytes)}.",
        f"{done.deleted} {words}; the others go once that has been so for {settings.gc_grace_seconds:.0f} seconds.",
    ]
    write_answer(done, lines, as_json=given.json)
    return True


def examine(settings: Settings, given: Namespace) -> bool:
    """Examine the zoo, beside whatever runs; true when nothing is wrong any more."""
    require_database(settings)
    engine = open_engine(settings.database_url)
    try:
        with byte_bar("verifying", None) as on_bytes:
            doctor = Doctor(engine, open_blobs(settings), settings.home / QUARANTINE)
            report = doctor.examine(repair=given.repair, on_bytes=on_bytes)
    finally:
        engine.dispose()
    write_answer(report, [*map(_told, report.problems), _summed(report)], as_json=given.json)
    return report.clean


def back_up(settings: Settings, given: Namespace) -> bool:
    """Back up the zoo, beside whatever runs; false where bytes were damaged or lost already."""
    require_database(settings)
    engine = open_engine(settings.database_url)
    try:
        with byte_bar("copying", None) as on_bytes:
            done = Backup(engine, open_blobs(settings), given.target, utc_now, on_bytes).run()
    finally:
        engine.dispose()
    copied = f"{done.copied} of them new ({megabytes(done.copied_bytes)})"
    lines = [f"{given.target} has {done.rows} rows and {done.blobs} blobs, {copied}."]
    lines += [
        f"damaged or lost in the zoo, so not in the backup: {digest}; see `zoo doctor`" for digest in done.damaged
    ]
    write_answer(done, lines, as_json=given.json)
    return not done.damaged


def restore(settings: Settings, given: Namespace) -> bool:
    """Restore a backup into the database and the blobs of the settings."""
    settings.home.mkdir(parents=True, exist_ok=True)
    engine = open_engine(settings.database_url)
    try:
        with byte_bar("copying", None) as on_bytes:
            done = Restore(engine, open_blobs(settings), given.source, on_bytes).run()
    finally:
        engine.dispose()
    lines = [f"restored {done.rows} rows and {done.blobs} blobs from {given.source}."]
    lines += [f"damaged or lost when the backup was made: {digest}" for digest in done.damaged]
    write_answer(done, lines, as_json=given.json)
    return True


def _told(problem: Problem) -> str:
    done = "repaired" if problem.repaired else problem.remedy
    return f"{problem.kind}: {problem.where}: {problem.detail}. {done[:1].upper()}{done[1:]}."


def _summed(report: Report) -> str:
    """The last line of an examination."""
    wrong = sum(not problem.repaired for problem in report.problems)
    repaired = len(report.problems) - wrong
    looked_at = f"{report.records} records and {report.blobs} blobs ({megabytes(report.blob_bytes)}) were verified"
    return f"{looked_at}: {wrong or 'no'} problems{f', {repaired} repaired' if repaired else ''}."
