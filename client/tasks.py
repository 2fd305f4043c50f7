"""Tasks over HTTP: a dataset and what its labels mean."""

from collections.abc import Mapping, Sequence

from client.connection import Call, Connection
from registry.label_relations import LabelRelations
from registry.names import Digest
from registry.recipes import TaskSpec
from registry.records import Page, Task


class Tasks:
    """Tasks of the zoo; one sees those of one's own datasets."""

    def __init__(self, connection: Connection) -> None:
        """Args: connection: the zoo."""
        self._connection = connection

    def create(self, dataset: Digest, classes: Mapping[str, Sequence[str]] | None = None) -> Task:
        """The task with these classes, each with the labels merged into it; without any, the dataset's own.

        Raises:
            InvalidTaskError: the dataset lacks a label, or fewer than two classes are left.
        """
        merged = {label: tuple(parts) for label, parts in (classes or {}).items()}
        call = Call("POST", "/tasks", body=TaskSpec(dataset=dataset, classes=merged), keyed=True)
        return self._connection.ask(call, Task)

    def show(self, task_id: str) -> Task:
        """One task. Raises NotFoundError."""
        return self._connection.ask(Call("GET", f"/tasks/{task_id}"), Task)

    def relate(self, tasks: Sequence[str]) -> LabelRelations:
        """How hard tasks of one dataset are, and what the labels of each tell of every other, with no module.

        Raises NotFoundError, and InvalidInputError for tasks of different datasets.
        """
        return self._connection.ask(
            Call("GET", "/transferability/labels", params={"task": tuple(tasks)}), LabelRelations
        )

    def list(self, *, limit: int = 50, cursor: str | None = None) -> Page[Task]:
        """One page of tasks, newest first."""
        return self._connection.ask(Call("GET", "/tasks", params={"limit": limit, "cursor": cursor}), Page[Task])
