"""A worker that is killed: the next one goes on from its last checkpoint, and ends with the same files."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from client.errors import ServiceUnreachableError
from client.zoo import Zoo
from kernel_methods.pairs import draw_partners
from registry.errors import InvalidInputError
from registry.module_file import read_module
from registry.names import Digest
from registry.recipes import TrainingRecipe
from registry.records import Job, JobStatus, Progress
from tests.api.serving import Service, serving
from tests.builders import NOW, digest_of, train_work
from tests.trainer.examples import digit_arrays, ignore, never
from tests.trainer.serving import digits_file, digits_recipe, working
from trainer.courier import Courier
from trainer.lease import Lease
from trainer.reading import read_training_data
from trainer.run import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo"), lease_seconds=2.0) as running:
        yield running


@pytest.fixture(scope="module")
def zoo(service: Service, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    with Zoo(str(service.http.base_url), cache=tmp_path_factory.mktemp("cache")) as client:
        yield client


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("data") / "digits.npz"
    file.write_bytes(digits_file())
    return file


@pytest.fixture(scope="module")
def dataset(zoo: Zoo, data: Path) -> Digest:
    return zoo.datasets.publish(data).digest


def wait_for(look: Callable[[], Job], wanted: Callable[[Job], bool], *, seconds: float = 240.0) -> Job:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        seen = look()
        if wanted(seen):
            return seen
        time.sleep(0.02)
    raise AssertionError(f"waited {seconds} s in vain, last seen: {look()}")


def killed_at_a_checkpoint(zoo: Zoo, job: Job, home: Path) -> Job:
    """Have a worker begin a job, and kill it once there is a checkpoint."""
    environment = os.environ | {"ZOO_HOME": str(home), "OMP_NUM_THREADS": "1", "ZOO_CHECKPOINT_SECONDS": "0.05"}
    command = [sys.executable, "-m", "trainer", "work", "--url", zoo.url, "--name", "doomed"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stderr=subprocess.DEVNULL)
    try:
        return wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.checkpoint is not None or seen.status.ended)
    finally:
        process.kill()
        process.wait()


def undisturbed(data: Path, wanted: TrainingRecipe) -> list[Digest]:
    network = train(wanted, read_training_data(data, wanted), report=ignore, should_stop=never)
    return [module.digest for module in network.modules]


def test_the_next_worker_goes_on_from_the_checkpoint_to_the_same_files(service, zoo, data, dataset, tmp_path, capfd):
    wanted = digits_recipe(dataset, epochs=1500)
    before = service.blobs()
    job = zoo.jobs.submit("kit/handed-on", wanted)
    left = killed_at_a_checkpoint(zoo, job, tmp_path / "home")
    assert left.status is JobStatus.RUNNING
    with working(zoo.url, tmp_path / "cache"):
        done = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status.ended)
    assert (done.status, done.error) == (JobStatus.DONE, None)
    assert done.attempt > 1
    assert "the run goes on from a checkpoint" in capfd.readouterr().out
    published = [zoo.modules.show(ref).digest for ref in done.result.published]
    assert published == undisturbed(data, wanted)
    left_over = service.blobs() - before - set(published)
    assert len(left_over) <= 1, "at most what the killed worker had sent and not told of"


def test_a_checkpoint_that_is_damaged_begins_the_run_anew(zoo, dataset, tmp_path, capfd):
    job = zoo.jobs.submit("kit/anew", digits_recipe(dataset))
    held = zoo.jobs.claim(["train"], worker="a test")
    zoo.jobs.heartbeat(job.id, attempt=held.attempt, progress=Progress(), checkpoint=zoo.blobs.put(b"no checkpoint"))
    zoo.jobs.release(job.id, attempt=held.attempt)
    with working(zoo.url, tmp_path / "cache"):
        done = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status.ended)
    assert done.status is JobStatus.DONE
    assert "checkpoint not readable, the run starts anew" in capfd.readouterr().out


def test_a_worker_trains_on_a_table_of_pairs(zoo, data, dataset, tmp_path):
    drawn = draw_partners(digit_arrays()[1][:300], 10, np.random.default_rng(0))
    rows = zip(drawn.first.tolist(), drawn.second.tolist(), drawn.same.tolist(), strict=True)
    table = tmp_path / "pairs.csv"
    table.write_text("i,j,same\n" + "".join(f"{i},{j},{int(same)}\n" for i, j, same in rows))
    wanted = digits_recipe(dataset, pairs={"table": zoo.blobs.put(table)}, output=None)
    job = zoo.jobs.submit("kit/pairs", wanted)
    with working(zoo.url, tmp_path / "cache"):
        done = wait_for(lambda: zoo.jobs.show(job.id), lambda seen: seen.status.ended)
    assert (done.status, done.error) == (JobStatus.DONE, None)
    (digest,) = [zoo.modules.show(ref).digest for ref in done.result.published]
    task = read_module(zoo.blobs.fetch(digest)).manifest.task
    assert task.labels_known == 0
    assert 0 < task.pairs_known < 3000


class Beats:
    """Jobs of a zoo, as far as a lease needs them: remembers what it was told."""

    def __init__(self, *refusals: Exception) -> None:
        self.told: list[Digest | None] = []
        self._refusals = list(refusals)

    def heartbeat(
        self, job_id: int, *, attempt: int, progress: Progress, checkpoint: Digest | None, answer_seconds: float
    ) -> Job:
        self.told.append(checkpoint)
        if self._refusals:
            raise self._refusals.pop(0)
        return a_job()


def a_job() -> Job:
    return Job(id=1, status=JobStatus.RUNNING, work=train_work(), attempt=1, created_at=NOW)


def test_a_checkpoint_is_told_once_and_one_that_is_refused_not_again():
    beats = Beats(InvalidInputError("not here"))
    lease = Lease(beats, a_job(), stop=threading.Event())
    for name in ("refused", "taken"):
        lease.keep(digest_of(name))
    lease.flush()
    assert beats.told == [digest_of("refused"), digest_of("taken"), None]


def test_a_checkpoint_whose_heartbeat_was_lost_is_told_again():
    beats = Beats(ServiceUnreachableError("away"))
    lease = Lease(beats, a_job(), stop=threading.Event())
    lease.keep(digest_of("first"))
    lease.flush()
    lease.flush()
    assert beats.told == [digest_of("first")] * 2 + [None]


class SlowBlobs:
    """Blobs of a zoo that take their time."""

    def __init__(self) -> None:
        self.begun, self.go = threading.Event(), threading.Event()
        self.put_here: list[bytes] = []

    def put(self, data: bytes) -> Digest:
        self.begun.set()
        self.go.wait(10)
        self.put_here.append(data)
        if data == b"refused":
            raise ServiceUnreachableError("away")
        return digest_of(data)


class ZooOfBlobs:
    """A zoo with nothing but blobs."""

    def __init__(self) -> None:
        self.blobs = SlowBlobs()


def test_of_checkpoints_that_wait_only_the_last_one_is_brought():
    beats, away = Beats(), ZooOfBlobs()
    lease = Lease(beats, a_job(), stop=threading.Event())
    with Courier(away, lease) as courier:
        courier.send(b"first")
        assert away.blobs.begun.wait(10)
        for data in (b"second", b"third"):
            courier.send(data)
        away.blobs.go.set()
        deadline = time.monotonic() + 10
        while len(away.blobs.put_here) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert away.blobs.put_here == [b"first", b"third"]
    assert beats.told == [digest_of(b"first"), digest_of(b"third")]


def test_a_checkpoint_that_cannot_be_brought_does_not_end_the_run(capfd):
    beats, away = Beats(), ZooOfBlobs()
    away.blobs.go.set()
    lease = Lease(beats, a_job(), stop=threading.Event())
    with Courier(away, lease) as courier:
        courier.send(b"refused")
        assert away.blobs.begun.wait(10)
    lease.flush()
    assert beats.told == [None]
    assert "checkpoint not brought to the zoo, the run goes on" in capfd.readouterr().out
