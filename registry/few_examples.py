"""Tasks with too few examples for a score: their counts tell that before any image passes."""

from collections.abc import Sequence

from registry.errors import Fault, NotScorableError
from registry.rankings import FEWEST_EXAMPLES
from registry.records import Task


def enough_examples(task: Task) -> bool:
    """Whether a task has the fewest examples from which a score can be made."""
    return sum(task.counts.values()) >= FEWEST_EXAMPLES


def require_examples(task: Task) -> None:
    """Raises NotScorableError where the task of a question has too few examples for any score."""
    _refuse([(task, "/task")])


def require_examples_of_each(tasks: Sequence[Task]) -> None:
    """The same of the tasks that a question for a map names, with a fault for each that has too few."""
    _refuse([(task, f"/tasks/{place}") for place, task in enumerate(tasks)])


def _refuse(named: Sequence[tuple[Task, str]]) -> None:
    faults = [Fault(pointer, _told(task), "too_few_examples") for task, pointer in named if not enough_examples(task)]
    if faults:
        raise NotScorableError(faults[0].detail, faults=faults)


def _told(task: Task) -> str:
    count = sum(task.counts.values())
    return (
        f"{task.id} has {count} example{'' if count == 1 else 's'} in its classes, a score needs at least "
        f"{FEWEST_EXAMPLES}; add labelled images to the dataset {task.dataset} and upload it again"
    )
