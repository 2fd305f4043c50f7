"""The doctor: looks at every record and every byte of a zoo, names what is wrong, and puts right what it can."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError
from sqlalchemy import Engine, func, make_url, select, text
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from registry.errors import NotFoundError, SettingsError, ZooError
from registry.manifest import ModuleManifest
from registry.module_file import read_header
from registry.names import Digest
from registry.ports import BlobStore
from registry.records import PublishedModule, StoredBlob
from registry.settings import Settings
from storage.care import record_checks, state_checks
from storage.care.blob_checks import BlobExaminer, is_there
from storage.care.problems import RESTORE, Finding, Problem, Report, finding
from storage.care.snapshot import every, snapshot
from storage.care.telling import OnBytes, nobody
from storage.migrations import newest_revision, revision_of
from storage.records.blobs import SqlBlobRecords
from storage.tables import Table, VersionRow
from storage.transaction import Transaction
from storage.translation import translated

Check = Callable[[Session], Iterator[Finding]]
CHECKS: tuple[Check, ...] = (
    record_checks.check_versions,
    record_checks.check_verifications,
    record_checks.check_pipelines,
    record_checks.check_datasets,
    record_checks.check_statistics,
    record_checks.check_queries,
    record_checks.check_access,
    state_checks.check_modules,
    state_checks.check_standings,
    state_checks.check_changes,
    state_checks.check_jobs,
)


def require_database(settings: Settings) -> None:
    """Raises SettingsError where the settings name a SQLite file that is not there; it would be made by looking."""
    url = make_url(settings.database_url)
    if url.get_backend_name() == "sqlite" and url.database and not Path(url.database).exists():
        raise SettingsError(f"there is no zoo in {url.database}; set ZOO_HOME or ZOO_DATABASE to where it is stored")


class Doctor:
    """Examines a zoo while it serves: it reads one moment of the records, and repairs a piece at a time, holding."""

    def __init__(self, engine: Engine, blobs: BlobStore, quarantine: Path) -> None:
        """Args: engine: its database, as it is; blobs: its bytes; quarantine: where damaged bytes are set aside."""
        self._engine, self._blobs, self._quarantine = engine, blobs, quarantine

    def examine(self, *, repair: bool = False, on_bytes: OnBytes = nobody) -> Report:
        """Look at everything once. Raises StorageError, BusyError where the database or the blobs cannot be used."""
        unfit = self._unfit()
        if unfit is not None:
            return Report(records=0, blobs=0, blob_bytes=0, unreferred=0, problems=(unfit,))
        with snapshot(self._engine) as session:
            findings = [each for check in (_of_database, *CHECKS) for each in _found_by(check, session)]
            records = sum(session.scalar(select(func.count()).select_from(table)) or 0 for table in _tables())
        problems = [self._settled(each, repair=repair) for each in findings]
        looked = Looked()
        problems += self._of_blobs(looked, repair=repair, on_bytes=on_bytes)
        problems += self._of_headers(but=looked.wrong)
        return Report(
            records=records,
            blobs=len(looked.there),
            blob_bytes=looked.size_bytes,
            unreferred=len(looked.there - looked.referred),
            problems=tuple(problems),
        )

    def _unfit(self) -> Problem | None:
        """Why the records cannot be looked at, if so."""
        try:
            wanted, found = newest_revision(), revision_of(self._engine)
        except DatabaseError as error:
            return _unreadable(error).problem
        if found == wanted:
            return None
        detail = f"the database is at revision {found}, this program needs {wanted}"
        remedy = "start the service once, which brings it up to date, or use the program of that revision"
        return Problem(kind="wrong_revision", where="database", detail=detail, remedy=remedy)

    def _settled(self, found: Finding, *, repair: bool) -> Problem:
        """The problem, repaired where that is asked for and possible."""
        if not repair or found.repair is None:
            return found.problem
        self._holding(found.repair)
        return found.problem.model_copy(update={"repaired": True})

    def _of_blobs(self, looked: "Looked", *, repair: bool, on_bytes: OnBytes) -> Iterator[Problem]:
        """Bytes that are damaged or missing. What is referred to is read before and after, so that nothing is told
        missing that went or came meanwhile.
        """
        before = self._referred()
        examiner = BlobExaminer(self._blobs, self._holding, self._quarantine, on_bytes)
        for digest, wrong in examiner.damaged(looked.over(self._blobs.listing())):
            looked.wrong.add(digest)
            yield examiner.tell(digest, wrong, kind="damaged_blob", repair=repair)
        looked.referred = self._referred()
        for digest in sorted((before & looked.referred) - looked.there):
            if is_there(self._blobs, digest):
                continue
            looked.wrong.add(digest)
            yield examiner.tell(digest, "there are no such bytes", kind="missing_blob", repair=repair)

    def _of_headers(self, *, but: set[Digest]) -> list[Problem]:
        """Versions whose record is not what their file says of itself, but those whose bytes are wrong anyway."""
        with snapshot(self._engine) as session:
            rows = ((row.record, f"version {row.digest}") for row in every(session, VersionRow))
            read = (record_checks.read(PublishedModule, record, where)[0] for record, where in rows)
            wrong = [self._header(module) for module in read if module is not None and module.digest not in but]
        return [found.problem for found in wrong if found is not None]

    def _header(self, module: PublishedModule) -> Finding | None:
        where = f"version {module.ref}"
        try:
            size_bytes = self._blobs.info(module.digest).size_bytes
            with self._blobs.open(module.digest) as file:
                manifest = read_header(file, size_bytes=size_bytes).manifest
        except NotFoundError:
            return None  # deleted meanwhile
        except ZooError as error:
            return finding("unreadable_file", where, f"its file is no module file: {error.detail}", remedy=RESTORE)
        if manifest != _manifest_of(module) or size_bytes != module.size_bytes:
            return finding("manifest_differs", where, "its record is not what its file says of itself", remedy=RESTORE)
        return None

    def _referred(self) -> set[Digest]:
        """All bytes that something refers to; none are known while a record that names some cannot be read."""
        try:
            with snapshot(self._engine) as session:
                return SqlBlobRecords(Transaction(session)).every_reference()
        except ValidationError:
            return set()

    def _holding(self, change: Callable[[Session], None]) -> None:
        """Run something within a transaction that holds."""
        with translated(), Session(self._engine) as session, session.begin():
            Transaction(session).hold()
            change(session)


@dataclass(slots=True)
class Looked:
    """What an examination has seen of the blobs so far."""

    there: set[Digest] = field(default_factory=set)
    size_bytes: int = 0
    wrong: set[Digest] = field(default_factory=set)
    referred: set[Digest] = field(default_factory=set)

    def over(self, stored: Iterator[StoredBlob]) -> Iterator[StoredBlob]:
        """The same blobs, noted as they pass."""
        for blob in stored:
            self.there.add(blob.digest)
            self.size_bytes += blob.size_bytes
            yield blob


def _found_by(check: Check, session: Session) -> Iterator[Finding]:
    """What a check finds; what a damaged file keeps it from reading is a finding too."""
    try:
        yield from check(session)
    except DatabaseError as error:
        yield _unreadable(error)


def _unreadable(error: DatabaseError) -> Finding:
    return finding("damaged_database", "database", f"it cannot be read ({error.orig})", remedy=RESTORE)


def _of_database(session: Session) -> Iterator[Finding]:
    """What SQLite says of its own file; PostgreSQL checks what it reads."""
    if session.get_bind().dialect.name != "sqlite":
        return
    for (told,) in session.execute(text("PRAGMA integrity_check")):
        if told != "ok":
            yield finding("damaged_database", "database", f"SQLite finds its file damaged: {told}", remedy=RESTORE)
    for table, row, parent, _ in session.execute(text("PRAGMA foreign_key_check")):
        detail = f"it refers to a row of {parent} that is not there"
        yield finding("broken_reference", f"row {row} of {table}", detail, remedy=RESTORE)


def _tables() -> Iterator[type[Table]]:
    return (mapper.class_ for mapper in Table.registry.mappers)


def _manifest_of(module: PublishedModule) -> ModuleManifest:
    """The manifest as it stands in the file, without what publishing added."""
    return ModuleManifest(**{name: getattr(module, name) for name in ModuleManifest.model_fields})
