"""The commands of whoever runs a zoo; each is given the settings and what was typed, and tells whether all is well."""

from argparse import ArgumentParser, Namespace, _SubParsersAction
from typing import TypeAlias

from registry.settings import Settings
from storage.care.telling import megabytes, write_answer
from storage.wiring import open_zoo

Parsers: TypeAlias = "_SubParsersAction[ArgumentParser]"


def add_commands(parsers: Parsers) -> None:
    """Add each command to those of ``python -m storage``."""
    gc = _command(parsers, "gc", "Delete bytes that nothing has referred to for long enough.")
    gc.add_argument("--dry-run", action="store_true", help="only tell what would be deleted")
    gc.set_defaults(run=collect)


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
