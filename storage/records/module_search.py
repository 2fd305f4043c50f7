"""Searching modules in SQL: the newest version of each that is not yanked, a page at a time, and counts of them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVarTuple, get_args

from sqlalchemy import ColumnElement, Row, Select, Text, UnaryExpression, cast, func, select, union
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import InstrumentedAttribute

from registry.access import Sight
from registry.architectures.contracts import TensorType
from registry.errors import Fault, InvalidInputError
from registry.names import Digest, ModuleName
from registry.records import (
    Facet,
    ModuleSearch,
    Page,
    PublishedModule,
    Verification,
    VersionSummary,
)
from storage.cursors import Column, Key, beyond, read_cursor, write_cursor
from storage.records.sight import in_sight
from storage.tables import ModuleRow, VerificationRow, VersionRow, WordRow
from storage.transaction import Transaction

TAG, CLASS = "tag", "class"
LONGEST_WORDS = 1000
LONGEST_GRAM = 3
HEAD = 1000
"""So many modules are looked through for a text before its letters are looked up."""
DTYPES = get_args(TensorType.model_fields["dtype"].annotation)
_SHAPE = re.compile(r"[0-9]+(,[0-9]+)*")
_TYPE = re.compile(r"([a-z0-9]*)\[([0-9,]+)\]")

SHOWN = (VersionRow.version == ModuleRow.newest, ~VersionRow.superseded)
"""Whether searches show a version: the first decides, the second follows from it and chooses the small indexes."""

Columns = TypeVarTuple("Columns")
Read = tuple[str, str | None, str]
Found = tuple[str, str | None, str, str, str, datetime, int]
FOUND_OUT = func.coalesce(VerificationRow.record, Verification().model_dump_json())
"""What workers found of a version, as JSON text; where none has looked, that."""

BY_NAME: tuple[tuple[Column, ...], tuple[type[Key], ...]] = (
    (ModuleRow.namespace, ModuleRow.name),
    (str, str),
)
BY_TIME: tuple[tuple[Column, ...], tuple[type[Key], ...]] = (
    (VersionRow.published_at, VersionRow.module_id),
    (datetime, int),
)


@dataclass(frozen=True)
class _Order:
    """How a list is sorted."""

    columns: Sequence[Column]
    descending: bool

    @property
    def terms(self) -> list[UnaryExpression[str] | UnaryExpression[int] | UnaryExpression[datetime]]:
        """What SQL sorts by."""
        return [column.desc() if self.descending else column.asc() for column in self.columns]

    def cut(self, versions: Select[*Columns], after: Sequence[Key] | None, *, limit: int) -> Select[*Columns]:
        """The first rows after a place."""
        if after is not None:
            versions = versions.where(beyond(self.columns, after, descending=self.descending))
        return versions.order_by(*self.terms).limit(limit)


class ModuleFinder:
    """Searches over the newest version, not yanked, of each module."""

    def __init__(self, transaction: Transaction, sight: Sight) -> None:
        """Args: transaction: where to read; sight: what may be found."""
        self._transaction, self._sight = transaction, sight

    def search(self, query: ModuleSearch, *, limit: int, cursor: str | None) -> Page[PublishedModule]:
        """One page. Raises InvalidInputError for a bad cursor, shape or text."""
        by_name = query.sort.endswith("name")
        columns, kinds = BY_NAME if by_name else BY_TIME
        after = None if cursor is None else read_cursor(cursor, query.sort, kinds)
        rows = self._page(query, columns, after=after, limit=limit + 1)
        more = _cursor_after(rows[limit - 1], query.sort, by_name=by_name) if len(rows) > limit else None
        return Page(items=tuple(_module(row[0], row[1], row[2]) for row in rows[:limit]), next_cursor=more)

    def _page(
        self, query: ModuleSearch, columns: Sequence[Column], *, after: Sequence[Key] | None, limit: int
    ) -> Sequence[Row[*Found]]:
        """The first rows after a place.

        Where many modules hold a text, they are soon met in the order of the list; where few do, the index of letters
        finds them. Which it is, shows at the head of the list.
        """
        order = _Order(columns, descending=query.sort.startswith("-"))
        if query.q and self._transaction.has_grams and len(searchable(query.q)) > 1:
            others = _versions(self._conditions(query.model_copy(update={"q": None})))
            head = order.cut(others.add_columns(VersionRow.search_text), after, limit=HEAD).subquery()
            held = select(head.c.id).where(_holds(head.c.search_text, query.q))
            found = _versions([VersionRow.id.in_(held)])
            rows = self._read(order.cut(found, None, limit=limit), order)
            if len(rows) == limit:
                return rows
        return self._read(order.cut(_versions(self._conditions(query)), after, limit=limit), order)

    def _read(self, versions: Select[int], order: "_Order") -> Sequence[Row[*Found]]:
        return self._transaction.rows(_found(versions).order_by(*order.terms))

    def facets(self, query: ModuleSearch) -> dict[str, tuple[Facet, ...]]:
        """Counts by role, namespace, tag, takes and gives over everything that fits, most frequent first."""
        conditions = self._conditions(query)
        return {
            "role": self._count(VersionRow.role, conditions),
            "namespace": self._count(ModuleRow.namespace, conditions),
            "tag": self._count_tags(conditions),
            "takes": self._count(VersionRow.takes, conditions),
            "gives": self._count(VersionRow.gives, conditions),
        }

    def summaries(self, name: ModuleName, *, limit: int, cursor: str | None) -> Page[VersionSummary]:
        """A line on each version of a module, newest first. Raises InvalidInputError for a bad cursor."""
        wanted = select(VersionRow.version, VersionRow.digest, VersionRow.published_at, VersionRow.yanked, FOUND_OUT)
        wanted = wanted.select_from(VersionRow).join(ModuleRow, ModuleRow.id == VersionRow.module_id)
        wanted = wanted.outerjoin(VerificationRow, VerificationRow.digest == VersionRow.digest).where(
            in_sight(ModuleRow.namespace, self._sight), *named(name)
        )
        if cursor is not None:
            before = read_cursor(cursor, "versions", [int])
            wanted = wanted.where(beyond([VersionRow.version], before, descending=True))
        rows = self._transaction.rows(wanted.order_by(VersionRow.version.desc()).limit(limit + 1))
        more = write_cursor("versions", [rows[limit - 1][0]]) if len(rows) > limit else None
        return Page(items=tuple(_summary(row) for row in rows[:limit]), next_cursor=more)

    def _conditions(self, query: ModuleSearch) -> list[ColumnElement[bool]]:
        """What must hold of a version and its module, sight included. Raises InvalidInputError."""
        conditions = [in_sight(ModuleRow.namespace, self._sight), *_conditions(query)]
        if query.q and self._transaction.has_grams and len(searchable(query.q)) > 1:
            conditions.append(_has_grams(searchable(query.q)))
        return conditions

    def _count(
        self, column: InstrumentedAttribute[str], conditions: Sequence[ColumnElement[bool]]
    ) -> tuple[Facet, ...]:
        counted = select(column, func.count()).select_from(VersionRow)
        counted = counted.join(ModuleRow, ModuleRow.id == VersionRow.module_id).where(*conditions)
        return self._facets(counted.group_by(column).order_by(func.count().desc(), column))

    def _count_tags(self, conditions: Sequence[ColumnElement[bool]]) -> tuple[Facet, ...]:
        counted = select(WordRow.word, func.count()).select_from(WordRow)
        counted = counted.join(VersionRow, VersionRow.id == WordRow.version_id)
        counted = counted.join(ModuleRow, ModuleRow.id == VersionRow.module_id)
        counted = counted.where(WordRow.kind == TAG, ~WordRow.superseded, *conditions)
        return self._facets(counted.group_by(WordRow.word).order_by(func.count().desc(), WordRow.word))

    def _facets(self, counted: Select[str, int]) -> tuple[Facet, ...]:
        return tuple(Facet(value=value, count=count) for value, count in self._transaction.rows(counted))


def every_version(sight: Sight) -> Select[*Read]:
    """Versions in sight with their modules, as `read_module` reads them."""
    versions = select(VersionRow.record, VersionRow.yanked, FOUND_OUT)
    modules = versions.select_from(VersionRow).join(ModuleRow, ModuleRow.id == VersionRow.module_id)
    modules = modules.outerjoin(VerificationRow, VerificationRow.digest == VersionRow.digest)
    return modules.where(in_sight(ModuleRow.namespace, sight))


def read_module(row: Row[*Read]) -> PublishedModule:
    """The module of a row: its record, and what can change: whether it is yanked, and what workers found of it."""
    return _module(*row)


def named(name: ModuleName) -> tuple[ColumnElement[bool], ColumnElement[bool]]:
    """Whether a module has this name."""
    return ModuleRow.namespace == name.namespace, ModuleRow.name == name.name


def searchable(text: str) -> str:
    """Text as it is compared without regard to case; PostgreSQL keeps no zero bytes."""
    return text.casefold().replace("\0", "")


def _module(record: str, yanked: str | None, found_out: str) -> PublishedModule:
    module = PublishedModule.model_validate_json(record)
    return module.model_copy(update={"yanked": yanked, "verification": Verification.model_validate_json(found_out)})


def _summary(row: Row[int, str, datetime, str | None, str]) -> VersionSummary:
    version, digest, published_at, yanked, found_out = row
    return VersionSummary(
        version=version,
        digest=Digest(digest),
        published_at=published_at,
        yanked=yanked,
        verification=Verification.model_validate_json(found_out),
    )


def _versions(conditions: Sequence[ColumnElement[bool]]) -> Select[int]:
    versions = select(VersionRow.id).join(ModuleRow, ModuleRow.id == VersionRow.module_id)
    return versions.where(*conditions)


def _found(versions: Select[int]) -> Select[*Found]:
    """What a search reads of each version of a page, which is cut first, and what pages are cut by."""
    page = versions.subquery()
    found = select(
        VersionRow.record,
        VersionRow.yanked,
        FOUND_OUT,
        ModuleRow.namespace,
        ModuleRow.name,
        VersionRow.published_at,
        ModuleRow.id,
    )
    modules = found.select_from(page).join(VersionRow, VersionRow.id == page.c.id)
    modules = modules.join(ModuleRow, ModuleRow.id == VersionRow.module_id)
    return modules.outerjoin(VerificationRow, VerificationRow.digest == VersionRow.digest)


def _cursor_after(row: Row[*Found], sort: str, *, by_name: bool) -> str:
    *_, namespace, name, published_at, module_id = row
    return write_cursor(sort, (namespace, name) if by_name else (published_at, module_id))


def _conditions(query: ModuleSearch) -> list[ColumnElement[bool]]:
    """What must hold of a version and its module on every database. Raises InvalidInputError."""
    conditions = [*SHOWN]
    if query.role is not None:
        conditions.append(VersionRow.role == query.role)
    if query.namespace is not None:
        conditions.append(ModuleRow.namespace == query.namespace)
    if query.tag is not None:
        conditions.append(_has_word(TAG, query.tag))
    if query.task is not None:
        conditions.append(_is_trained_on(query.task))
    if query.takes is not None:
        conditions.append(_has_type(VersionRow.takes, query.takes, "takes"))
    if query.gives is not None:
        conditions.append(_has_type(VersionRow.gives, query.gives, "gives"))
    if query.q:
        conditions.append(_has_text(query.q))
    if query.verified is not None:
        conditions.append(VersionRow.verified == query.verified)
    return conditions


def _is_trained_on(task: str) -> ColumnElement[bool]:
    """Whether a version was trained on this data, or to tell this class from others. Only a digest can be data's."""
    if not task.startswith("sha256:"):
        return _has_word(CLASS, task)
    of_data = select(VersionRow.id).where(VersionRow.data == task, ~VersionRow.superseded).correlate(None)
    return VersionRow.id.in_(union(of_data, _with_word(CLASS, task)))


