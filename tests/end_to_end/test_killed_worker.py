"""A worker that is killed in the middle of training loses its job to another, and the result is published once."""

import signal
import time
from pathlib import Path

import httpx

from client.zoo import Zoo
from registry.names import ModuleName
from registry.recipes import OutputSpec, TaskSpec, TrainingRecipe
from registry.records import Job, JobStatus
from tests.end_to_end.processes import START_SECONDS, answers, free_port, program, wait_for
from tests.numpy_worker import quadrant_zip

LEASE_SECONDS = 3.0
CLAIM_SECONDS = 2.0
"""How much later than the end of the lease a waiting worker may have the job, on a busy machine."""

WORK = ["python", "-m", "trainer", "work"]


def test_a_killed_workers_job_is_done_by_another_and_published_once(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    environment = {"ZOO_HOME": str(tmp_path), "ZOO_PORT": str(port), "ZOO_LEASE_SECONDS": str(LEASE_SECONDS)}
    log = tmp_path / "log"
    with program(["python", "-m", "api"], environment, log):
        wait_for(lambda: answers(url), seconds=START_SECONDS, log=log)
        with Zoo(url, cache=tmp_path / "client-cache") as zoo:
            job = submit(zoo, tmp_path)
            done = kill_the_first_of_two_workers(zoo, job, {**environment, "ZOO_URL": url}, log)
            assert (done.status, done.attempt) == (JobStatus.DONE, 2), done.error
            assert versions(url, "long-input") == [1]
            assert versions(url, "long-output") == [1]


def submit(zoo: Zoo, folder: Path) -> Job:
    """Submit training that takes long enough to be killed in the middle."""
    data = folder / "quadrants.zip"
    data.write_bytes(quadrant_zip(per_class=100))
    task = TaskSpec(dataset=zoo.datasets.publish(data).digest)
    recipe = TrainingRecipe(task=task, family="mlp", width=64, epochs=4000, batch_size=64, output=OutputSpec(epochs=2))
    return zoo.jobs.submit(ModuleName.parse("ada/long"), recipe)


def kill_the_first_of_two_workers(zoo: Zoo, job: Job, environment: dict[str, str], log: Path) -> Job:
    """Kill a worker, with no chance to say goodbye, while it trains and another waits; give the job's end."""
    with program([*WORK, "--name", "first"], environment, log) as first:
        wait_for(lambda: zoo.jobs.show(job.id).progress.epoch, seconds=START_SECONDS, log=log)
        with program([*WORK, "--name", "second"], environment, log):
            wait_for(lambda: log.read_text().count("worker started") == 2, seconds=START_SECONDS, log=log)
            assert zoo.jobs.show(job.id).status is JobStatus.RUNNING
            first.send_signal(signal.SIGKILL)
            killed = time.monotonic()
            wait_for(lambda: zoo.jobs.show(job.id).attempt == 2, seconds=START_SECONDS, log=log)
            assert time.monotonic() - killed <= LEASE_SECONDS + CLAIM_SECONDS
            wait_for(lambda: zoo.jobs.show(job.id).status.ended, seconds=120, log=log)
    return zoo.jobs.show(job.id)


def versions(url: str, name: str) -> list[int]:
    return [version["version"] for version in httpx.get(f"{url}/modules/ada/{name}").json()["versions"]]
