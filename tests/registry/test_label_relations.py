"""What tasks tell of each other by their labels: against entropies of labels written out one by one."""

import math
import tracemalloc
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict

import numpy as np
import pytest

from registry.errors import InvalidInputError, NotFoundError
from registry.label_relations import LabelRelations, relate_labels
from registry.names import Digest
from registry.recipes import TaskSpec
from registry.records import Dataset, Task
from registry.tasks import make_task
from registry.zoo import Zoo
from tests.numpy_worker import OWNER, add_dataset, quadrant_zip

DESCRIBED = {"digest": "sha256:" + "0" * 64, "format": "zip", "size_bytes": 1, "created_at": "2026-01-01T00:00:00Z"}
COUNTS = {"a": 20, "b": 20, "c": 20, "d": 20}
HALVES = {"top": ("a", "b"), "bottom": ("c", "d")}
UNEVEN = {"one": ("a",), "rest": ("b", "c")}


def task_of(zoo: Zoo, data: Digest, classes: Mapping[str, tuple[str, ...]]) -> str:
    return zoo.tasks.create(TaskSpec(dataset=data, classes=dict(classes)), owner=OWNER).task.id


def relate(zoo: Zoo, *classes: Mapping[str, tuple[str, ...]]) -> LabelRelations:
    data = add_dataset(zoo)
    return zoo.labels.relate([task_of(zoo, data, each) for each in classes], owner=OWNER)


def slow_nce(source: Mapping[str, tuple[str, ...]], target: Mapping[str, tuple[str, ...]]) -> float:
    """Mean log probability of the target's class given the source's, image by image."""
    column = [label for label, count in COUNTS.items() for _ in range(count)]
    pairs = [
        (one, other)
        for label in column
        for one, merged in source.items()
        for other, others in target.items()
        if label in merged and label in others
    ]
    joint, sources = Counter(pairs), Counter(one for one, _ in pairs)
    return float(np.mean([math.log(joint[pair] / sources[pair[0]]) for pair in pairs]))


def test_relations_are_the_entropies_of_the_labels(zoo: Zoo) -> None:
    every = {label: (label,) for label in COUNTS}
    tasks = (every, HALVES, UNEVEN)
    found = relate(zoo, *tasks)
    for row, source in enumerate(tasks):
        for column, target in enumerate(tasks):
            assert found.nce[row][column] == pytest.approx(slow_nce(source, target), abs=1e-12)
    assert [task.hardness for task in found.tasks] == pytest.approx(
        [math.log(4), math.log(2), math.log(3) - 2 / 3 * math.log(2)]
    )


def test_images_that_a_task_leaves_out_are_left_out_of_its_pairs(zoo: Zoo) -> None:
    found = relate(zoo, HALVES, UNEVEN)
    assert found.shared == ((80, 60), (60, 60))
    assert found.tasks[1].n_per_class == {"one": 20, "rest": 40}


def test_tasks_without_an_image_in_common_have_no_relation(zoo: Zoo) -> None:
    found = relate(zoo, {"a": ("a",), "b": ("b",)}, {"c": ("c",), "d": ("d",)})
    assert found.nce == ((0.0, None), (None, 0.0))
    assert found.shared[0][1] == 0


def test_a_task_named_twice_is_related_once(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    found = zoo.labels.relate([task_of(zoo, data, HALVES), data, task_of(zoo, data, HALVES)], owner=OWNER)
    assert [len(task.classes) for task in found.tasks] == [2, 4]
    assert found.data == data


def test_tasks_of_different_datasets_are_refused_and_named(zoo: Zoo) -> None:
    ours = task_of(zoo, add_dataset(zoo), HALVES)
    theirs = task_of(zoo, add_dataset(zoo, quadrant_zip(per_class=12)), HALVES)
    with pytest.raises(InvalidInputError, match=theirs) as refused:
        zoo.labels.relate([ours, theirs], owner=OWNER)
    assert [fault.pointer for fault in refused.value.faults] == ["/query/task/1"]


def test_unknown_tasks_and_wrong_numbers_of_tasks_are_refused(zoo: Zoo) -> None:
    with pytest.raises(NotFoundError, match="there is no task 'task-nowhere'"):
        zoo.labels.relate(["task-nowhere"], owner=OWNER)
    for count in (0, 51):
        with pytest.raises(InvalidInputError, match=f"got {count}"):
            zoo.labels.relate(["task"] * count, owner=OWNER)


def test_many_tasks_of_many_labels_take_little_time_and_memory() -> None:
    """Tables of all classes of the one by all of the other would take 800 MB here, and minutes."""
    labels = tuple(f"label {number:03}" for number in range(500))
    told = {"classes": labels, "counts": (3,) * 500, "shape": (8, 8, 3), "same_shape": True, "left_out": ()}
    dataset = Dataset.model_validate({**DESCRIBED, **told, "examples": 1500})
    drafts = [make_task(dataset, {label: (label,) for label in labels[number:]}) for number in range(20)]
    tasks = [Task(**asdict(draft), created_at=dataset.created_at) for draft in drafts]
    tracemalloc.start()
    found = relate_labels(tasks, dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 50e6
    assert found.shared[3][7] == 3 * 493
    assert found.nce[3][7] == pytest.approx(0.0, abs=1e-12)
