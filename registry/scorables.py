"""Which modules can be scored: those with a feature map that images can reach."""

from collections.abc import Sequence
from dataclasses import dataclass

from registry.errors import Fault, InvalidInputError, InvalidNameError, NotFoundError, NotScorableError
from registry.lineage import chain_below
from registry.manifest import Role
from registry.modules import find_module
from registry.names import Digest, ModuleRef
from registry.ports import UnitOfWork
from registry.records import PublishedModule, Task
from registry.verification import refusal

SCORED_ROLES = (Role.INPUT.value, Role.HIDDEN.value)


@dataclass(frozen=True, slots=True)
class Scorable:
    """A module that can be scored, with the chain that leads to it, the input module first.

    `refusal` says why workers refused it, or what it stands on; it is named in answers, but no work is made for it.
    """

    module: PublishedModule
    chain: tuple[Digest, ...]
    refusal: str | None = None

    @property
    def ref(self) -> str:
        """The module's immutable reference."""
        return self.module.ref


def as_scorable(work: UnitOfWork, module: PublishedModule) -> Scorable:
    """A module with the chain below it. Raises NotScorableError."""
    if module.feature_map is None:
        raise NotScorableError(f"{module.ref} is an output module; a score needs a module with a feature map")
    chain = chain_below(work, module)
    if chain[0].role is not Role.INPUT:
        raise NotScorableError(f"{module.ref} does not say what it stands on, so images cannot reach it")
    refused = next((refusal(part) for part in chain if part.verification.refused), None)
    return Scorable(module, tuple(part.digest for part in chain), refused)


def as_sound(work: UnitOfWork, module: PublishedModule) -> Scorable:
    """A module that can be scored and that no worker has refused. Raises NotScorableError."""
    scorable = as_scorable(work, module)
    if scorable.refusal is not None:
        raise NotScorableError(scorable.refusal)
    return scorable


def every_scorable(work: UnitOfWork) -> list[Scorable]:
    """Every module that can be scored: the newest version, not yanked, of each, by name."""
    found = []
    for module in work.modules.newest(SCORED_ROLES):
        try:
            found.append(as_scorable(work, module))
        except (NotScorableError, NotFoundError):
            continue  # not a candidate unless it is named, and then the error says why
    return found


def named_scorables(work: UnitOfWork, refs: Sequence[str]) -> list[Scorable]:
    """The modules that were named, each once. Raises InvalidInputError with a fault for each that cannot be scored."""
    found: dict[str, Scorable] = {}
    faults = []
    for index, text in enumerate(refs):
        try:
            scorable = as_scorable(work, find_module(work, ModuleRef.parse(text)))
            found.setdefault(scorable.module.ref, scorable)
        except (InvalidNameError, NotFoundError, NotScorableError) as error:
            faults.append(Fault(f"/candidates/{index}", error.detail, error.code))
    if faults:
        raise InvalidInputError(f"{len(faults)} candidates cannot be ranked: {faults[0].detail}", faults=faults)
    return sorted(found.values(), key=lambda each: (each.module.namespace, each.module.name))


def with_sources(work: UnitOfWork, tasks: Sequence[Task]) -> list[Task]:
    """Those of the tasks that a module was trained on which can be scored, and which no worker has refused."""
    scorables = [scorable for scorable in every_scorable(work) if scorable.refusal is None]
    return [task for task in tasks if any(trained_on(scorable.module, task) for scorable in scorables)]


def trained_on(module: PublishedModule, task: Task) -> bool:
    """Whether a module was trained on this very task: the same data, the same classes."""
    if module.task is None or module.task.data != task.dataset:
        return False
    classes = {frozenset(trained.merged) for trained in module.task.classes}
    return classes == {frozenset(merged) for merged in task.classes.values()}
