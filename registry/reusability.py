"""Reusability and transferability: plan a question, have the missing statistics made, judge, keep the answer."""

from collections.abc import Sequence
from dataclasses import dataclass

from kernel_methods.kernels import pooled_features
from kernel_methods.statistics import TaskStatistics, unpack
from registry.answers import Answerer, gather, parse_answer
from registry.errors import (
    Fault,
    InvalidInputError,
    InvalidNameError,
    JobFailedError,
    NotFoundError,
    NotScorableError,
)
from registry.judging import usual_scores
from registry.manifest import Role
from registry.modules import chain_below, find_module
from registry.names import Digest, ModuleRef
from registry.plans import Plan, PlannedCell, missing_work, planned_task, score_work, statistics_key
from registry.ports import Begin, BlobStore, Clock, UnitOfWork
from registry.rankings import (
    MOST_MAP_TASKS,
    MapQuestion,
    QueryState,
    Ranking,
    RankingQuestion,
    ReusabilityQuestion,
    ScoreOptions,
)
from registry.records import (
    Job,
    JobStatus,
    KeptStatistics,
    Progress,
    PublishedModule,
    Query,
    QueryStatus,
    Task,
)
from registry.settings import Settings
from registry.tasks import TaskService
from registry.work import ModuleStatistics, ScoreWork

_SCORED_ROLES = (Role.INPUT.value, Role.HIDDEN.value)


@dataclass(frozen=True, slots=True)
class Scorable:
    """A module that can be scored, with the chain that leads to it, the input module first."""

    module: PublishedModule
    chain: tuple[Digest, ...]


