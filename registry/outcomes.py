"""Outcomes: what modules really reached on the task of a query, posted by whoever used them, and what follows."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial

from registry.audit import note
from registry.calibration import calibrate
from registry.errors import ConflictError, Fault, InvalidInputError, NotFoundError
from registry.key_records import RequestKey
from registry.names import Digest
from registry.outcome_records import (
    Calibration,
    How,
    KeptOutcomes,
    Outcome,
    PostedOutcome,
)
from registry.ports import Begin, Clock, UnitOfWork
from registry.queries import QueryService
from registry.rankings import QueryState, Ranking, RankingRow, Reusability
from registry.records import Page, QueryStatus
from registry.request_keys import Made, once

Row = RankingRow | Reusability
Key = tuple[Digest, str, How]
ROWS_NAMED = 3


class OutcomeService:
    """The rules about outcomes: of modules that a finished query ranked, the last one that each owner said stands.

    They go with their query, which goes with its dataset; nobody sees those of others.
    """

    def __init__(self, begin: Begin, clock: Clock, queries: QueryService) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock, self._queries = begin, clock, queries

    def post(
        self, query_id: str, posted: Sequence[PostedOutcome], *, owner: str, key: RequestKey | None = None
    ) -> KeptOutcomes:
        """Keep what modules of a query reached, all or none; one said before by metric and way is replaced.

        Raises:
            NotFoundError: there is no such query.
            ConflictError: it has no answer yet, or none at all.
            InvalidInputError: it is a map; or each module that its answer lacks, or that is told twice.
            KeyReusedError: the key was used for another request.
        """
        state = self._queries.state(query_id, owner=owner)
        told = _matched(state, posted, at=self._clock())
        with self._begin() as work:
            work.hold()
            put = partial(self._put, work, query_id, told, owner=owner)
            return once(work, key, put, model=KeptOutcomes, at=self._clock(), about=told[0].data).model

    def _put(self, work: UnitOfWork, query_id: str, told: Sequence[Outcome], *, owner: str) -> Made[KeptOutcomes]:
        """Keep what is told of a query, where it was not told before, within a transaction that holds."""
        if work.queries.asked_by(owner, query_id) is None:
            raise NotFoundError(f"the query {query_id} was deleted meanwhile, with its dataset")
        before = {_key(one): one for one in work.outcomes.of_query(query_id, owner=owner)}
        now = [_standing(one, before.get(_key(one))) for one in told]
        changed = [one for one in now if before.get(_key(one)) != one]
        work.outcomes.put(changed, owner=owner)
        if changed:
            note(work, "outcome", query_id, at=self._clock(), by=owner)
        kept = KeptOutcomes(
            outcomes=tuple(now),
            created=sum(_key(one) not in before for one in now),
            replaced=sum(before.get(_key(one), one) != one for one in now),
        )
        return Made(kept, created=kept.created > 0)

    def list(self, query_id: str, *, owner: str | None, limit: int, cursor: str | None) -> Page[Outcome]:
        """What this owner told of a query, by module, metric and way. Raises NotFoundError."""
        self._queries.waiting(query_id, owner=owner)  # whether there is such a query for this owner
        with self._begin() as work:
            return work.outcomes.list(query_id, owner=owner, limit=limit, cursor=cursor)

    def calibration(self, *, owner: str | None, metric: str | None = None, how: How | None = None) -> Calibration:
        """How well every estimator has predicted the outcomes that this owner told."""
        return calibrate(self.known(owner=owner, metric=metric, how=how), metric=metric, how=how)

    def known(self, *, owner: str | None, metric: str | None = None, how: How | None = None) -> tuple[Outcome, ...]:
        """All outcomes that this owner told, of queries that it may know of still."""
        with self._begin() as work:
            return work.outcomes.of_owner(owner, metric=metric, how=how)


def _matched(state: QueryState, posted: Sequence[PostedOutcome], *, at: datetime) -> list[Outcome]:
    """Each outcome with the row it is of. Raises InvalidInputError naming every one that is wrong."""
    answer = _scores_of(state)
    rows = _rows_by_name(answer)
    if faults := list(_faults(posted, rows)):
        refs = list(dict.fromkeys(row.module.ref for row in rows.values()))
        more = f" and {len(refs) - ROWS_NAMED} more" if len(refs) > ROWS_NAMED else ""
        told = f"{faults[0].detail}; query {state.id} ranked {', '.join(refs[:ROWS_NAMED])}{more}"
        raise InvalidInputError(told, faults=faults)
    return [
        Outcome(
            **one.model_dump(exclude={"module"}),
            query=state.id,
            task=answer.task,
            data=answer.data,
            module=(row := rows[one.module]).module,
            rank_by=answer.rank_by,
            predicted={**row.panel, answer.rank_by: row.score},
            static=row.static,
            posted_at=at,
        )
        for one in posted
    ]


def _scores_of(state: QueryState) -> Ranking | Reusability:
    """The answer whose rows outcomes are of. Raises ConflictError, InvalidInputError."""
    if state.status is not QueryStatus.DONE:
        remedy = "post outcomes once it is done" if state.status is QueryStatus.RUNNING else "ask again"
        raise ConflictError(f"query {state.id} is {state.status.value} and has no answer; {remedy}")
    if not isinstance(state.answer, Ranking | Reusability):
        told = "a map, which is of many tasks" if state.kind == "map" else "about sets, not about single modules"
        raise InvalidInputError(f"query {state.id} is {told}; post outcomes of a ranking")
    return state.answer


def _rows_by_name(answer: Ranking | Reusability) -> dict[str, Row]:
    """The rows of an answer by what names a module for good: its reference, its digest, its name and digest."""
    rows: Sequence[Row] = answer.ranking if isinstance(answer, Ranking) else (answer,)
    named: dict[str, Row] = {}
    for row in rows:
        name = row.module.ref.partition("@")[0]
        for each in (row.module.ref, row.module.digest, f"{name}@{row.module.digest}"):
            named.setdefault(each, row)
    return named


def _faults(posted: Sequence[PostedOutcome], rows: Mapping[str, Row]) -> Iterator[Fault]:
    """Modules that are not in the answer, and modules that are told twice."""
    seen: set[Key] = set()
    for place, one in enumerate(posted):
        pointer = f"/outcomes/{place}/module"
        row = rows.get(one.module)
        if row is None:
            yield Fault(
                pointer, f"{one.module!r} is not in the answer; name a version of it, or a digest", "not_ranked"
            )
            continue
        key = (row.module.digest, one.metric, one.how)
        if key in seen:
            yield Fault(pointer, f"{one.module!r} has two outcomes of {one.metric}, {one.how}; send one", "duplicate")
        seen.add(key)


def _key(outcome: Outcome) -> Key:
    """What there is one outcome of in a query."""
    return outcome.module.digest, outcome.metric, outcome.how


def _standing(told: Outcome, before: Outcome | None) -> Outcome:
    """The outcome that stands: what was said before, where the same is said again."""
    return before if before is not None and told.says_the_same(before) else told
