import io
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import structlog
from PIL import Image

from client.zoo import Zoo
from registry.errors import SettingsError, UnauthenticatedError
from registry.manifest import Role
from registry.rankings import RankingQuestion, ReusabilityQuestion
from registry.recipes import OutputSpec
from registry.records import Dataset, Job, JobStatus, ModuleSearch, VerificationState
from tests.api.serving import Service, serving
from tests.numpy_worker import linear_module
from tests.trainer.examples import digit_arrays
from tests.trainer.serving import digits_file, digits_recipe, working
from trainer.__main__ import main
from trainer.worker import Worker

ROOT = Path(__file__).parents[2]
LEASE_SECONDS = 3.0


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), lease_seconds=LEASE_SECONDS) as running:
        yield running


@pytest.fixture(scope="module")
def zoo(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with Zoo(str(service.http.base_url), cache=tmp_path_factory.mktemp("cache")) as client:
        yield client


@pytest.fixture(scope="module")
def dataset(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    file = tmp_path_factory.mktemp("data") / "digits.npz"
    file.write_bytes(digits_file())
    return zoo.datasets.publish(file)


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    return str(service.http.base_url)


@pytest.fixture(scope="module")
def trained(zoo: Zoo, url: str, dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Job:
    """A training job that a worker has done."""
    with working(url, tmp_path_factory.mktemp("worker")):
        job = zoo.jobs.submit("ada/low-high", digits_recipe(dataset.digest, modules=2))
        return wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status.ended)


def wait_for(look: Callable[[], Job], wanted: Callable[[Job], bool], *, seconds: float = 60.0) -> Job:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = look()
        if wanted(seen):
            return seen
        time.sleep(0.05)
    raise AssertionError(f"waited {seconds} s in vain, last seen: {look()}")


def published(zoo: Zoo, namespace: str) -> list[str]:
    return sorted(module.ref for module in zoo.modules.every(ModuleSearch(namespace=namespace)))


def test_a_training_job_publishes_its_modules_and_their_pipeline(zoo, trained):
    assert (trained.status, trained.error) == (JobStatus.DONE, None)
    assert published(zoo, "ada") == ["ada/low-high-hidden-1@1", "ada/low-high-input@1", "ada/low-high-output@1"]
    pipeline = zoo.pipelines.show(trained.result.pipeline_id)
    assert [module.role for module in pipeline.modules] == [Role.INPUT, Role.HIDDEN, Role.OUTPUT]
    assert pipeline.labels == ("low", "high")
    assert (pipeline.name, trained.result.pipeline) == ("low-high", "low-high")


def test_what_a_worker_trained_is_verified_at_once(zoo, trained):
    states = [zoo.modules.show(ref).verification.state for ref in trained.result.published]
    assert states == [VerificationState.VERIFIED] * 3


def test_what_somebody_publishes_is_verified_by_a_worker(zoo, url, tmp_path):
    file = tmp_path / "module.safetensors"
    file.write_bytes(linear_module(1))
    module = zoo.modules.publish("ida/from-outside", file)
    assert module.verification.state is VerificationState.UNVERIFIED
    with working(url, tmp_path / "cache"):
        wait_for(lambda: zoo.jobs.list(kind="verify").items[0], lambda seen: seen.status.ended)
    assert zoo.modules.show(module.ref).verification.state is VerificationState.VERIFIED
    zoo.modules.delete("ida/from-outside", 1)


def test_the_last_progress_is_the_end_of_the_run(trained):
    assert trained.progress.stage == "output module"
    assert trained.progress.done == trained.progress.total > 0


def test_a_worker_predicts_through_a_pipeline(zoo, url, trained, tmp_path):
    images, labels = digit_arrays()
    picture = io.BytesIO()
    chosen = int(np.flatnonzero(labels == 3)[0])
    Image.fromarray(images[chosen, :, :, 0]).save(picture, format="PNG")
    file = tmp_path / "three.png"
    file.write_bytes(picture.getvalue())
    with working(url, tmp_path / "cache"):
        result = zoo.pipelines.predict(trained.result.pipeline_id, file)
    assert [prediction.label for prediction in result.predictions] == ["high"]
    assert sum(result.predictions[0].probabilities.values()) == pytest.approx(1)


def test_a_worker_scores_every_depth_of_a_network(zoo, url, dataset, trained, tmp_path):
    task = zoo.tasks.create(dataset.digest, {"even": ("0", "2", "4"), "odd": ("1", "3")})
    with working(url, tmp_path / "cache"):
        ranking = zoo.queries.rank(RankingQuestion(task=task.id))
        score = zoo.queries.reusability(ReusabilityQuestion(module="ada/low-high-input", task=task.id))
    assert len(ranking.ranking) == 2
    row = next(row for row in ranking.ranking if row.module.ref == "ada/low-high-input@1")
    assert row.score == score.score
    assert row.interval[0] < row.score < row.interval[1]


def test_a_job_that_cannot_be_done_fails_with_one_sentence(zoo, url, dataset, tmp_path):
    with working(url, tmp_path / "cache"):
        wanted = digits_recipe(dataset.digest, epochs=1, output=OutputSpec(labels_per_class=58))
        job = zoo.jobs.submit("bob/too-many", wanted)
        failed = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status.ended)
    assert failed.status is JobStatus.FAILED
    assert "the recipe asks for 58 labels of each class" in failed.error
    assert published(zoo, "bob") == []


def test_a_cancelled_job_stops_and_publishes_nothing(zoo, url, dataset, tmp_path):
    with working(url, tmp_path / "cache") as worker:
        job = zoo.jobs.submit("eve/endless", digits_recipe(dataset.digest, epochs=10_000))
        wait_for(lambda: zoo.jobs.show(job.id), lambda seen: (seen.progress.epoch or 0) > 1)
        zoo.jobs.cancel(job.id)
        lane = next(lane for lane in worker.lanes if "train" in lane.kinds)
        wait_for(lambda: zoo.jobs.show(job.id), lambda _: not lane.busy, seconds=10)
    assert zoo.jobs.show(job.id).status is JobStatus.CANCELLED
    assert published(zoo, "eve") == []


def worker_process(url: str, home: Path) -> subprocess.Popen[bytes]:
    environment = os.environ | {"ZOO_HOME": str(home), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "trainer", "work", "--url", url, "--name", "doomed"]
    return subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)


