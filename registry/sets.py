"""Sets: which few modules together serve a task best."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.at_home import require_bytes
from registry.errors import ConflictError, Fault, InvalidInputError
from registry.few_examples import require_examples
from registry.joint_statistics import features_of
from registry.modules import find_module
from registry.names import Digest, ModuleRef
from registry.plans import planned_task
from registry.ports import Begin, Clock, UnitOfWork
from registry.queries import QueryService
from registry.rankings import DEFAULT_SEED, RANKERS, Ranking, SetQuestion, single
from registry.records import Task
from registry.scorables import Scorable, named_scorables
from registry.set_plans import MOST_FEATURES, MOST_HELD_BYTES, SetCandidate, SetPlan
from registry.set_queries import open_sets
from registry.settings import Settings
from registry.tasks import TaskService

TOP_OF_RANKING = 6
"""So many of the best rows of a ranking are candidates for a set."""

BYTES_PER_FEATURE = 4


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Modules that may be in a set, and what is to be said of those that are not."""

    modules: tuple[SetCandidate, ...]
    warnings: tuple[str, ...] = ()


class SetService:
    """The rules about sets: candidates that can be scored, few and narrow enough to stand side by side."""

    def __init__(
        self, begin: Begin, clock: Clock, settings: Settings, tasks: TaskService, queries: QueryService
    ) -> None:
        """Everything it needs from outside."""
        self._begin, self._clock, self._settings = begin, clock, settings
        self._tasks, self._queries = tasks, queries

    def ask(self, question: SetQuestion, *, owner: str) -> str:
        """Which few modules together serve a task; gives the id of the query.

        Raises:
            NotFoundError: there is no such task, or no such query.
            ConflictError: the zoo was told of the dataset, but does not have its bytes; or the query is not answered.
            InvalidInputError: each candidate that cannot be scored; too many features or examples to hold at once; the
                query is no ranking, or of another task.
            NotScorableError: the task has too few examples for a score; a module went meanwhile.
        """
        _check_one_source(question)
        ranking = None if question.query is None else self._ranking(question.query, owner=owner)
        with self._begin() as work:
            work.hold()
            task = self._tasks.find(work, question.task, owner=owner)
            require_examples(task)
            require_bytes(work, task.dataset, what="a question about sets")
            found = _named(work, question.candidates or ()) if ranking is None else _best(work, ranking, task)
            plan = self._plan(work, question, task, found, ranking=ranking)
            _check_memory(plan, task)
            return open_sets(work, plan, owner=owner, at=self._clock())

    def _plan(
        self, work: UnitOfWork, question: SetQuestion, task: Task, found: _Candidates, *, ranking: Ranking | None
    ) -> SetPlan:
        """The question made exact: what it does not say is as in the ranking, else as usual."""
        examples = self._settings.examples if ranking is None else ranking.examples
        seed = DEFAULT_SEED if ranking is None else ranking.seed
        return SetPlan(
            rank_by=question.rank_by or (RANKERS[0] if ranking is None else single(ranking.rank_by)),
            seed=seed if question.seed is None else question.seed,
            examples=question.examples or examples,
            size=question.size,
            serial=work.changes.serial(),
            task=planned_task(task),
            candidates=found.modules,
            warnings=found.warnings,
        )

    def _ranking(self, query: str, *, owner: str) -> Ranking:
        """The ranking whose best rows are candidates. Raises NotFoundError, ConflictError, InvalidInputError."""
        state = self._queries.state(query, owner=owner)
        if state.answer is None:
            raise ConflictError(
                f"query {query} is {state.status.value} and has no answer; ask for sets once it is done"
            )
        if not isinstance(state.answer, Ranking):
            raise _wrong_query(
                f"query {query} is no ranking, but one of kind {state.kind}; name a ranking, or candidates"
            )
        return state.answer


def _check_one_source(question: SetQuestion) -> None:
    """Raises InvalidInputError unless there are candidates, or a ranking to take them from."""
    if (question.candidates is None) == (question.query is None):
        raise _wrong_query(
            "a question about sets takes either `candidates` (2 to 8 references) or `query`, the id of a ranking whose "
            f"best {TOP_OF_RANKING} modules are candidates; got {'neither' if question.query is None else 'both'}"
        )


def _wrong_query(detail: str) -> InvalidInputError:
    return InvalidInputError(detail, faults=[Fault("/query", detail)])


def _named(work: UnitOfWork, refs: Sequence[str]) -> _Candidates:
    """Modules that were named. Raises InvalidInputError for what cannot stand side by side."""
    found = tuple(_candidate(each) for each in named_scorables(work, refs))
    _check_different(work, refs)
    features = sum(each.features for each in found)
    if features > MOST_FEATURES:
        widths = ", ".join(f"{each.ref} {each.features}" for each in found)
        told = f"the candidates have {features} features together, at most {MOST_FEATURES} fit; name fewer ({widths})"
        raise InvalidInputError(told, faults=[Fault("/candidates", told, "too_large")])
    return _Candidates(found)


def _check_different(work: UnitOfWork, refs: Sequence[str]) -> None:
    """Raises InvalidInputError with a fault for each candidate that is the module of one before it."""
    first: dict[Digest, int] = {}
    faults = []
    for place, text in enumerate(refs):
        before = first.setdefault(find_module(work, ModuleRef.parse(text)).digest, place)
        if before != place:
            why = "is named twice" if refs[before] == text else f"and {refs[before]} are the same module"
            faults.append(Fault(f"/candidates/{place}", f"{text} {why}; name each module once"))
    if faults:
        raise InvalidInputError(faults[0].detail, faults=faults)


def _best(work: UnitOfWork, ranking: Ranking, task: Task) -> _Candidates:
    """The best modules of a ranking that stand side by side. Raises InvalidInputError where they are fewer than two."""
    if ranking.task != task.id:
        raise _wrong_query(
            f"query {ranking.query} ranked modules for {ranking.task}, not for {task.id}; name candidates"
        )
    rows = ranking.ranking[:TOP_OF_RANKING]
    found = {each.ref: each for each in named_scorables(work, [row.module.ref for row in rows])}
    taken: dict[str, SetCandidate] = {}
    too_wide: list[str] = []
    for row in rows:
        candidate = _candidate(found[row.module.ref])
        if sum(each.features for each in taken.values()) + candidate.features > MOST_FEATURES:
            too_wide.append(candidate.ref)
        else:
            taken.setdefault(candidate.module, candidate)
    if len(taken) < 2:
        raise _wrong_query(
            f"query {ranking.query} leaves fewer than two different modules to put together; name candidates"
        )
    warnings = (f"left out, at most {MOST_FEATURES} features fit together: {', '.join(too_wide)}",) if too_wide else ()
    return _Candidates(tuple(taken.values()), warnings)


def _candidate(scorable: Scorable) -> SetCandidate:
    return SetCandidate(ref=scorable.ref, chain=scorable.chain, features=features_of(scorable.module))


def _check_memory(plan: SetPlan, task: Task) -> None:
    """Raises InvalidInputError where a worker cannot hold all features of all examples."""
    examples = min(plan.examples, sum(task.counts.values()))
    features = sum(each.features for each in plan.candidates)
    if BYTES_PER_FEATURE * examples * features > MOST_HELD_BYTES:
        most = MOST_HELD_BYTES // (BYTES_PER_FEATURE * features)
        told = (
            f"{features} features of {examples} examples are too many to hold at once; ask for at most {most} examples"
        )
        raise InvalidInputError(told, faults=[Fault("/examples", told, "too_large")])
