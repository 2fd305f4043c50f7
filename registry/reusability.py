"""Reusability and transferability: a question is made exact, and becomes a query."""

from collections.abc import Sequence

from registry.at_home import place
from registry.errors import NotScorableError
from registry.few_examples import enough_examples, require_examples, require_examples_of_each
from registry.halving import slice_ends
from registry.map_sources import named_sources, own_sources
from registry.measured_panel import source_heads
from registry.modules import find_module
from registry.names import ModuleRef
from registry.plans import Plan, planned_cells, planned_task
from registry.ports import Begin, UnitOfWork
from registry.queries import QueryService
from registry.rankings import (
    MOST_MAP_TASKS,
    POOLED,
    MapQuestion,
    RankingQuestion,
    ReusabilityQuestion,
    ScoreOptions,
    ShownOptions,
    single,
)
from registry.records import Task
from registry.rounds import part_of
from registry.scorables import SCORED_ROLES, Scorable, as_sound, named_scorables, with_sources
from registry.settings import Settings
from registry.shortlist import Candidate, Candidates, choose
from registry.tasks import TaskService

Question = RankingQuestion | ReusabilityQuestion | MapQuestion


class ReusabilityService:
    """The rules about scores: statistics are made once, and the same question to the same zoo has one answer."""

    def __init__(self, begin: Begin, settings: Settings, tasks: TaskService, queries: QueryService) -> None:
        """Everything it needs from outside."""
        self._begin, self._settings, self._tasks, self._queries = begin, settings, tasks, queries

    def ask_ranking(self, question: RankingQuestion, *, owner: str) -> str:
        """Which modules serve a task, best first. Raises NotFoundError, NotScorableError, InvalidInputError."""
        with self._begin() as work:
            work.hold()
            task = self._tasks.find(work, question.task, owner=owner)
            require_examples(task)
            found = self._candidates(work, question)
            if not found.chosen:
                raise NotScorableError("the zoo has no module with a feature map yet; publish one first")
            plan = self._draft(work, "ranking", question, [task], modules=len(found.chosen))
            details = {
                "top": question.top,
                "in_zoo": found.in_zoo,
                "shortlist": None if question.candidates else self._settings.shortlist,
                "slices": self._slices(plan, task, modules=len(found.chosen)),
            }
            plan = plan.model_copy(update=details)
            pairs = [(task, each) for each in found.chosen]
            return self._queries.open(work, _with_cells(work, plan, pairs), owner=owner)

    def _candidates(self, work: UnitOfWork, question: RankingQuestion) -> Candidates:
        """The modules that were named, or the zoo's own choice. Raises InvalidInputError for what cannot be ranked."""
        if not question.candidates:
            return choose(work, limit=self._settings.shortlist)
        named = named_scorables(work, question.candidates)
        in_zoo = work.modules.shortlist(SCORED_ROLES, limit=0, newcomers=0).in_zoo
        return Candidates(in_zoo, tuple(Candidate(each.module.ref, each.chain) for each in named))

    def _slices(self, plan: Plan, task: Task, *, modules: int) -> tuple[int, ...]:
        """Where the examples of each round end; none where few modules are scored on all examples at once.

        Noise hides what little few examples tell, so whoever adds it is not asked in rounds. What is measured on
        examples does not add, so it is measured on all of them at once, too.
        """
        planned = plan.tasks[0]
        if modules <= self._settings.halving_from or planned.noise is not None or planned.measured_groups:
            return ()
        there_are = min(plan.examples, sum(task.counts.values()))
        ends = slice_ends(there_are, classes=len(task.classes))
        return ends if len(ends) > 1 else ()

    def ask_reusability(self, question: ReusabilityQuestion, *, owner: str) -> str:
        """How well one module serves a task. Raises NotFoundError, NotScorableError."""
        with self._begin() as work:
            work.hold()
            task = self._tasks.find(work, question.task, owner=owner)
            require_examples(task)
            scorable = as_sound(work, find_module(work, ModuleRef.parse(question.module)))
            plan = self._draft(work, "reusability", question, [task], modules=1)
            return self._queries.open(work, _with_cells(work, plan, [(task, scorable)]), owner=owner)

    def ask_map(self, question: MapQuestion, *, owner: str) -> str:
        """How well modules serve tasks, each task's own where none are named.

        Raises NotFoundError, NotScorableError, and InvalidInputError for sources that cannot be scored.
        """
        with self._begin() as work:
            work.hold()
            tasks = self._map_tasks(work, question, owner)
            named = question.sources
            rows = named_sources(work, named, tasks) if named else own_sources(work, tasks)
            pairs = [(target, row.scorable) for row in rows for target in tasks]
            plan = self._draft(work, "map", question, tasks, modules=len(pairs))
            own = tuple(row.own for row in rows)
            return self._queries.open(work, _with_cells(work, plan.model_copy(update={"own": own}), pairs), owner=owner)

    def _map_tasks(self, work: UnitOfWork, question: MapQuestion, owner: str) -> list[Task]:
        """The targets of a map, each once; where none are named, those with too few examples are left out.

        Raises NotFoundError, and NotScorableError for a named task with too few examples, or when too few are left.
        """
        if question.tasks:
            found = [self._tasks.find(work, text, owner=owner) for text in question.tasks]
            require_examples_of_each(found)
        else:
            every = work.tasks.list(owner=owner, limit=MOST_MAP_TASKS, cursor=None).items
            found = with_sources(work, [task for task in reversed(every) if enough_examples(task)])
        tasks = list({task.id: task for task in found}.values())
        if len(tasks) < (1 if question.sources else 2):
            raise NotScorableError(f"a map needs at least two tasks, or one and named sources; found {len(tasks)}")
        return tasks

    def _draft(self, work: UnitOfWork, kind: str, question: Question, tasks: Sequence[Task], *, modules: int) -> Plan:
        """A question as exact as it can be made before its cells: on which examples of which tasks."""
        noise = question.noise if isinstance(question, RankingQuestion) else None
        shown = {name: getattr(question, name) for name in ShownOptions.model_fields}
        options = ScoreOptions(rank_by=single(question.rank_by), **shown)
        return Plan.model_validate(
            {
                "kind": kind,
                "options": options,
                "pooled": question.rank_by == POOLED,
                "examples": question.examples or self._settings.examples,
                "serial": work.changes.serial(),
                "private": work.namespaces.private_in_sight(),
                "tasks": tuple(
                    place(work, planned_task(task), noise=noise, modules=modules).measuring(options) for task in tasks
                ),
                "cells": (),
            }
        )


def _with_cells(work: UnitOfWork, plan: Plan, pairs: Sequence[tuple[Task, Scorable | Candidate]]) -> Plan:
    """A plan with its cells: which module on which task, under which key; and their source heads, if needed."""
    noisy = any(task.noise is not None for task in plan.tasks)  # then nothing is measured beside statistics
    heads = {} if noisy else source_heads(work, plan.options, (module.chain[-1] for _, module in pairs))
    plan = plan.model_copy(update={"heads": heads})
    places = {task.id: number for number, task in enumerate(plan.tasks)}
    wanted = ((module.ref, module.chain, places[task.id]) for task, module in pairs)
    return plan.model_copy(update={"cells": planned_cells(part_of(plan, 0), wanted)})
