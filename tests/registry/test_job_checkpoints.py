"""Checkpoints of jobs: kept while the job is open, handed on to the next worker, gone with the job."""

from collections.abc import Callable
from pathlib import Path

import pytest

from registry.errors import InvalidInputError, LeaseLostError, NotFoundError
from registry.names import Digest, ModuleName
from registry.recipes import PairsSpec, TaskSpec, TrainingRecipe
from registry.records import Job, Progress
from registry.settings import Settings
from registry.work import NewModule, TrainResult
from registry.zoo import Zoo
from storage.wiring import open_zoo
from tests.builders import digest_of
from tests.numpy_worker import OWNER, add_dataset, quadrant_module

NAME = ModuleName("ada", "digits")


def submit(zoo: Zoo, *, pairs: PairsSpec | None = None) -> Job:
    recipe = TrainingRecipe(task=TaskSpec(dataset=add_dataset(zoo)), family="mlp", pairs=pairs)
    return zoo.jobs.submit_training(NAME, recipe, owner=OWNER)


def claimed(zoo: Zoo) -> Job:
    submit(zoo)
    job = zoo.jobs.claim(["train"], worker="first")
    assert job is not None
    return job


def beat(zoo: Zoo, job: Job, data: bytes | None = None, *, attempt: int = 1) -> Job:
    """Renew a lease, with a checkpoint that was uploaded."""
    checkpoint = None if data is None else zoo.blobs.put(data)
    return zoo.jobs.heartbeat(job.id, attempt=attempt, progress=Progress(), checkpoint=checkpoint)


def is_there(zoo: Zoo, blob: Digest) -> bool:
    try:
        zoo.blobs.info(blob)
    except NotFoundError:
        return False
    return True


def test_the_last_checkpoint_is_kept_and_takes_the_place_of_the_one_before(zoo: Zoo) -> None:
    job = claimed(zoo)
    assert job.checkpoint is None
    first = beat(zoo, job, b"first").checkpoint
    assert first == zoo.blobs.put(b"first")
    assert beat(zoo, job).checkpoint == first
    second = beat(zoo, job, b"second").checkpoint
    assert zoo.jobs.get(job.id).checkpoint == second
    assert (is_there(zoo, first), is_there(zoo, second)) == (False, True)


def test_a_checkpoint_that_is_told_twice_stays(zoo: Zoo) -> None:
    job = claimed(zoo)
    beat(zoo, job, b"first")
    again = beat(zoo, job, b"first").checkpoint
    assert again is not None
    assert is_there(zoo, again)


def test_a_checkpoint_without_its_bytes_is_refused_and_the_last_one_stays(zoo: Zoo) -> None:
    job = claimed(zoo)
    kept = beat(zoo, job, b"first").checkpoint
    with pytest.raises(InvalidInputError, match="the checkpoint cannot be kept: the bytes"):
        zoo.jobs.heartbeat(job.id, attempt=1, progress=Progress(), checkpoint=digest_of("nowhere"))
    assert zoo.jobs.get(job.id).checkpoint == kept


def test_a_job_that_is_given_back_keeps_its_checkpoint_for_the_next_worker(zoo: Zoo) -> None:
    job = claimed(zoo)
    kept = beat(zoo, job, b"first").checkpoint
    assert kept is not None
    zoo.jobs.release(job.id, attempt=1)
    again = zoo.jobs.claim(["train"], worker="second")
    assert again is not None
    assert (again.attempt, again.checkpoint) == (2, kept)
    assert is_there(zoo, kept)


def test_a_worker_that_lost_its_lease_keeps_no_checkpoint(tmp_path: Path) -> None:
    hasty = open_zoo(Settings(home=tmp_path, lease_seconds=1e-6, job_attempts=2))
    job = claimed(hasty)
    kept = beat(hasty, job, b"first").checkpoint
    again = hasty.jobs.claim(["train"], worker="second")
    assert again is not None
    assert again.checkpoint == kept
    with pytest.raises(LeaseLostError):
        beat(hasty, job, b"late", attempt=1)
    assert hasty.jobs.get(job.id).checkpoint == kept


def finish(zoo: Zoo, job: Job) -> None:
    module = NewModule(name="ada/digits-input", digest=zoo.blobs.put(quadrant_module()))
    zoo.jobs.finish(job.id, attempt=1, result=TrainResult(modules=(module,)))


def remove_dataset(zoo: Zoo, job: Job) -> None:
    zoo.datasets.remove(add_dataset(zoo), owner=OWNER)


ENDS = [
    pytest.param(finish, id="done"),
    pytest.param(lambda zoo, job: zoo.jobs.fail(job.id, attempt=1, error="no"), id="failed"),
    pytest.param(lambda zoo, job: zoo.jobs.cancel(job.id), id="cancelled"),
    pytest.param(remove_dataset, id="dataset-removed"),
]


@pytest.mark.parametrize("end", ENDS)
def test_the_bytes_go_when_the_job_ends(zoo: Zoo, end: Callable[[Zoo, Job], object]) -> None:
    job = claimed(zoo)
    kept = beat(zoo, job, b"first").checkpoint
    assert kept is not None
    end(zoo, job)
    assert zoo.jobs.get(job.id).status.ended
    assert not is_there(zoo, kept)


def test_the_bytes_go_when_a_job_has_killed_too_many_workers(tmp_path: Path) -> None:
    hasty = open_zoo(Settings(home=tmp_path, lease_seconds=1e-6, job_attempts=1))
    kept = beat(hasty, claimed(hasty), b"first").checkpoint
    assert kept is not None
    assert hasty.jobs.claim(["train"], worker="second") is None
    assert not is_there(hasty, kept)


def test_a_checkpoint_that_another_open_job_has_too_stays(zoo: Zoo) -> None:
    first, second = claimed(zoo), claimed(zoo)
    beat(zoo, first, b"same")
    kept = beat(zoo, second, b"same").checkpoint
    assert kept is not None
    zoo.jobs.cancel(first.id)
    assert is_there(zoo, kept)
    zoo.jobs.cancel(second.id)
    assert not is_there(zoo, kept)


def test_a_run_on_pairs_needs_its_table_and_keeps_it_while_it_is_open(zoo: Zoo) -> None:
    table = PairsSpec(table=digest_of("nowhere"))
    with pytest.raises(NotFoundError, match="upload them again"):
        submit(zoo, pairs=table)
    blob = zoo.blobs.put(b"i,j,same\n0,1,1\n")
    job = submit(zoo, pairs=PairsSpec(table=blob))
    zoo.keeper.discard(blob)
    assert is_there(zoo, blob)
    zoo.jobs.cancel(job.id)
    zoo.keeper.discard(blob)
    assert not is_there(zoo, blob)
