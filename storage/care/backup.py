"""Back up a zoo while it serves: one moment of its records, then all bytes that these refer to."""

import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Engine

from registry.errors import BusyError, CorruptBlobError, NotFoundError, StorageError, WrongDigestError
from registry.frozen import Frozen
from registry.names import Digest
from registry.ports import BlobStore, Clock
from storage.care.blob_checks import is_there, pieces
from storage.care.dump import TableFile, write_table
from storage.care.snapshot import snapshot
from storage.care.telling import OnBytes, nobody
from storage.folder_blobs import FolderBlobs, sync_folder
from storage.migrations import newest_revision, revision_of
from storage.records.blobs import SqlBlobRecords
from storage.tables import Table
from storage.transaction import Transaction
from storage.translation import disk_translated

MANIFEST, BLOBS, LIST = "backup.json", "blobs", "blobs.txt"
ATTEMPTS = 5
"""Bytes may be deleted between the look at the records and their turn; then the records are looked at again. Bytes that
only jobs and uploads named are left out instead: such go all the time, and nobody misses them."""


class Manifest(Frozen):
    """What a backup holds; it is written last, so where it is the backup is whole."""

    format: int = 1
    made_at: datetime
    revision: str
    folder: str
    tables: tuple[TableFile, ...]
    blobs: int
    blobs_digest: str
    damaged: tuple[Digest, ...]


class BackedUp(Frozen):
    """What a run of the backup did."""

    made_at: datetime
    rows: int
    blobs: int
    copied: int
    copied_bytes: int
    damaged: tuple[Digest, ...]


@dataclass(frozen=True, slots=True)
class Moment:
    """The records of one moment, as written, the bytes that they refer to, and those among them that were to stay."""

    made_at: datetime
    folder: Path
    tables: tuple[TableFile, ...]
    wanted: set[Digest]
    lasting: set[Digest]


