"""Whether what was worked out from records agrees with them: counters, the newest version, standings, leases."""

from collections import defaultdict
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from functools import partial

from pydantic import ValidationError
from sqlalchemy import Select, func, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.access import EVERYTHING, Sight
from registry.audit import AuditService
from registry.names import Digest
from registry.ports import UnitOfWork
from registry.records import JobStatus, KeptStatistics, Progress
from registry.standings import ModuleStanding, standing_of
from storage.care.problems import Finding, finding
from storage.care.snapshot import every
from storage.clock import utc_now
from storage.records.changes import SERIAL
from storage.records.jobs import OPEN, RESULT, WORK
from storage.records.modules import SqlModuleRecords
from storage.records.statistics import SqlStatisticsRecords
from storage.tables import (
    AliasMoveRow,
    AliasRow,
    AuditRow,
    CounterRow,
    JobRow,
    ModuleRow,
    StandingRow,
    StatisticsRow,
    VersionRow,
)
from storage.transaction import Transaction
from storage.unit_of_work import SqlUnitOfWork

ROUNDING = 1e-9
UNSEEN = {"synchronize_session": False}


def check_modules(session: Session) -> Iterator[Finding]:
    """Numbers are given once, searches show the newest version, and aliases are where their last move left them."""
    highest = dict(_pairs(session, select(VersionRow.module_id, func.max(VersionRow.version)), VersionRow.module_id))
    shown = select(VersionRow.module_id, func.max(VersionRow.version)).where(VersionRow.yanked.is_(None))
    newest = dict(_pairs(session, shown, VersionRow.module_id))
    found: dict[int, set[int]] = defaultdict(set)
    for module_id, version in session.execute(
        select(VersionRow.module_id, VersionRow.version).where(~VersionRow.superseded)
    ):
        found[module_id].add(version)
    for row in every(session, ModuleRow):
        where = f"module {row.namespace}/{row.name}"
        if row.last_version < highest.get(row.id, 0):
            detail = f"the last number given is {row.last_version}, but there is a version {highest[row.id]}"
            yield finding("wrong_counter", where, detail, repair=partial(_raise_last_version, row.id))
        if row.newest != newest.get(row.id):
            detail = f"searches show version {row.newest}, the newest that is not yanked is {newest.get(row.id)}"
            yield finding("wrong_newest", where, detail, repair=partial(_find_newest, row.id))
        elif found[row.id] != ({row.newest} - {None}):
            detail = f"searches are to find version {row.newest}, but go by {sorted(found[row.id])}"
            yield finding("wrong_newest", where, detail, repair=partial(_find_newest, row.id))
    yield from _check_aliases(session)


def _check_aliases(session: Session) -> Iterator[Finding]:
    last: dict[tuple[int, str], tuple[int, int]] = {}
    for move in every(session, AliasMoveRow):
        key = (move.module_id, move.alias)
        last[key] = max(last.get(key, (0, 0)), (move.revision, move.version))
    for row in every(session, AliasRow):
        if last.get((row.module_id, row.alias)) != (row.revision, row.version):
            detail = f"it points at version {row.version} by move {row.revision}, which is not the last of its history"
            yield finding("wrong_alias", f"alias {row.alias} of module {row.module_id}", detail)


def check_standings(session: Session) -> Iterator[Finding]:
    """Modules stand as all that is kept of their statistics says."""
    kept: dict[str, list[KeptStatistics]] = defaultdict(list)
    for row in every(session, StatisticsRow):
        try:
            kept[row.module].append(KeptStatistics.model_validate_json(row.record))
        except ValidationError:
            continue  # told by another check; once it is forgotten, the module stands anew
    stored = {row.module: row for row in every(session, StandingRow)}
    for module in sorted(kept.keys() | stored.keys()):
        if not _same(standing_of(kept.get(module, ())), stored.get(module)):
            repair = partial(_stand_again, module)
            yield finding("wrong_standing", f"module {module}", "it does not stand as its scores say", repair=repair)


def _same(found: ModuleStanding | None, row: StandingRow | None) -> bool:
    if found is None or row is None:
        return found is None and row is None
    return found.data_count == row.data_count and abs(found.mean - row.standing) <= ROUNDING