def test_the_job_of_a_worker_that_was_killed_is_done_by_another_and_published_once(zoo, url, dataset, tmp_path):
    process = worker_process(url, tmp_path / "home")
    try:
        job = zoo.jobs.submit("kit/killed", digits_recipe(dataset.digest, epochs=600))
        wait_for(lambda: zoo.jobs.show(job.id), lambda seen: (seen.progress.epoch or 0) > 1)
    finally:
        process.kill()
        process.wait()
    died = time.monotonic()
    with working(url, tmp_path / "cache"):
        wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.attempt > 1)
        claimed = time.monotonic()
        done = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status.ended)
    assert claimed - died < LEASE_SECONDS + 5
    assert done.status is JobStatus.DONE
    assert published(zoo, "kit") == ["kit/killed-input@1", "kit/killed-output@1"]


@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_that_is_told_to_end_gives_its_job_back_at_once(zoo, url, dataset, tmp_path, number):
    process = worker_process(url, tmp_path / "home")
    try:
        job = zoo.jobs.submit("liz/released", digits_recipe(dataset.digest, epochs=10_000))
        wait_for(lambda: zoo.jobs.show(job.id), lambda seen: (seen.progress.epoch or 0) > 1)
        process.send_signal(number)
        back = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status is JobStatus.QUEUED, seconds=10)
        assert (back.attempt, back.releases, back.worker) == (1, 1, None)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.wait()
        zoo.jobs.cancel(job.id)


def test_a_job_whose_lane_does_not_listen_is_given_back_for_it(zoo, url, dataset, tmp_path, monkeypatch):
    monkeypatch.setattr("trainer.worker.PARTING_SECONDS", 0.2)
    hear = threading.Event()
    monkeypatch.setattr("trainer.duties.read_training_data", lambda *_: hear.wait(30))
    with working(url, tmp_path / "cache") as worker:
        job = zoo.jobs.submit("liz/deaf", digits_recipe(dataset.digest))
        wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status is JobStatus.RUNNING)
        worker.stop.set()
        back = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status is JobStatus.QUEUED, seconds=10)
        assert (back.attempt, back.releases) == (1, 1)
        zoo.jobs.cancel(job.id)
        hear.set()
        wait_for(lambda: zoo.jobs.show(job.id), lambda _: not any(lane.busy for lane in worker.lanes))


@pytest.mark.usefixtures("hang_up_is_heard")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_worker_ends_cleanly_when_it_is_told_to(url, tmp_path, monkeypatch, number):
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["trainer", "work", "--url", url])
    before = {known: signal.getsignal(known) for known in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)}
    threading.Timer(0.5, os.kill, (os.getpid(), number)).start()
    try:
        with pytest.raises(SystemExit) as left:
            main()
    finally:
        structlog.reset_defaults()
        for known, handler in before.items():
            signal.signal(known, handler)
    assert left.value.code in (0, None)


def test_a_worker_whose_token_is_not_taken_ends_at_once(tmp_path):
    with (
        serving(tmp_path / "zoo", token="right") as guarded,
        Zoo(str(guarded.http.base_url), "wrong", cache=tmp_path / "cache") as stranger,
        pytest.raises(UnauthenticatedError),
    ):
        Worker(stranger, name="stranger").run()


def test_a_worker_whose_settings_lead_to_no_zoo_ends_at_once(tmp_path, monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "ftp://nowhere")
    with Zoo("http://zoo.test", cache=tmp_path) as zoo, pytest.raises(SettingsError, match="ALL_PROXY is not"):
        Worker(zoo, name="lost").run()