class Backup:
    """A backup in a folder: rows as text, bytes under their digests, and a manifest; run again, it copies the new."""

    def __init__(
        self, engine: Engine, blobs: BlobStore, target: Path, clock: Clock, on_bytes: OnBytes = nobody
    ) -> None:
        """Args: engine, blobs: the zoo; target: the folder, which is made."""
        self._engine, self._blobs, self._target, self._clock, self._on_bytes = engine, blobs, target, clock, on_bytes
        with disk_translated(f"the folder {target}"):
            target.mkdir(parents=True, exist_ok=True)
            if any(target.iterdir()) and not (target / BLOBS).is_dir():
                raise StorageError(f"{target} holds something else than a backup; choose an empty folder")
        self._copies = FolderBlobs(target / BLOBS)
        self._copied = self._copied_bytes = 0

    def run(self) -> BackedUp:
        """Back up; an earlier backup stays whole until the end. Raises StorageFullError, StorageError, BusyError."""
        for _ in range(ATTEMPTS):
            moment = self._records()
            missing, damaged = self._bytes(moment.wanted)
            gone = missing - self._still_referred(missing)
            if gone.isdisjoint(moment.lasting):
                return self._finished(moment, moment.wanted - gone, lost=(missing - gone) | damaged)
            shutil.rmtree(moment.folder)
        raise BusyError(f"bytes were deleted while they were backed up, {ATTEMPTS} times; try again at a quieter time")

    def _records(self) -> "Moment":
        """Write one moment of every table, and copy at once what its jobs and uploads will soon need no more."""
        _require_revision(self._engine)
        made_at = self._clock()
        folder = self._target / made_at.strftime("records-%Y%m%dT%H%M%S%f")
        with disk_translated(f"the folder {folder}"):
            folder.mkdir()
        with snapshot(self._engine) as session:
            references = SqlBlobRecords(Transaction(session))
            passing = references.passing_references()
            self._bytes(passing)
            lasting = references.lasting_references()
            tables = tuple(
                write_table(session, table, folder / f"{table.name}.jsonl") for table in Table.metadata.sorted_tables
            )
        return Moment(made_at, folder, tables, wanted=passing | lasting, lasting=lasting)

    def _bytes(self, wanted: set[Digest]) -> tuple[set[Digest], set[Digest]]:
        """Copy what is not in the backup yet, verified; gives what is not there, and what is damaged."""
        missing, damaged = set(), set()
        for digest in sorted(wanted):
            if is_there(self._copies, digest):
                continue
            try:
                self._copy(digest)
            except NotFoundError:
                missing.add(digest)
            except (WrongDigestError, CorruptBlobError):
                damaged.add(digest)
        return missing, damaged

    def _copy(self, digest: Digest) -> None:
        """Copy bytes. Raises NotFoundError; CorruptBlobError, WrongDigestError where they are not whole; StorageError
        and StorageFullError where the folder of the backup does not take them.
        """
        with self._copies.writer() as writer:
            for chunk in self._read(digest):
                writer.write(chunk)
                self._on_bytes(len(chunk))
            self._copied_bytes += writer.commit(expected=digest).size_bytes
        self._copied += 1

    def _read(self, digest: Digest) -> Iterator[bytes]:
        """The zoo's bytes. Raises NotFoundError, and CorruptBlobError where they cannot be read, which is as bad."""
        try:
            yield from pieces(self._blobs, digest)
        except StorageError as error:
            raise CorruptBlobError(f"the bytes stored as {digest} cannot be read: {error.detail}") from error

    def _still_referred(self, digests: set[Digest]) -> set[Digest]:
        """Those that something refers to now: they were not deleted, they are lost."""
        with snapshot(self._engine) as session:
            return SqlBlobRecords(Transaction(session)).referred(digests)

    def _finished(self, moment: "Moment", wanted: set[Digest], *, lost: set[Digest]) -> BackedUp:
        """Write the list of bytes and then the manifest, and remove the records of earlier backups."""
        listed = _write_lines(moment.folder / LIST, sorted(wanted - lost))
        manifest = Manifest(
            made_at=moment.made_at,
            revision=newest_revision() or "",
            folder=moment.folder.name,
            tables=moment.tables,
            blobs=len(wanted - lost),
            blobs_digest=listed,
            damaged=tuple(sorted(lost)),
        )
        _replace(self._target / MANIFEST, manifest.model_dump_json(indent=2))
        for other in self._target.glob("records-*"):
            if other != moment.folder:
                shutil.rmtree(other)
        rows = sum(table.rows for table in moment.tables)
        return BackedUp(
            made_at=moment.made_at,
            rows=rows,
            blobs=manifest.blobs,
            copied=self._copied,
            copied_bytes=self._copied_bytes,
            damaged=manifest.damaged,
        )


def read_manifest(source: Path) -> Manifest:
    """The manifest of a backup. Raises StorageError where there is none, so that no half backup is taken for one."""
    file = source / MANIFEST
    try:
        with disk_translated(f"the folder {source}"):
            text = file.read_text()
        return Manifest.model_validate_json(text)
    except (StorageError, ValidationError) as error:
        raise StorageError(
            f"{source} holds no whole backup ({MANIFEST} cannot be read); name another folder"
        ) from error


def _require_revision(engine: Engine) -> None:
    """Raises StorageError unless the database is at the revision of this program."""
    found, wanted = revision_of(engine), newest_revision()
    if found != wanted:
        raise StorageError(
            f"the database is at revision {found}, this program needs {wanted}; start the service once to upgrade it"
        )


def _write_lines(file: Path, lines: Iterable[str]) -> str:
    """Write lines to a file; gives its digest."""
    content = "".join(f"{line}\n" for line in lines).encode()
    with disk_translated(f"the folder {file.parent}"):
        file.write_bytes(content)
    return "sha256:" + hashlib.sha256(content).hexdigest()


def _replace(file: Path, content: str) -> None:
    """Put a file in the place of the one before, in one step, after all that was written before it."""
    half = file.with_suffix(".part")
    with disk_translated(f"the folder {file.parent}"):
        for folder in file.parent.glob("records-*"):
            for written in folder.iterdir():
                _sync(written)
            sync_folder(folder)
        half.write_text(content)
        _sync(half)
        half.replace(file)
        sync_folder(file.parent)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