def check_changes(session: Session) -> Iterator[Finding]:
    """The next serial of the zoo's history is above all that were given, and its entries are as they were written."""
    highest = session.scalar(select(func.coalesce(func.max(AuditRow.serial), 0))) or 0
    counter = session.get(CounterRow, SERIAL)
    last = 0 if counter is None else counter.last
    if last < highest:
        detail = f"the last serial given is {last}, but there is one of {highest}"
        yield finding("wrong_counter", "changes", detail, repair=partial(_raise_serial, highest))
        return
    checked = AuditService(partial(_within, session)).verify()
    if not checked.whole:
        yield finding("broken_audit", f"audit entry {checked.broken_at}", str(checked.reason))


def _within(session: Session, sight: Sight = EVERYTHING) -> AbstractContextManager[UnitOfWork]:
    """A unit of work within a transaction that somebody else ends."""
    return nullcontext(SqlUnitOfWork(Transaction(session), sight))


def check_jobs(session: Session) -> Iterator[Finding]:
    """Every job can be read and is in a state that can be."""
    for row in every(session, JobRow):
        unreadable = _unreadable(row)
        if unreadable is not None:
            detail = f"{unreadable}; the job can neither be done nor told of, so it is forgotten"
            yield finding("unreadable_record", f"job {row.id}", detail, repair=partial(_forget, row.id))
        elif row.status == JobStatus.RUNNING and (row.lease_expires_at is None or row.worker is None):
            detail = "it is running, but no worker holds a lease on it, so nobody would ever take it"
            yield finding("wrong_lease", f"job {row.id}", detail, repair=partial(_queue_again, row.id))
        elif row.status == JobStatus.QUEUED and row.lease_expires_at is not None:
            detail = "it waits for a worker, and yet there is a lease on it"
            yield finding("wrong_lease", f"job {row.id}", detail, repair=partial(_queue_again, row.id))
        elif row.status not in OPEN and row.finished_at is None:
            repair = partial(_end, row.id, utc_now())
            yield finding("wrong_state", f"job {row.id}", f"it is {row.status}, but without a time", repair=repair)


def _unreadable(row: JobRow) -> str | None:
    """Why a job cannot be read, if so."""
    try:
        JobStatus(row.status)
        WORK.validate_json(row.work)
        Progress.model_validate_json(row.progress)
        if row.result is not None:
            RESULT.validate_json(row.result)
    except ValueError as error:
        return f"the record cannot be read: {str(error).splitlines()[0][:200]}"
    return None


def _pairs(session: Session, wanted: Select[int, int], group: InstrumentedAttribute[int]) -> list[tuple[int, int]]:
    return [(key, value) for key, value in session.execute(wanted.group_by(group))]


def _raise_last_version(module_id: int, session: Session) -> None:
    highest = select(func.max(VersionRow.version)).where(VersionRow.module_id == module_id).scalar_subquery()
    lower = (ModuleRow.id == module_id) & (ModuleRow.last_version < highest)
    session.execute(update(ModuleRow).where(lower).values(last_version=highest), execution_options=UNSEEN)


def _find_newest(module_id: int, session: Session) -> None:
    SqlModuleRecords(Transaction(session), EVERYTHING).set_newest(module_id)


def _stand_again(module: str, session: Session) -> None:
    SqlStatisticsRecords(Transaction(session)).stand([Digest(module)])


def _raise_serial(serial: int, session: Session) -> None:
    counter = session.get(CounterRow, SERIAL)
    if counter is None:
        session.add(CounterRow(name=SERIAL, last=serial))
    else:
        counter.last = max(counter.last, serial)


def _queue_again(job_id: int, session: Session) -> None:
    row = session.get(JobRow, job_id)
    if row is not None and row.status in OPEN and (row.worker is None or row.lease_expires_at is None):
        row.status, row.worker, row.lease_expires_at = JobStatus.QUEUED, None, None


def _forget(job_id: int, session: Session) -> None:
    row = session.get(JobRow, job_id)
    if row is not None:
        session.delete(row)


def _end(job_id: int, at: datetime, session: Session) -> None:
    row = session.get(JobRow, job_id)
    if row is not None and row.status not in OPEN and row.finished_at is None:
        row.finished_at = at
