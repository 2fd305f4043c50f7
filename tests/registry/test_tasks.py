"""Tasks: what labels mean."""

import pytest

from registry.errors import InvalidTaskError, NotFoundError
from registry.recipes import TaskSpec
from registry.tasks import task_id
from registry.zoo import Zoo
from tests.builders import digest_of
from tests.numpy_worker import OWNER, add_dataset


def test_merged_labels_are_counted_together(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    spec = TaskSpec(dataset=data, classes={"x": ("a", "b"), "y": ("c",)})
    made = zoo.tasks.create(spec, owner=OWNER)
    assert made.created
    assert made.task.counts == {"x": 40, "y": 20}
    assert zoo.tasks.get(made.task.id, owner=OWNER) == made.task
    assert not zoo.tasks.create(spec, owner=OWNER).created


def test_a_dataset_stands_for_its_own_classes(zoo: Zoo) -> None:
    task = zoo.tasks.get(add_dataset(zoo), owner=OWNER)
    assert task.classes == {label: (label,) for label in "abcd"}


def test_every_wrong_class_is_named(zoo: Zoo) -> None:
    spec = TaskSpec(dataset=add_dataset(zoo), classes={"x": ("a", "zebra"), "y": ("a",)})
    with pytest.raises(InvalidTaskError) as caught:
        zoo.tasks.create(spec, owner=OWNER)
    assert {fault.pointer for fault in caught.value.faults} == {"/classes/x/0", "/classes/x/1", "/classes/y/0"}
    assert "zebra" in str([fault.detail for fault in caught.value.faults])


def test_a_class_with_nul_in_its_name_is_refused(zoo: Zoo) -> None:
    spec = TaskSpec(dataset=add_dataset(zoo), classes={"x\x00": ("a",), "y": ("b",)})
    with pytest.raises(InvalidTaskError, match="has NUL in its name"):
        zoo.tasks.create(spec, owner=OWNER)


def test_a_task_of_one_class_is_refused(zoo: Zoo) -> None:
    with pytest.raises(InvalidTaskError, match="two classes"):
        zoo.tasks.create(TaskSpec(dataset=add_dataset(zoo), classes={"x": ("a", "b")}), owner=OWNER)


def test_the_order_of_classes_does_not_change_the_id() -> None:
    data = digest_of("data")
    assert task_id(data, {"x": ("a", "b"), "y": ("c",)}) == task_id(data, {"y": ("c",), "x": ("b", "a")})
    assert task_id(data, {"x": ("a",), "y": ("c",)}) != task_id(data, {"x": ("c",), "y": ("a",)})


def test_nobody_else_finds_a_task(zoo: Zoo) -> None:
    task = zoo.tasks.get(add_dataset(zoo), owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.tasks.get(task.id, owner="eve")