class ReusabilityService:
    """The rules about scores: statistics are made once, and the same question to the same zoo has one answer."""

    def __init__(self, begin: Begin, blobs: BlobStore, clock: Clock, settings: Settings, tasks: TaskService) -> None:
        """Everything it needs from outside."""
        self._begin, self._blobs, self._clock, self._settings, self._tasks = (
            begin,
            blobs,
            clock,
            settings,
            tasks,
        )
        self._answers = Answerer(blobs)

    def ask_ranking(self, question: RankingQuestion, *, owner: str) -> str:
        """Which modules serve a task, best first. Raises NotFoundError, NotScorableError, InvalidInputError."""
        with self._begin() as work:
            task = self._tasks.find(work, question.task, owner=owner)
            scorables = _named(work, question.candidates) if question.candidates else _every(work)
            if not scorables:
                raise NotScorableError("the zoo has no module with a feature map yet; publish one first")
            plan = self._plan(work, "ranking", question, [(task, scorable) for scorable in scorables])
            return self._ask(work, plan.model_copy(update={"top": question.top}), owner)

    def ask_reusability(self, question: ReusabilityQuestion, *, owner: str) -> str:
        """How well one module serves a task. Raises NotFoundError, NotScorableError."""
        with self._begin() as work:
            task = self._tasks.find(work, question.task, owner=owner)
            scorable = _scorable(work, find_module(work, ModuleRef.parse(question.module)))
            return self._ask(work, self._plan(work, "reusability", question, [(task, scorable)]), owner)

    def ask_map(self, question: MapQuestion, *, owner: str) -> str:
        """How well the module of each task serves each task. Raises NotFoundError, NotScorableError."""
        with self._begin() as work:
            tasks = self._map_tasks(work, question, owner)
            sources = _sources(work, tasks)
            pairs = [(target, source) for source in sources for target in tasks]
            return self._ask(work, self._plan(work, "map", question, pairs), owner)

    def _map_tasks(self, work: UnitOfWork, question: MapQuestion, owner: str) -> list[Task]:
        """The tasks of a map, each once. Raises NotFoundError, and NotScorableError when fewer than two are left."""
        if question.tasks:
            found = [self._tasks.find(work, text, owner=owner) for text in question.tasks]
        else:
            every = work.tasks.list(owner=owner, limit=MOST_MAP_TASKS, cursor=None).items
            modules = work.modules.newest(_SCORED_ROLES)
            found = [task for task in reversed(every) if any(_trained_on(module, task) for module in modules)]
        tasks = list({task.id: task for task in found}.values())
        if len(tasks) < 2:
            raise NotScorableError(f"a map needs at least two tasks with a module of their own, found {len(tasks)}")
        return tasks

    def _plan(
        self,
        work: UnitOfWork,
        kind: str,
        question: ScoreOptions,
        pairs: Sequence[tuple[Task, Scorable]],
    ) -> Plan:
        """Make a question exact: which module on which task, under which key."""
        tasks = list(dict.fromkeys(task.id for task, _ in pairs))
        planned = {task.id: planned_task(task) for task, _ in pairs}
        examples = question.examples or self._settings.examples
        cells = []
        for task, scorable in pairs:
            share = score_work(planned[task.id], [scorable.chain], examples=examples, seed=question.seed)
            key = statistics_key(scorable.chain, share)
            place = tasks.index(task.id)
            cells.append(PlannedCell(ref=scorable.module.ref, chain=scorable.chain, task=place, key=key, cached=False))
        options = ScoreOptions(**{name: getattr(question, name) for name in ScoreOptions.model_fields})
        return Plan.model_validate(
            {
                "kind": kind,
                "options": options,
                "examples": examples,
                "serial": work.changes.serial(),
                "tasks": tuple(planned[task_id] for task_id in tasks),
                "cells": tuple(cells),
            }
        )

    def _ask(self, work: UnitOfWork, plan: Plan, owner: str) -> str:
        """The id of this question: one asked before that still holds, or a new one with jobs for what is missing."""
        known = work.queries.get(plan.query_id)
        if known is not None and known.status in (QueryStatus.DONE, QueryStatus.RUNNING):
            return known.id
        kept = work.statistics.get([cell.key for cell in plan.cells])
        cells = tuple(cell.model_copy(update={"cached": cell.key in kept}) for cell in plan.cells)
        plan = plan.model_copy(update={"cells": cells})
        at = self._clock()
        jobs = [work.jobs.submit(share, owner=owner, at=at) for share in missing_work(plan, kept)]
        query = Query(
            id=plan.query_id,
            kind=plan.kind,
            status=QueryStatus.RUNNING,
            plan=plan.model_dump_json(),
            jobs=tuple(job.id for job in jobs),
            created_at=at,
        )
        if known is not None:
            work.queries.replace(query)
        elif not work.queries.add(query, data=sorted({task.dataset for task in plan.tasks})):
            self._withdraw(work, query)  # the same question was asked at the same moment: its jobs serve both
        return query.id

    def _withdraw(self, work: UnitOfWork, query: Query) -> None:
        """Cancel a query's jobs."""
        at = self._clock()
        for job in query.jobs:
            work.jobs.end(job, attempt=None, status=JobStatus.CANCELLED, result=None, error=None, at=at)

    def waiting(self, query_id: str, *, owner: str | None) -> bool:
        """Whether a query still waits for workers; cheap enough to ask often. Raises NotFoundError."""
        with self._begin() as work:
            query = _query(work, query_id, owner)
            return query.status is QueryStatus.RUNNING and _waits(_jobs(work, query))

    def state(self, query_id: str, *, owner: str | None) -> QueryState:
        """How far a query is, with its answer once there is one. Raises NotFoundError."""
        with self._begin() as work:
            query = _query(work, query_id, owner)
            jobs = _jobs(work, query) if query.status is QueryStatus.RUNNING else []
        if query.status is not QueryStatus.RUNNING:
            return _told(query, jobs)
        if _waits(jobs):
            return _told(query, jobs, partial=self._partial(query))
        return _told(self._settled(query, jobs), [])

    def _settled(self, query: Query, jobs: Sequence[Job]) -> Query:
        """The query with its answer, or the reason why there is none, written down."""
        lost = next((job for job in jobs if job.status is not JobStatus.DONE), None)
        if lost is not None:
            error = lost.error or f"job {lost.id} was cancelled"
            return self._written(query, _failure(JobFailedError.code, error))
        plan = Plan.model_validate_json(query.plan)
        try:
            with self._begin() as work:
                evidence = gather(work, plan)
            answer = self._answers.answer(plan, evidence)
        except NotScorableError as error:
            return self._written(query, _failure(error.code, error.detail))
        return self._written(query, {"status": QueryStatus.DONE, "answer": answer.model_dump_json()})

    def _written(self, query: Query, update: dict[str, str]) -> Query:
        """Store how a running query ended; whoever was first with it wins, and both would say the same."""
        with self._begin() as work:
            present = work.queries.get(query.id)
            if present is None or present.status is not QueryStatus.RUNNING:
                return present or query.model_copy(update=update)
            ended = query.model_copy(update=update)
            work.queries.replace(ended)
        return ended

    def _partial(self, query: Query) -> Ranking | None:
        """The ranking of what is known so far; None for a map, or before anything is known."""
        plan = Plan.model_validate_json(query.plan)
        if plan.kind != "ranking":
            return None
        try:
            with self._begin() as work:
                evidence = gather(work, plan)
            return self._answers.ranking(plan, evidence) if evidence.kept else None
        except NotScorableError:
            return None  # the end of the query will say it

    def cancel(self, query_id: str, *, owner: str | None) -> QueryState:
        """Stop a query and its jobs; one that has ended stays as it is. Raises NotFoundError."""
        with self._begin() as work:
            query = _query(work, query_id, owner)
            if query.status is QueryStatus.RUNNING:
                self._withdraw(work, query)
                query = query.model_copy(update={"status": QueryStatus.CANCELLED})
                work.queries.replace(query)
        return _told(query, [])

    def keep(self, share: ScoreWork, made: Sequence[ModuleStatistics]) -> tuple[KeptStatistics, ...]:
        """Check statistics that a worker brought; the caller records them in the step that ends the job.

        Raises:
            InvalidInputError: a blob is missing, or its statistics are not those of the module and the task.
        """
        by_module = {chain[-1]: chain for chain in share.chains}
        brought = {statistics.module: statistics for statistics in made}
        if by_module.keys() != brought.keys():
            raise InvalidInputError(
                f"statistics for {len(brought)} modules were brought, {len(by_module)} were asked for"
            )
        return tuple(self._checked(share, by_module[module], brought[module]) for module in by_module)

    def _checked(self, share: ScoreWork, chain: tuple[Digest, ...], made: ModuleStatistics) -> KeptStatistics:
        """One module's statistics, read and compared with what they must be."""
        with self._begin() as work:
            module = work.modules.by_digest(chain[-1])[0]
        if module.feature_map is None:
            raise InvalidInputError(f"{module.ref} has no feature map, so it has no statistics")
        features = pooled_features(module.gives.shape, module.feature_map.pooling)
        shards = self._read(made.blob, features=features, classes=len(share.task.classes))
        return KeptStatistics(
            key=statistics_key(chain, share),
            module=made.module,
            data=share.task.dataset,
            labels=tuple(share.task.classes),
            blob=made.blob,
            milliseconds=made.milliseconds,
            scores=usual_scores(shards, module.feature_map),
        )

    def _read(self, blob: Digest, *, features: int, classes: int) -> tuple[TaskStatistics, ...]:
        """Shards of the right shape. Raises InvalidInputError."""
        limit = self._blobs.info(blob).size_bytes
        try:
            shards = unpack(self._blobs.get(blob), limit_bytes=limit)
        except ValueError as error:
            raise InvalidInputError(f"{blob} does not hold statistics: {error}") from error
        for shard in shards:
            if (shard.classes, shard.dimensions) != (classes, features):
                raise InvalidInputError(
                    f"statistics have {shard.classes} classes and {shard.dimensions} features, "
                    f"but the task has {classes} and the module {features}"
                )
        return shards


