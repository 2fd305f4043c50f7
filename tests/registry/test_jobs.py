"""Jobs: leases, fences, and publishing in the step that ends the job."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from registry.errors import InvalidInputError, InvalidModuleFileError, LeaseLostError, NotFoundError
from registry.names import Digest, ModuleName, ModuleRef
from registry.recipes import TaskSpec, TrainingRecipe
from registry.records import Job, JobStatus, Progress
from registry.settings import Settings
from registry.work import NewModule, PredictResult, PredictWork, TrainResult, TrainWork
from registry.zoo import Zoo
from storage.folder_blobs import FolderBlobs
from storage.wiring import open_zoo
from tests.numpy_worker import OWNER, add_dataset, output_module, quadrant_module

PROGRESS = Progress(stage="module 1 of 1", done=1, total=10, epoch=1, objective=0.5, seconds_left=9.0)
NAME = ModuleName("ada", "digits")


@pytest.fixture
def hasty(tmp_path: Path) -> Zoo:
    """A zoo whose leases run out at once."""
    return open_zoo(Settings(home=tmp_path, lease_seconds=1e-6, job_attempts=2))


def submit(zoo: Zoo) -> Job:
    recipe = TrainingRecipe(task=TaskSpec(dataset=add_dataset(zoo)), family="mlp")
    return zoo.jobs.submit_training(NAME, recipe, owner=OWNER)


def claimed(zoo: Zoo) -> Job:
    submit(zoo)
    job = zoo.jobs.claim(["train"], worker="first")
    assert job is not None
    return job


def trained(zoo: Zoo) -> TrainResult:
    """What a worker would bring: an input and an output module, uploaded, and a pipeline."""
    below = zoo.blobs.put(quadrant_module())
    above = zoo.blobs.put(output_module(below))
    modules = (NewModule(name="ada/digits-input", digest=below), NewModule(name="ada/digits-output", digest=above))
    return TrainResult(modules=modules, pipeline="digits")


def test_a_job_goes_from_queued_to_done_and_publishes_in_the_same_step(zoo: Zoo) -> None:
    job = claimed(zoo)
    assert (job.status, job.attempt, job.worker) == (JobStatus.RUNNING, 1, "first")
    assert zoo.jobs.heartbeat(job.id, attempt=1, progress=PROGRESS).progress == PROGRESS
    done = zoo.jobs.finish(job.id, attempt=1, result=trained(zoo))
    assert done.status is JobStatus.DONE
    assert isinstance(done.result, TrainResult)
    assert done.result.published == ("ada/digits-input@1", "ada/digits-output@1")
    assert done.result.pipeline_id is not None
    assert len(zoo.pipelines.get(done.result.pipeline_id).modules) == 2


def test_a_job_whose_lease_ran_out_goes_to_another_worker_and_the_first_is_fenced_off(hasty: Zoo) -> None:
    job = claimed(hasty)
    second = hasty.jobs.claim(["train"], worker="second")
    assert second is not None
    assert (second.id, second.attempt, second.worker) == (job.id, 2, "second")
    with pytest.raises(LeaseLostError, match="attempt 2 holds"):
        hasty.jobs.finish(job.id, attempt=1, result=trained(hasty))
    with pytest.raises(LeaseLostError):
        hasty.jobs.heartbeat(job.id, attempt=1, progress=PROGRESS)
    with pytest.raises(NotFoundError):
        hasty.modules.get(ModuleRef.parse("ada/digits-input@1"))
    assert hasty.jobs.finish(job.id, attempt=2, result=trained(hasty)).status is JobStatus.DONE
    assert hasty.modules.get(ModuleRef.parse("ada/digits-input")).version == 1


def test_a_job_that_kills_its_workers_is_failed_in_the_end(hasty: Zoo) -> None:
    job = claimed(hasty)
    assert hasty.jobs.claim(["train"], worker="second") is not None
    assert hasty.jobs.claim(["train"], worker="third") is None
    failed = hasty.jobs.get(job.id)
    assert failed.status is JobStatus.FAILED
    assert "2 times" in str(failed.error)


def test_a_job_is_finished_once(zoo: Zoo) -> None:
    job = claimed(zoo)
    zoo.jobs.finish(job.id, attempt=1, result=trained(zoo))
    with pytest.raises(LeaseLostError, match="is done"):
        zoo.jobs.finish(job.id, attempt=1, result=trained(zoo))
    assert len(zoo.modules.overview(ModuleName("ada", "digits-input")).versions) == 1


def test_one_bad_module_and_nothing_of_the_run_is_published(zoo: Zoo) -> None:
    job = claimed(zoo)
    good = trained(zoo)
    bad = NewModule(name="ada/bad", digest=zoo.blobs.put(b"rubbish"))
    with pytest.raises(InvalidModuleFileError):
        zoo.jobs.finish(job.id, attempt=1, result=good.model_copy(update={"modules": (*good.modules, bad)}))
    with pytest.raises(NotFoundError):
        zoo.modules.get(ModuleRef.parse("ada/digits-input@1"))
    assert zoo.jobs.get(job.id).status is JobStatus.RUNNING


def test_a_result_of_another_kind_is_refused(zoo: Zoo) -> None:
    job = claimed(zoo)
    with pytest.raises(InvalidInputError, match="kind train"):
        zoo.jobs.finish(job.id, attempt=1, result=PredictResult(predictions=(), milliseconds=0.0))


def test_a_cancelled_job_tells_its_worker_at_the_next_heartbeat(zoo: Zoo) -> None:
    job = claimed(zoo)
    assert zoo.jobs.cancel(job.id).status is JobStatus.CANCELLED
    with pytest.raises(LeaseLostError, match="cancelled"):
        zoo.jobs.heartbeat(job.id, attempt=1, progress=PROGRESS)
    assert zoo.jobs.cancel(job.id).status is JobStatus.CANCELLED


def test_a_failed_job_keeps_its_reason(zoo: Zoo) -> None:
    job = claimed(zoo)
    assert zoo.jobs.fail(job.id, attempt=1, error="NaN in epoch 3").error == "NaN in epoch 3"


def test_training_on_an_unknown_dataset_is_refused_before_it_is_queued(zoo: Zoo) -> None:
    recipe = TrainingRecipe(task=TaskSpec(dataset=Digest("sha256:" + "0" * 64)))
    with pytest.raises(NotFoundError, match="POST /datasets"):
        zoo.jobs.submit_training(NAME, recipe, owner=OWNER)
    assert zoo.jobs.list(kind=None, status=None, limit=10, cursor=None).items == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"family": "resnet18", "modules": 64}, "64"),
        ({"objective": "alignment_neo"}, "alignment_neo"),
        ({"k_min": -0.5}, "k_min"),
        ({"output": {"labels_per_class": 500}}, "20 images"),
        ({"family": "mlp", "width": 4096, "image_size": 512}, "parameters"),
    ],
    ids=lambda value: str(value)[:40],
)
def test_a_recipe_that_cannot_be_trained_is_refused_before_it_is_queued(tmp_path: Path, changes, said: str) -> None:
    zoo = open_zoo(Settings(home=tmp_path, module_limit_parameters=10**7))
    task = {"task": {"dataset": add_dataset(zoo)}, "family": "mlp"}
    recipe = TrainingRecipe.model_validate({**task, **changes})
    with pytest.raises(InvalidInputError, match=said):
        zoo.jobs.submit_training(NAME, recipe, owner=OWNER)
    assert zoo.jobs.list(kind=None, status=None, limit=10, cursor=None).items == ()


def test_a_job_that_is_given_back_is_queued_again_and_that_is_no_death(hasty: Zoo) -> None:
    job = claimed(hasty)
    for attempt in range(1, 5):
        assert hasty.jobs.release(job.id, attempt=attempt).status is JobStatus.QUEUED
        again = hasty.jobs.claim(["train"], worker="next")
        assert again is not None
        assert again.attempt == attempt + 1
    with pytest.raises(LeaseLostError):
        hasty.jobs.release(job.id, attempt=1)


def test_deleting_the_dataset_stops_its_jobs_and_publishes_nothing(zoo: Zoo) -> None:
    job = claimed(zoo)
    assert isinstance(job.work, TrainWork)
    zoo.datasets.remove(job.work.recipe.task.dataset, owner=OWNER)
    with pytest.raises(LeaseLostError, match="cancelled"):
        zoo.jobs.heartbeat(job.id, attempt=1, progress=PROGRESS)
    with pytest.raises(LeaseLostError):
        zoo.jobs.finish(job.id, attempt=1, result=trained(zoo))
    with pytest.raises(NotFoundError):
        zoo.modules.get(ModuleRef.parse("ada/digits-input@1"))


def test_a_pipeline_of_a_job_has_a_name_that_can_be_used(zoo: Zoo) -> None:
    job = claimed(zoo)
    with pytest.raises(InvalidInputError, match="pipeline name"):
        zoo.jobs.finish(job.id, attempt=1, result=trained(zoo).model_copy(update={"pipeline": "ada/digits"}))
    zoo.jobs.finish(job.id, attempt=1, result=trained(zoo))
    assert zoo.pipelines.get("digits").labels == ("a", "b")


def test_the_lease_says_when_it_ends(zoo: Zoo) -> None:
    job = claimed(zoo)
    assert job.lease_expires_at is not None
    left = job.lease_expires_at - datetime.now(UTC)
    assert timedelta(seconds=20) < left <= timedelta(seconds=30)
    assert isinstance(zoo.blobs, FolderBlobs)


def test_no_prediction_waits_for_images_that_are_gone(zoo: Zoo) -> None:
    images = zoo.blobs.put(b"an image")
    wanted = PredictWork(modules=(images, images), images=images)
    assert zoo.jobs.submit_prediction(wanted, owner=OWNER).status is JobStatus.QUEUED
    zoo.blobs.delete(images)
    with pytest.raises(NotFoundError, match="upload them again"):
        zoo.jobs.submit_prediction(wanted, owner=OWNER)
    assert len(zoo.jobs.list(kind="predict", status=None, limit=10, cursor=None).items) == 1


def test_whoever_claims_is_told_which_jobs_were_given_up(hasty: Zoo) -> None:
    job = submit(hasty)
    told: list[Job] = []
    for _ in range(3):
        hasty.jobs.claim(["train"], worker="dies", given_up=told.append)
    assert [(each.id, each.status) for each in told] == [(job.id, JobStatus.FAILED)]
    assert told == [hasty.jobs.get(job.id)]
