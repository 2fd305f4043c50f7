"""Restore a backup into an empty zoo, on whatever database and store its settings name."""

import hashlib
from pathlib import Path

from alembic import command
from sqlalchemy import Connection, Engine, MetaData, select
from sqlalchemy.orm import Session

from registry.errors import ConflictError, StorageError
from registry.frozen import Frozen
from registry.names import Digest, parse_digest
from registry.ports import BlobStore
from storage.care.backup import BLOBS, LIST, Manifest, read_manifest
from storage.care.blob_checks import forget_what_is_made_anew, is_there, pieces
from storage.care.dump import check_table, lines_of, read_table
from storage.care.telling import OnBytes, nobody
from storage.folder_blobs import FolderBlobs
from storage.migrations import alembic_config, hold_lock, newest_revision, upgrade
from storage.records.blobs import SqlBlobRecords
from storage.transaction import Transaction
from storage.translation import translated

VERSION_TABLE = "alembic_version"


class Restored(Frozen):
    """What was restored."""

    rows: int
    blobs: int
    damaged: tuple[Digest, ...]


class Restore:
    """Puts a backup where nothing is: bytes first, then all records in one transaction."""

    def __init__(self, engine: Engine, blobs: BlobStore, source: Path, on_bytes: OnBytes = nobody) -> None:
        """Args: engine, blobs: where to; source: the folder of the backup."""
        self._engine, self._blobs, self._source, self._on_bytes = engine, blobs, source, on_bytes

    def run(self) -> Restored:
        """Restore; after an interruption it may run again.

        Raises:
            ConflictError: there are records where the backup is to go.
            StorageError: it is no whole backup, is damaged, or is of a revision that this program does not know.
        """
        manifest = read_manifest(self._source)
        folder = self._source / manifest.folder
        for table in manifest.tables:
            check_table(table, folder)
        digests = _listed(folder / LIST, manifest)
        self._require_empty()
        copies = FolderBlobs(self._source / BLOBS)
        for digest in digests:
            if not is_there(self._blobs, digest):
                self._copy(copies, digest)
        self._records(manifest, folder)
        upgrade(self._engine)
        self._let_go(set(digests) | set(manifest.damaged))
        rows = sum(table.rows for table in manifest.tables)
        return Restored(rows=rows, blobs=len(digests), damaged=manifest.damaged)

    def _let_go(self, known: set[Digest]) -> None:
        """Forget checkpoints and uploads whose bytes went while the backup was made, for others or for none."""
        with translated(), Session(self._engine) as session, session.begin():
            for gone in sorted(SqlBlobRecords(Transaction(session)).passing_references() - known):
                forget_what_is_made_anew(session, gone)

    def _copy(self, copies: BlobStore, digest: Digest) -> None:
        """Copy bytes, verified. Raises WrongDigestError for a damaged backup."""
        with self._blobs.writer() as writer:
            for chunk in pieces(copies, digest):
                writer.write(chunk)
                self._on_bytes(len(chunk))
            writer.commit(expected=digest)

    def _require_empty(self) -> None:
        """Raises ConflictError where there is anything in the database; bytes that lie about do no harm."""
        with translated(), self._engine.connect() as connection:
            self._check_empty(connection)

    def _check_empty(self, connection: Connection) -> None:
        found = MetaData()
        found.reflect(connection)
        for table in found.sorted_tables:
            if table.name != VERSION_TABLE and connection.execute(select(table).limit(1)).first() is not None:
                raise ConflictError(
                    f"there is a zoo already (table {table.name} has rows); a backup is restored only where there is "
                    "none: set ZOO_HOME and ZOO_DATABASE to an empty place"
                )

    def _records(self, manifest: Manifest, folder: Path) -> None:
        """Make the tables of the backup's revision and fill them, in one transaction."""
        config = alembic_config()
        with translated(), self._engine.begin() as connection:
            hold_lock(connection)
            self._check_empty(connection)
            config.attributes["connection"] = connection
            if newest_revision() != manifest.revision:
                command.downgrade(config, "base")
            command.upgrade(config, manifest.revision)
            found = MetaData()
            found.reflect(connection)
            told = {table.table: table for table in manifest.tables}
            for table in found.sorted_tables:
                if table.name in told:
                    read_table(connection, table, told.pop(table.name), folder)
            if told:
                raise StorageError(f"the backup has tables that this program does not know: {', '.join(sorted(told))}")


def _listed(file: Path, manifest: Manifest) -> list[Digest]:
    """The bytes of a backup. Raises StorageError where the list is damaged."""
    lines = list(lines_of(file))
    found = "sha256:" + hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    if found != manifest.blobs_digest:
        raise StorageError(f"{file} is damaged, it now has {found}; use another backup")
    return [parse_digest(line) for line in lines]