def _failure(code: str, error: str) -> dict[str, str]:
    """What is written down when a query has no answer: the stable code of the error, and its sentence."""
    return {"status": QueryStatus.FAILED, "error": error, "error_code": code}


def _query(work: UnitOfWork, query_id: str, owner: str | None) -> Query:
    """A query whose datasets the caller may know of. Raises NotFoundError."""
    query = work.queries.get(query_id)
    if query is not None:
        datasets = {task.dataset for task in Plan.model_validate_json(query.plan).tasks}
        if all(work.datasets.get(dataset, owner=owner) is not None for dataset in datasets):
            return query
    raise NotFoundError(f"there is no query {query_id[:200]!r}; ask with POST /transferability")


def _jobs(work: UnitOfWork, query: Query) -> list[Job]:
    return [job for job in (work.jobs.get(job_id) for job_id in query.jobs) if job is not None]


def _waits(jobs: Sequence[Job]) -> bool:
    """Whether work is still to come; one job that failed ends the waiting."""
    if any(job.status in (JobStatus.FAILED, JobStatus.CANCELLED) for job in jobs):
        return False
    return any(not job.status.ended for job in jobs)


def _told(query: Query, jobs: Sequence[Job], *, partial: Ranking | None = None) -> QueryState:
    """What the asker is told."""
    return QueryState(
        id=query.id,
        kind=query.kind,
        status=query.status,
        progress=_progress(jobs, running=query.status is QueryStatus.RUNNING),
        answer=parse_answer(query.kind, query.answer) if query.answer else None,
        partial=partial,
        error=query.error,
        error_code=query.error_code,
        created_at=query.created_at,
    )


