"""Tasks with too few examples for a score are refused before any worker is asked, and do not break the map."""

from collections.abc import Callable

import pytest

from registry.errors import NotScorableError
from registry.few_examples import enough_examples
from registry.names import Digest
from registry.rankings import FEWEST_EXAMPLES, MapQuestion, RankingQuestion, ReusabilityQuestion, SetQuestion, TaskMap
from registry.recipes import TaskSpec
from registry.zoo import Zoo
from tests.builders import trained_on
from tests.numpy_worker import OWNER, add_dataset, linear_module, publish, quadrant_module, quadrant_zip, work_all
from tests.registry.dataset_samples import folders, zip_bytes

ASKED: dict[str, Callable[[Zoo, str], str]] = {
    "ranking": lambda zoo, task: zoo.reusability.ask_ranking(RankingQuestion(task=task), owner=OWNER),
    "reusability": lambda zoo, task: zoo.reusability.ask_reusability(
        ReusabilityQuestion(module="ada/seeing", task=task), owner=OWNER
    ),
    "sets": lambda zoo, task: zoo.sets.ask(
        SetQuestion(task=task, candidates=("ada/seeing@1", "ada/other@1")), owner=OWNER
    ),
}


@pytest.fixture
def stocked(zoo: Zoo) -> Zoo:
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/other", linear_module(1))
    return zoo


def three_images(zoo: Zoo) -> Digest:
    """A dataset of three images in three classes."""
    return add_dataset(zoo, zip_bytes(folders(classes=("a", "b", "c"), each=1)))


def trained(zoo: Zoo, data: Digest, *labels: str, seed: int) -> str:
    """A task of a dataset, with a module of its own; gives the task's id."""
    classes = {label: (label,) for label in labels}
    task = zoo.tasks.create(TaskSpec(dataset=data, classes=classes), owner=OWNER).task
    source = {**trained_on("data", *labels), "data": data}
    publish(zoo, f"ada/of-{seed}", linear_module(seed, task=source))
    return task.id


@pytest.mark.parametrize("kind", ASKED)
def test_a_task_with_too_few_examples_is_refused_at_once_with_its_count(stocked: Zoo, kind: str) -> None:
    data = three_images(stocked)
    task = stocked.tasks.get(data, owner=OWNER)
    with pytest.raises(NotScorableError, match=f"{task.id} has 3 examples .* at least 4; add") as refused:
        ASKED[kind](stocked, data)
    assert (refused.value.status, refused.value.code) == (422, "not_scorable")
    assert [fault.pointer for fault in refused.value.faults] == ["/task"]
    assert stocked.jobs.claim(["score", "joint"], worker="idle") is None


def test_the_classes_of_the_task_count_and_not_those_of_the_dataset(stocked: Zoo) -> None:
    data = add_dataset(stocked, zip_bytes(folders(classes=("a", "b", "c"), each=2)))
    made = [
        stocked.tasks.create(TaskSpec(dataset=data, classes={label: (label,) for label in labels}), owner=OWNER).task
        for labels in ("ab", "abc")
    ]
    assert [sum(task.counts.values()) for task in made] == [FEWEST_EXAMPLES, 6]
    assert all(enough_examples(task) for task in made)
    assert not enough_examples(stocked.tasks.get(three_images(stocked), owner=OWNER))


def test_a_map_leaves_such_a_task_out_unless_it_is_named(zoo: Zoo) -> None:
    data = add_dataset(zoo, quadrant_zip(per_class=15))
    good = [trained(zoo, data, *pair, seed=seed) for seed, pair in enumerate(("ab", "cd"), start=2)]
    few = trained(zoo, three_images(zoo), "a", "b", "c", seed=4)
    query = zoo.reusability.ask_map(MapQuestion(), owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, TaskMap)
    assert [target.task for target in answer.targets] == good
    with pytest.raises(NotScorableError, match=f"{few} has 3 examples") as refused:
        zoo.reusability.ask_map(MapQuestion(tasks=(good[0], few)), owner=OWNER)
    assert [fault.pointer for fault in refused.value.faults] == ["/tasks/1"]
