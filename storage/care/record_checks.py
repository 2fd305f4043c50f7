"""Whether records are what they say: each can be read, and agrees with the columns it is found by."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import partial
from json import JSONDecodeError
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import delete, inspect, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from registry.names import Digest, namespaces_of
from registry.outcome_records import Outcome
from registry.plans import Plan
from registry.records import (
    Dataset,
    KeptStatistics,
    Pipeline,
    PublishedModule,
    Query,
    QueryStatus,
    Task,
    Verification,
    VerificationState,
)
from registry.set_plans import KIND as SETS
from registry.set_plans import SetPlan
from registry.token_records import Token
from storage.care.problems import RESTORE, Finding, finding
from storage.care.snapshot import every
from storage.records.modules import words_of
from storage.records.queries import ASKED, WAITING
from storage.records.statistics import SqlStatisticsRecords
from storage.records.verification import mark_versions
from storage.records.webhooks import read_webhook
from storage.tables import (
    DatasetRow,
    ModuleRow,
    OutcomeRow,
    PipelineModuleRow,
    PipelineNamespaceRow,
    PipelineRow,
    QueryAskerRow,
    QueryDataRow,
    QueryJobRow,
    QueryNamespaceRow,
    QueryRow,
    StatisticsRow,
    Table,
    TaskRow,
    TokenRow,
    VerificationRow,
    VersionRow,
    WebhookRow,
    WordRow,
)
from storage.transaction import Transaction

Model = TypeVar("Model", bound=BaseModel)
Column = InstrumentedAttribute[str] | InstrumentedAttribute[int]
UNREADABLE, DIFFERS = "unreadable_record", "record_differs"
ENDED = select(QueryRow.id).where(QueryRow.status != QueryStatus.RUNNING)


def check_versions(session: Session) -> Iterator[Finding]:
    """Every version can be read and is the one its columns say; it stands on one that is here."""
    names = {row.id: f"{row.namespace}/{row.name}" for row in every(session, ModuleRow)}
    digests = {digest for (digest,) in session.execute(select(VersionRow.digest))}
    words: dict[int, set[tuple[str, str, bool]]] = defaultdict(set)
    for word in every(session, WordRow):
        words[word.version_id].add((word.kind, word.word, word.superseded))
    for row in every(session, VersionRow):
        where = f"version {names.get(row.module_id, '?')}@{row.version}"
        record, wrong = read(PublishedModule, row.record, where)
        yield from wrong
        if record is None:
            continue
        said = (f"{record.namespace}/{record.name}", record.version, record.digest, record.below, record.role.value)
        kept = (names.get(row.module_id), row.version, row.digest, row.below, row.role)
        yield from _differing(where, said, kept)
        if row.below is not None and row.below not in digests:
            yield finding("broken_lineage", where, f"it stands on {row.below}, which is no version here")
        if words[row.id] != {(kind, word, row.superseded) for kind, word in words_of(record)}:
            repair = partial(_word_again, row.id, record)
            yield finding(DIFFERS, where, "it is not found by its tags and classes", repair=repair)


def check_verifications(session: Session) -> Iterator[Finding]:
    """Every verdict can be read, and versions are found by it."""
    for row in every(session, VerificationRow):
        wrong = _wrong_verdict(row)
        if wrong is not None:
            kind, detail = wrong
            repair = partial(_forget_verdict, Digest(row.digest))
            yield finding(kind, f"verification of {row.digest}", detail, repair=repair)
    verified = select(VerificationRow.digest).where(VerificationRow.state == VerificationState.VERIFIED)
    differs = VersionRow.verified != VersionRow.digest.in_(verified)
    for (digest,) in session.execute(select(VersionRow.digest).where(differs).distinct().order_by(VersionRow.digest)):
        repair = partial(_mark_again, Digest(digest))
        yield finding(DIFFERS, f"versions {digest}", "searches do not go by what workers found of it", repair=repair)


def check_pipelines(session: Session) -> Iterator[Finding]:
    """Every pipeline can be read, is found by its modules, and they are versions here."""
    digests = {digest for (digest,) in session.execute(select(VersionRow.digest))}
    parts: dict[str, list[str]] = {}
    for part in every(session, PipelineModuleRow):
        parts.setdefault(part.pipeline_id, []).append(part.digest)
    namespaces: dict[str, set[str]] = defaultdict(set)
    for seen in every(session, PipelineNamespaceRow):
        namespaces[seen.pipeline_id].add(seen.namespace)
    for row in every(session, PipelineRow):
        where = f"pipeline {row.id}"
        record, wrong = read(Pipeline, row.record, where)
        yield from wrong
        if record is None:
            continue
        yield from _differing(where, (record.id, record.name), (row.id, row.name))
        pinned = [module.digest for module in record.modules]
        if pinned != parts.get(row.id, []):
            pins = [{"position": position, "digest": digest} for position, digest in enumerate(pinned)]
            repair = partial(_instead, PipelineModuleRow, {"pipeline_id": row.id}, pins)
            yield finding(DIFFERS, where, "it is not found by the modules that it holds", repair=repair)
        names = namespaces_of(module.ref for module in record.modules)
        if namespaces[row.id] != set(names):
            hidden = [{"namespace": name} for name in names]
            repair = partial(_instead, PipelineNamespaceRow, {"pipeline_id": row.id}, hidden)
            yield finding(DIFFERS, where, "it is not hidden with the namespaces of its modules", repair=repair)
        for gone in sorted(set(pinned) - digests):
            yield finding("broken_pipeline", where, f"it holds {gone}, which is no version here")


def check_datasets(session: Session) -> Iterator[Finding]:
    """Every dataset and every task can be read and is what its columns say."""
    for row in every(session, DatasetRow):
        dataset, wrong = read(Dataset, row.record, f"dataset {row.digest}")
        yield from wrong
        if dataset is not None:
            yield from _differing(f"dataset {row.digest}", (dataset.digest,), (row.digest,))
    for made in every(session, TaskRow):
        task, wrong = read(Task, made.record, f"task {made.id}")
        yield from wrong
        if task is not None:
            yield from _differing(f"task {made.id}", (task.id, task.dataset), (made.id, made.dataset))


def check_statistics(session: Session) -> Iterator[Finding]:
    """All that is kept of statistics can be read and is what its columns say; what is not is made anew."""
    for row in every(session, StatisticsRow):
        where, repair = f"statistics {row.key}", partial(forget_statistics, row.key)
        record, wrong = read(KeptStatistics, row.record, where)
        if wrong:
            yield finding(UNREADABLE, where, wrong[0].problem.detail, repair=repair)
        elif record is not None:
            said = (record.key, record.module, record.data, record.blob)
            for other in _differing(where, said, (row.key, row.module, row.data, row.blob)):
                yield finding(DIFFERS, where, other.problem.detail, repair=repair)


def check_queries(session: Session) -> Iterator[Finding]:
    """Every question and outcome can be read, and is found by, and hidden with, what it is about.

    A question that cannot be read is forgotten, to be asked anew.
    """
    kept = [(way, _values_by_query(session, way.column)) for way in WAYS_TO_QUERIES]
    for asked in every(session, QueryRow):
        where, repair = f"query {asked.id}", partial(_forget, QueryRow, asked.id)
        record, wrong = read(Query, asked.record, where)
        plan, plan_wrong = (None, wrong) if record is None else _plan_of(record, where)
        if plan_wrong:
            yield finding(UNREADABLE, where, plan_wrong[0].problem.detail, repair=repair)
        if record is None or plan is None:
            continue
        yield from _differing(where, (record.id, record.status.value), (asked.id, asked.status))
        for way, found in kept:
            if way.values_of(record, plan) != found[asked.id]:
                yield finding(DIFFERS, where, way.where_not, repair=partial(_find_again, way, asked.id))
    yield from _check_askers(session)
    for told in every(session, OutcomeRow):
        yield from read(Outcome, told.record, f"outcome of {told.query_id} for {told.module} by {told.owner}")[1]


def _check_askers(session: Session) -> Iterator[Finding]:
    """Nobody waits for a question that has ended."""
    waiting = select(QueryAskerRow.query_id).where(QueryAskerRow.state == WAITING, QueryAskerRow.query_id.in_(ENDED))
    for (query_id,) in session.execute(waiting.distinct().order_by(QueryAskerRow.query_id)):
        repair = partial(_wait_no_more, query_id)
        yield finding(DIFFERS, f"query {query_id}", "somebody waits for it although it has ended", repair=repair)


def check_access(session: Session) -> Iterator[Finding]:
    """Every token and webhook can be read."""
    for row in every(session, TokenRow):
        where = f"token {row.id}"
        record, wrong = read(Token, row.record, where)
        yield from wrong
        if record is not None:
            yield from _differing(where, (record.id, record.role.value), (row.id, row.role))
    for each in every(session, WebhookRow):
        try:
            read_webhook(each)
        except (ValidationError, JSONDecodeError) as error:
            yield finding(UNREADABLE, f"webhook {each.id}", f"the record cannot be read: {type(error).__name__}")


def _values_by_query(session: Session, column: Column) -> dict[str, set[str | int]]:
    """What each query is found by."""
    found: dict[str, set[str | int]] = defaultdict(set)
    for query_id, value in session.execute(select(column.class_.query_id, column)):
        found[query_id].add(value)
    return found


def _data_of(query: Query, plan: Plan | SetPlan) -> set[str]:
    del query
    return {task.dataset for task in (plan.tasks if isinstance(plan, Plan) else (plan.task,))}


def _names_of(query: Query, plan: Plan | SetPlan) -> set[str]:
    del plan
    return set(query.namespaces)


def _jobs_of(query: Query, plan: Plan | SetPlan) -> set[int]:
    del plan
    return set(query.jobs) if query.status is QueryStatus.RUNNING else set()


@dataclass(frozen=True, slots=True)
class _Way:
    """A table by which queries are found: what is wrong where it differs from their records, and what they say."""

    table: type[Table]
    column: Column
    where_not: str
    values_of: Callable[[Query, Plan | SetPlan], Set[str] | Set[int]]


WAYS_TO_QUERIES = (
    _Way(QueryDataRow, QueryDataRow.data, "it is not found by the datasets that it is about", _data_of),
    _Way(
        QueryNamespaceRow,
        QueryNamespaceRow.namespace,
        "it is not hidden with the namespaces of its candidates",
        _names_of,
    ),
    _Way(QueryJobRow, QueryJobRow.job, "it is not found by the jobs that it waits for", _jobs_of),
)


def _plan_of(query: Query, where: str) -> tuple[Plan | SetPlan | None, list[Finding]]:
    """The question made exact, or why it cannot be read."""
    return read(SetPlan, query.plan, where) if query.kind == SETS else read(Plan, query.plan, where)


def read(model: type[Model], text: str, where: str) -> tuple[Model | None, list[Finding]]:
    """A record, or why it cannot be read."""
    try:
        return model.model_validate_json(text), []
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_context=False, include_input=False)[0]
        place = "/".join(map(str, wrong["loc"]))
        return None, [finding(UNREADABLE, where, f"the record cannot be read, at /{place}: {wrong['msg']}")]


def forget_statistics(key: str, session: Session) -> None:
    """Forget statistics, whatever their record says, and find again how the module stands."""
    row = session.get(StatisticsRow, key)
    if row is not None:
        module = Digest(row.module)
        session.delete(row)
        session.flush()
        SqlStatisticsRecords(Transaction(session)).stand([module])


def _differing(where: str, said: tuple[object, ...], kept: tuple[object, ...]) -> Iterator[Finding]:
    """What a record says that its columns do not."""
    for one, other in zip(said, kept, strict=True):
        if one != other:
            detail = f"the record says {str(one)[:100]}, the column it is found by says {str(other)[:100]}"
            yield finding(DIFFERS, where, detail, remedy=RESTORE)


def _forget(table: type[Table], key: str, session: Session) -> None:
    """Delete one row by its key."""
    session.execute(delete(table).where(inspect(table).primary_key[0] == key))


def _wrong_verdict(row: VerificationRow) -> tuple[str, str] | None:
    """Of what kind a verdict is wrong, and how, if it is."""
    record, wrong = read(Verification, row.record, "")
    if wrong:
        return UNREADABLE, f"{wrong[0].problem.detail}; without it the module counts as unverified"
    if record is not None and record.state.value != row.state:
        return DIFFERS, f"{row.state} beside a record of {record.state.value}"
    return None


def _forget_verdict(module: Digest, session: Session) -> None:
    """Delete a wrong verdict on a module, which is unverified from here on."""
    transaction = Transaction(session)
    transaction.hold_bytes(module)
    row = session.get(VerificationRow, module)
    if row is not None and _wrong_verdict(row) is not None:
        _forget(VerificationRow, module, session)
        mark_versions(transaction, module)


def _mark_again(module: Digest, session: Session) -> None:
    """Have versions found by what workers found of their bytes."""
    transaction = Transaction(session)
    transaction.hold_bytes(module)
    mark_versions(transaction, module)


def _find_again(way: _Way, query_id: str, session: Session) -> None:
    """Have a query found by what its record says now; one that is gone meanwhile is not found at all."""
    row = session.get(QueryRow, query_id)
    record = None if row is None else read(Query, row.record, "")[0]
    plan = None if record is None else _plan_of(record, "")[0]
    if record is not None and plan is not None:
        rows = [{way.column.key: value} for value in sorted(way.values_of(record, plan))]
        _instead(way.table, {"query_id": query_id}, rows, session)


def _wait_no_more(query_id: str, session: Session) -> None:
    """Have nobody wait for a question, if it has ended still."""
    waiting = update(QueryAskerRow).where(QueryAskerRow.query_id == query_id, QueryAskerRow.state == WAITING)
    session.execute(waiting.where(QueryAskerRow.query_id.in_(ENDED)).values(state=ASKED))


def _word_again(version_id: int, module: PublishedModule, session: Session) -> None:
    """Write again by which words a version is found."""
    row = session.get(VersionRow, version_id)
    if row is not None:
        session.execute(delete(WordRow).where(WordRow.version_id == version_id))
        found_by = {"version_id": version_id, "superseded": row.superseded}
        session.add_all(WordRow(kind=kind, word=word, **found_by) for kind, word in words_of(module))


def _instead(table: type[Table], of: Mapping[str, str], rows: Sequence[Mapping[str, object]], session: Session) -> None:
    """Write the rows of something, such as one query, in the place of those that it has."""
    session.execute(delete(table).filter_by(**of))
    session.add_all(table(**of, **row) for row in rows)
