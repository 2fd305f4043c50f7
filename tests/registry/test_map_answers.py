"""Maps asked of a real zoo: which modules are rows, which tasks columns, and how they are told."""

import pytest

from registry.errors import InvalidInputError, NotScorableError
from registry.names import Digest
from registry.rankings import MapQuestion, TaskMap
from registry.recipes import TaskSpec
from registry.zoo import Zoo
from tests.numpy_worker import OWNER, add_dataset, linear_module, output_module, publish, quadrant_module, work_all

PAIRS = {"top": ("a", "b"), "bottom": ("c", "d"), "left": ("a", "c")}


def make_task(zoo: Zoo, data: Digest, pair: str) -> str:
    spec = TaskSpec(dataset=data, classes={label: (label,) for label in PAIRS[pair]})
    return zoo.tasks.create(spec, owner=OWNER).task.id


def train(zoo: Zoo, data: Digest, pair: str) -> None:
    """Publish a module that says it was trained on a pair of classes."""
    classes = [{"label": label, "merged": [label]} for label in PAIRS[pair]]
    task = {"data": data, "classes": classes, "examples": 40, "labels_known": 0, "pairs_known": 100}
    publish(zoo, f"ada/{pair}", linear_module(len(pair), task=task))


def mapped(zoo: Zoo, question: MapQuestion) -> TaskMap:
    query = zoo.reusability.ask_map(question, owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, TaskMap)
    return answer


def test_a_square_map_has_its_tasks_with_their_modules(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    tasks = [make_task(zoo, data, pair) for pair in ("top", "bottom")]
    for pair in ("top", "bottom"):
        train(zoo, data, pair)
    answer = mapped(zoo, MapQuestion(tasks=tuple(tasks)))
    assert [part.task for part in answer.tasks] == [source.task for source in answer.sources] == tasks
    assert [source.module.ref for source in answer.sources] == ["ada/top@1", "ada/bottom@1"]
    assert [part.cluster for part in answer.tasks] == list(answer.clusters)
    assert answer.target_order == answer.order


def test_a_task_without_a_module_is_a_target_only(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    tasks = [make_task(zoo, data, pair) for pair in ("left", "top", "bottom")]
    for pair in ("top", "bottom"):
        train(zoo, data, pair)
    answer = mapped(zoo, MapQuestion(tasks=tuple(tasks)))
    assert [source.module.ref for source in answer.sources] == ["ada/top@1", "ada/bottom@1"]
    assert [target.task for target in answer.targets] == tasks
    assert [len(row) for row in answer.scores] == [3, 3]
    assert answer.tasks == ()
    assert answer.target_order == (*(1 + row for row in answer.order), 0)
    assert (len(answer.tree), len(answer.embedding.coordinates)) == (1, 2)


def test_named_sources_are_the_rows_in_their_order(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    train(zoo, data, "top")
    publish(zoo, "ada/seeing", quadrant_module())
    question = MapQuestion(tasks=(make_task(zoo, data, "bottom"),), sources=("ada/seeing", "ada/top@1", "ada/seeing@1"))
    answer = mapped(zoo, question)
    assert [source.module.ref for source in answer.sources] == ["ada/seeing@1", "ada/top@1"]
    seeing, top = answer.sources
    assert (seeing.task, seeing.data, seeing.classes) == (None, None, {})
    assert (top.task, top.data, top.classes) == (None, data, {"a": ("a",), "b": ("b",)})
    assert answer.scores[0][0] > answer.scores[1][0]


def test_a_named_source_that_was_trained_on_a_target_says_so(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    train(zoo, data, "top")
    task = make_task(zoo, data, "top")
    answer = mapped(zoo, MapQuestion(tasks=(task,), sources=("ada/top",)))
    assert (answer.sources[0].task, answer.tasks[0].task, answer.tree) == (task, task, ())


def test_every_source_that_cannot_be_scored_is_named(zoo: Zoo) -> None:
    below = publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    question = MapQuestion(tasks=(add_dataset(zoo),), sources=("ada/seeing", "ada/nobody", "ada/output", "Not A Name"))
    with pytest.raises(InvalidInputError, match="3 sources") as caught:
        zoo.reusability.ask_map(question, owner=OWNER)
    assert [fault.pointer for fault in caught.value.faults] == ["/sources/1", "/sources/2", "/sources/3"]


def test_one_task_alone_is_no_map(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    train(zoo, data, "top")
    with pytest.raises(NotScorableError, match="at least two tasks"):
        zoo.reusability.ask_map(MapQuestion(tasks=(make_task(zoo, data, "top"),)), owner=OWNER)


def test_other_sources_are_another_question(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    for pair in ("top", "bottom"):
        train(zoo, data, pair)
    tasks = tuple(make_task(zoo, data, pair) for pair in ("top", "bottom"))
    one = zoo.reusability.ask_map(MapQuestion(tasks=tasks), owner=OWNER)
    other = zoo.reusability.ask_map(MapQuestion(tasks=tasks, sources=("ada/top",)), owner=OWNER)
    assert one != other
