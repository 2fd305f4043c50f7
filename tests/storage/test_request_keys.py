"""A key and what was done under it are one: a process that is killed leaves both or neither."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from registry.errors import ConflictError, KeyReusedError, NotFoundError, PipelineMisfitError
from registry.jobs import JobService
from registry.key_records import RequestKey
from registry.names import ModuleName
from registry.outcomes import OutcomeService
from registry.pipelines import PipelineService
from registry.ports import Begin
from registry.recipes import TaskSpec, TrainingRecipe
from registry.records import Task
from registry.request_keys import LIFETIME, Made, once
from registry.settings import Settings
from storage.engine import open_engine
from storage.unit_of_work import units_of_work
from tests.builders import NOW, dataset, digest_of, later, task
from tests.outcome_samples import outcome

KEY = RequestKey(owner="ada", key="k", fingerprint="f")
DATASET = dataset()


def make_task(begin: Begin, name: str, *, key: RequestKey = KEY, seconds: float = 0.0, dies: bool = False) -> str:
    """Keep a task under a key; gives the id of the task that is answered."""
    with begin() as work:

        def keep() -> Made[Task]:
            made = task(name)
            work.datasets.add(DATASET, owner="ada")
            work.tasks.add(made, owner=None)
            return Made(made, created=True)

        made = once(work, key, keep, model=Task, at=later(seconds), about=DATASET.digest)
        if dies:
            os.kill(os.getpid(), signal.SIGKILL)
    return made.model.id


def make_and_die(database: str) -> None:
    """What a process does that is killed when all is written but the commit."""
    make_task(units_of_work(open_engine(database)), "killed", dies=True)


def test_a_process_killed_before_its_commit_leaves_neither_key_nor_work(database: str, begin: Begin) -> None:
    process = multiprocessing.get_context("spawn").Process(target=make_and_die, args=(database,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    with begin() as work:
        assert work.tasks.of_dataset(DATASET.digest) == ()
    first = make_task(begin, "next")
    assert make_task(begin, "other") == first, "the key was free, and now is taken"


def test_a_key_is_forgotten_after_a_day(begin: Begin) -> None:
    first = make_task(begin, "first")
    day = LIFETIME.total_seconds()
    assert make_task(begin, "second", seconds=day) == first
    assert make_task(begin, "third", seconds=day + 1) != first


def test_many_keys_are_forgotten_in_time(begin: Begin) -> None:
    with begin() as work:
        for n in range(250):
            work.request_keys.reserve(KEY.model_copy(update={"key": str(n)}), at=NOW, since=NOW)
    since = NOW + timedelta(seconds=1)
    with begin() as work:
        assert work.request_keys.reserve(KEY.model_copy(update={"key": "249"}), at=since, since=since) is None


def test_keys_of_two_owners_are_two(begin: Begin) -> None:
    first = make_task(begin, "first")
    assert make_task(begin, "second", key=KEY.model_copy(update={"owner": "bob"})) != first


def test_a_key_belongs_to_one_request(begin: Begin) -> None:
    make_task(begin, "first")
    with pytest.raises(KeyReusedError, match="'k' was used for another request"):
        make_task(begin, "second", key=KEY.model_copy(update={"fingerprint": "g"}))


def test_what_is_kept_of_a_dataset_can_be_forgotten(begin: Begin) -> None:
    first = make_task(begin, "first")
    with begin() as work:
        work.request_keys.forget_about(DATASET.digest)
    assert make_task(begin, "second") != first


def test_of_many_at_once_under_one_key_one_does_it_and_all_get_its_answer(begin: Begin) -> None:
    start = threading.Barrier(8)

    def make(number: int) -> str:
        start.wait()
        return make_task(begin, f"task-{number}")

    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(make, range(8)))
    with begin() as work:
        assert {made.id for made in work.tasks.of_dataset(DATASET.digest)} == answers
    assert len(answers) == 1


def submit(begin: Begin) -> None:
    makers: Any = None
    recipe = TrainingRecipe(task=TaskSpec(dataset=digest_of("none")), family="mlp")
    JobService(begin, lambda: later(0), Settings(), makers).submit_training(
        ModuleName("ada", "m"), recipe, owner="ada", key=KEY
    )


def compose(begin: Begin) -> None:
    blobs: Any = None
    PipelineService(begin, blobs, lambda: later(0)).compose("pair", ["ada/none@1"], key=KEY)


def post(begin: Begin) -> None:
    queries: Any = SimpleNamespace(state=lambda query, owner: None)
    OutcomeService(begin, lambda: later(0), queries).post("query", [], owner="ada", key=KEY)


@pytest.mark.parametrize("ask", [submit, compose, post])
def test_who_forgets_a_dataset_and_who_has_a_key_do_not_wait_for_each_other(
    begin: Begin, monkeypatch: pytest.MonkeyPatch, ask: Callable[[Begin], None]
) -> None:
    """The key of long ago is forgotten by both: by who asks, as it is old, and by who deletes its dataset."""
    monkeypatch.setattr("registry.outcomes._matched", lambda state, posted, at: [outcome()])
    make_task(begin, "first", key=KEY.model_copy(update={"key": "old"}), seconds=-2 * LIFETIME.total_seconds())
    with ThreadPoolExecutor(1) as pool:
        with begin() as work:
            work.hold()
            asked = pool.submit(ask, begin)
            time.sleep(0.5)
            work.request_keys.forget_about(DATASET.digest)
        with pytest.raises((NotFoundError, ConflictError, PipelineMisfitError)):
            asked.result()
