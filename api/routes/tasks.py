"""Tasks over HTTP: a dataset and what its labels mean."""

from fastapi import APIRouter
from starlette.responses import Response

from api.answers import answer
from api.inputs import PAGE, Cursor, Limit, TheOwner, TheZoo
from api.openapi import refusals
from api.request_keys import TheKey
from registry.errors import InvalidTaskError, KeyReusedError, NotFoundError
from registry.recipes import TaskSpec
from registry.records import Page, Task

router = APIRouter(tags=["tasks"])


@router.post(
    "/tasks",
    status_code=201,
    response_model=Task,
    operation_id="create_task",
    responses={
        **refusals(InvalidTaskError, NotFoundError, KeyReusedError),
        200: {"description": "The task is there already.", "model": Task},
    },
)
def create_task(body: TaskSpec, zoo: TheZoo, owner: TheOwner, key: TheKey) -> Response:
    """Say what a dataset's labels mean: each class, and the labels merged into it."""
    created = zoo.tasks.create(body, owner=owner, key=key)
    headers = {"Location": f"/tasks/{created.task.id}"}
    return answer(created.task, status=201 if created.created else 200, headers=headers)


@router.get("/tasks", response_model=Page[Task], operation_id="list_tasks", responses=refusals())
def list_tasks(zoo: TheZoo, owner: TheOwner, limit: Limit = PAGE, cursor: Cursor = None) -> Response:
    """Your tasks, newest first."""
    return answer(zoo.tasks.list(owner=owner, limit=limit, cursor=cursor))


@router.get("/tasks/{task}", response_model=Task, operation_id="show_task", responses=refusals(NotFoundError))
def show_task(task: str, zoo: TheZoo, owner: TheOwner) -> Response:
    """One task, by its id; or the task of a dataset's own classes, by the dataset's digest."""
    return answer(zoo.tasks.get(task, owner=owner))
