"""The rows of a map: modules, each with the task among the columns that it was trained on, if there is one."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import Fault, InvalidInputError, InvalidNameError, NotFoundError, NotScorableError
from registry.modules import find_module
from registry.names import ModuleRef
from registry.ports import UnitOfWork
from registry.records import Task
from registry.scorables import SCORED_ROLES, Scorable, as_scorable, as_sound, trained_on


@dataclass(frozen=True, slots=True)
class MapRow:
    """A module that is a source of the map; `own` is the place of its own task among the targets, or None."""

    scorable: Scorable
    own: int | None


def own_sources(work: UnitOfWork, tasks: Sequence[Task]) -> list[MapRow]:
    """For each task that has one, the newest, deepest module trained on it; tasks without are targets only.

    Raises:
        NotScorableError: no task has a module of its own; with a fault for each.
    """
    modules = work.modules.newest(SCORED_ROLES)
    found, faults = [], []
    for index, task in enumerate(tasks):
        trained = [as_scorable(work, module) for module in modules if trained_on(module, task)]
        sound = [scorable for scorable in trained if scorable.refusal is None]
        if sound:
            found.append(MapRow(max(sound, key=_depth_and_age), index))
        else:
            why = next((scorable.refusal for scorable in trained), None)
            faults.append(
                Fault(f"/tasks/{index}", why or f"no module in the zoo was trained on {task.id}", "no_source")
            )
    if not found:
        detail = faults[0].detail if faults else "there is no task"
        raise NotScorableError(
            f"none of {len(tasks)} tasks has a module of its own: {detail}; train one with POST /jobs, or name sources",
            faults=faults,
        )
    return found


def named_sources(work: UnitOfWork, refs: Sequence[str], tasks: Sequence[Task]) -> list[MapRow]:
    """The modules that were named, each once, in the order in which they were named.

    Raises:
        InvalidInputError: with a fault for each that cannot be scored.
    """
    found: dict[str, MapRow] = {}
    faults = []
    for index, text in enumerate(refs):
        try:
            scorable = as_sound(work, find_module(work, ModuleRef.parse(text)))
            found.setdefault(scorable.module.ref, MapRow(scorable, _own(scorable, tasks)))
        except (InvalidNameError, NotFoundError, NotScorableError) as error:
            faults.append(Fault(f"/sources/{index}", error.detail, error.code))
    if faults:
        raise InvalidInputError(f"{len(faults)} sources cannot be scored: {faults[0].detail}", faults=faults)
    return list(found.values())


def _own(scorable: Scorable, tasks: Sequence[Task]) -> int | None:
    """The place of the task that a module was trained on."""
    return next((place for place, task in enumerate(tasks) if trained_on(scorable.module, task)), None)


def _depth_and_age(scorable: Scorable) -> tuple[int, float, str]:
    return len(scorable.chain), scorable.module.published_at.timestamp(), scorable.module.ref
