"""Reusability and transferability: a question is made exact, and becomes a query."""

from collections.abc import Sequence

from registry.errors import NotScorableError
from registry.modules import find_module
from registry.names import ModuleRef
from registry.plans import Plan, PlannedCell, planned_task, score_work, statistics_key
from registry.ports import Begin, UnitOfWork
from registry.queries import QueryService
from registry.rankings import MOST_MAP_TASKS, MapQuestion, RankingQuestion, ReusabilityQuestion, ScoreOptions
from registry.records import Task
from registry.scorables import (
    Scorable,
    as_sound,
    every_scorable,
    named_scorables,
    sources_of,
    with_sources,
)
from registry.settings import Settings
from registry.tasks import TaskService


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
            scorables = named_scorables(work, question.candidates) if question.candidates else every_scorable(work)
            if not scorables:
                raise NotScorableError("the zoo has no module with a feature map yet; publish one first")
            plan = self._plan(work, "ranking", question, [(task, scorable) for scorable in scorables])
            return self._queries.open(work, plan.model_copy(update={"top": question.top}), owner=owner)

    def ask_reusability(self, question: ReusabilityQuestion, *, owner: str) -> str:
        """How well one module serves a task. Raises NotFoundError, NotScorableError."""
        with self._begin() as work:
            work.hold()
            task = self._tasks.find(work, question.task, owner=owner)
            scorable = as_sound(work, find_module(work, ModuleRef.parse(question.module)))
            return self._queries.open(work, self._plan(work, "reusability", question, [(task, scorable)]), owner=owner)

    def ask_map(self, question: MapQuestion, *, owner: str) -> str:
        """How well the module of each task serves each task. Raises NotFoundError, NotScorableError."""
        with self._begin() as work:
            work.hold()
            tasks = self._map_tasks(work, question, owner)
            sources = sources_of(work, tasks)
            pairs = [(target, source) for source in sources for target in tasks]
            return self._queries.open(work, self._plan(work, "map", question, pairs), owner=owner)

    def _map_tasks(self, work: UnitOfWork, question: MapQuestion, owner: str) -> list[Task]:
        """The tasks of a map, each once. Raises NotFoundError, and NotScorableError when fewer than two are left."""
        if question.tasks:
            found = [self._tasks.find(work, text, owner=owner) for text in question.tasks]
        else:
            every = work.tasks.list(owner=owner, limit=MOST_MAP_TASKS, cursor=None).items
            found = with_sources(work, every[::-1])
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