def _with_word(kind: str, word: str) -> Select[int]:
    return select(WordRow.version_id).where(WordRow.kind == kind, WordRow.word == word, ~WordRow.superseded)


def _has_word(kind: str, word: str) -> ColumnElement[bool]:
    """Whether a version has a tag or a class, exactly."""
    return VersionRow.id.in_(_with_word(kind, word))


def _has_text(text: str) -> ColumnElement[bool]:
    """Whether names, description or tags hold a text, whatever its case. Raises InvalidInputError."""
    if len(text) > LONGEST_WORDS:
        detail = f"q has {len(text)} characters; search for at most {LONGEST_WORDS}"
        raise InvalidInputError(detail, faults=[Fault("/q", detail)])
    return _holds(VersionRow.search_text, text)


def _holds(column: ColumnElement[str] | InstrumentedAttribute[str], text: str) -> ColumnElement[bool]:
    return column.contains(searchable(text), autoescape=True)


def _has_grams(text: str) -> ColumnElement[bool]:
    """Whether they hold every three letters of a text, or its two, in any order: what PostgreSQL has an index of."""
    length = min(len(text), LONGEST_GRAM)
    grams = sorted({text[start : start + length] for start in range(len(text) - length + 1)})
    return func.zoo_grams(VersionRow.search_text).op("@>", is_comparison=True)(cast(grams, ARRAY(Text)))


def _has_type(column: InstrumentedAttribute[str], text: str, field: str) -> ColumnElement[bool]:
    """Whether a tensor type is ``3,32,32`` or ``float32[3,32,32]``. Raises InvalidInputError for other text."""
    compact = text.replace(" ", "")
    typed = _TYPE.fullmatch(compact)
    dtype, shape = (typed[1], typed[2]) if typed else ("", compact)
    if not _SHAPE.fullmatch(shape):
        detail = f"{field} {text[:100]!r} is not a shape; write it as 3,32,32 or float32[3,32,32]"
        raise InvalidInputError(detail, faults=[Fault(f"/{field}", detail)])
    return column == f"{dtype}[{shape}]" if dtype else column.in_([f"{each}[{shape}]" for each in DTYPES])