def _progress(jobs: Sequence[Job], *, running: bool) -> Progress:
    """All jobs' progress as one: a job that has not begun counts one step."""
    if not running:
        return Progress(stage="", done=1, total=1)
    done = sum(max(job.progress.total, 1) if job.status is JobStatus.DONE else job.progress.done for job in jobs)
    stage = "scoring" if any(job.status is JobStatus.RUNNING for job in jobs) else "waiting for a worker"
    return Progress(stage=stage, done=done, total=sum(max(job.progress.total, 1) for job in jobs))


def _scorable(work: UnitOfWork, module: PublishedModule) -> Scorable:
    """A module with the chain below it. Raises NotScorableError."""
    if module.feature_map is None:
        raise NotScorableError(f"{module.ref} is an output module; a score needs a module with a feature map")
    chain = chain_below(work, module)
    if chain[0].role is not Role.INPUT:
        raise NotScorableError(f"{module.ref} does not say what it stands on, so images cannot reach it")
    return Scorable(module, tuple(part.digest for part in chain))


def _every(work: UnitOfWork) -> list[Scorable]:
    """Every module that can be scored: the newest version, not yanked, of each, by name."""
    found = []
    for module in work.modules.newest(_SCORED_ROLES):
        try:
            found.append(_scorable(work, module))
        except (NotScorableError, NotFoundError):
            continue  # not a candidate unless it is named, and then the error says why
    return found


def _named(work: UnitOfWork, refs: Sequence[str]) -> list[Scorable]:
    """The modules that were named, each once. Raises InvalidInputError with a fault for each that cannot be scored."""
    found: dict[str, Scorable] = {}
    faults = []
    for index, text in enumerate(refs):
        try:
            scorable = _scorable(work, find_module(work, ModuleRef.parse(text)))
            found.setdefault(scorable.module.ref, scorable)
        except (InvalidNameError, NotFoundError, NotScorableError) as error:
            faults.append(Fault(f"/candidates/{index}", error.detail, error.code))
    if faults:
        raise InvalidInputError(f"{len(faults)} candidates cannot be ranked: {faults[0].detail}", faults=faults)
    return sorted(found.values(), key=lambda scorable: (scorable.module.namespace, scorable.module.name))


def _sources(work: UnitOfWork, tasks: Sequence[Task]) -> list[Scorable]:
    """For each task the newest, deepest module trained on it. Raises NotScorableError with a fault for each without."""
    modules = work.modules.newest(_SCORED_ROLES)
    sources, faults = [], []
    for index, task in enumerate(tasks):
        trained = [module for module in modules if _trained_on(module, task)]
        if trained:
            sources.append(max((_scorable(work, module) for module in trained), key=_depth_and_age))
        else:
            faults.append(Fault(f"/tasks/{index}", f"no module in the zoo was trained on {task.id}", "no_source"))
    if faults:
        raise NotScorableError(
            f"{len(faults)} tasks have no module of their own: {faults[0].detail}; train one with POST /jobs",
            faults=faults,
        )
    return sources


def _depth_and_age(scorable: Scorable) -> tuple[int, float, str]:
    return len(scorable.chain), scorable.module.published_at.timestamp(), scorable.module.ref


def _trained_on(module: PublishedModule, task: Task) -> bool:
    """Whether a module was trained on this very task: the same data, the same classes."""
    if module.task is None or module.task.data != task.dataset:
        return False
    classes = {frozenset(trained.merged) for trained in module.task.classes}
    return classes == {frozenset(merged) for merged in task.classes.values()}
