"""Whether records are what they say: each can be read, and agrees with the columns it is found by."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from json import JSONDecodeError
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from sqlalchemy import delete, inspect, select
from sqlalchemy.orm import Session

from registry.names import Digest, namespaces_of
from registry.outcome_records import Outcome
from registry.plans import Plan
from registry.records import Dataset, KeptStatistics, Pipeline, PublishedModule, Query, Task, Verification
from registry.set_plans import KIND as SETS
from registry.set_plans import SetPlan
from registry.token_records import Token
from storage.care.problems import RESTORE, Finding, finding
from storage.care.snapshot import every
from storage.records.modules import words_of
from storage.records.statistics import SqlStatisticsRecords
from storage.records.webhooks import read_webhook
from storage.tables import (
    DatasetRow,
    ModuleRow,
    OutcomeRow,
    PipelineModuleRow,
    PipelineNamespaceRow,
    PipelineRow,
    QueryDataRow,
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
UNREADABLE, DIFFERS = "unreadable_record", "record_differs"


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
    """Every verdict can be read and is of a version."""
    for row in every(session, VerificationRow):
        where = f"verification of {row.digest}"
        forget = partial(_forget, VerificationRow, row.digest)
        record, wrong = read(Verification, row.record, where)
        if wrong:
            detail = f"{wrong[0].problem.detail}; without it the module counts as unverified"
            yield finding(UNREADABLE, where, detail, repair=forget)
        elif record is not None and record.state.value != row.state:
            yield finding(DIFFERS, where, f"{row.state} beside a record of {record.state.value}", repair=forget)


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
    about: dict[str, set[str]] = defaultdict(set)
    for each in every(session, QueryDataRow):
        about[each.query_id].add(each.data)
    named: dict[str, set[str]] = defaultdict(set)
    for row in every(session, QueryNamespaceRow):
        named[row.query_id].add(row.namespace)
    for asked in every(session, QueryRow):
        where, repair = f"query {asked.id}", partial(_forget, QueryRow, asked.id)
        record, wrong = read(Query, asked.record, where)
        plan, plan_wrong = (None, wrong) if record is None else _plan_of(record, where)
        if plan_wrong:
            yield finding(UNREADABLE, where, plan_wrong[0].problem.detail, repair=repair)
        if record is None or plan is None:
            continue
        yield from _differing(where, (record.id, record.status.value), (asked.id, asked.status))
        data = {task.dataset for task in (plan.tasks if isinstance(plan, Plan) else (plan.task,))}
        if data != about[asked.id]:
            rows = [{"data": digest} for digest in sorted(data)]
            repair = partial(_instead, QueryDataRow, {"query_id": asked.id}, rows)
            yield finding(DIFFERS, where, "it is not found by the datasets that it is about", repair=repair)
        if set(record.namespaces) != named[asked.id]:
            hidden = [{"namespace": name} for name in sorted(set(record.namespaces))]
            repair = partial(_instead, QueryNamespaceRow, {"query_id": asked.id}, hidden)
            yield finding(DIFFERS, where, "it is not hidden with the namespaces of its candidates", repair=repair)
    for told in every(session, OutcomeRow):
        yield from read(Outcome, told.record, f"outcome of {told.query_id} for {told.module} by {told.owner}")[1]


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
