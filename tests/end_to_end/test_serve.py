"""`zoo serve` outlives its worker: one that is killed is followed by another, and the service answers all the while."""

import os
import re
import signal
from pathlib import Path

import httpx

from client.zoo import Zoo
from registry.records import JobStatus
from registry.settings import Settings
from storage.wiring import open_zoo
from tests.end_to_end.processes import START_SECONDS, answers, free_port, program, wait_for
from tests.numpy_worker import linear_module
from tests.trainer.serving import digits_file, digits_recipe

SERVE = ["python", "-c", "from client.cli.app import main; main()", "serve"]
WORK_SECONDS = 120


def verified_by(url: str, name: str) -> list[int]:
    """The processes that verified a module; none before it is done."""
    jobs = httpx.get(f"{url}/jobs", params={"kind": "verify", "status": "done"}).json()["items"]
    digest = httpx.get(f"{url}/modules/ada/{name}/versions/1").json()["digest"]
    names = [job["worker"] for job in jobs if job["work"]["module"] == digest]
    return [int(found[1]) for each in names if (found := re.search(r"-(\d+)/short$", each))]


def publish(url: str, name: str, seed: int) -> None:
    httpx.post(f"{url}/modules/ada/{name}/versions", content=linear_module(seed)).raise_for_status()


def test_a_worker_that_is_killed_is_followed_by_another_while_the_service_goes_on(tmp_path: Path) -> None:
    port, log = free_port(), tmp_path / "log"
    url = f"http://127.0.0.1:{port}"
    told = {"ZOO_HOME": str(tmp_path / "home"), "ZOO_PORT": str(port), "ZOO_LEASE_SECONDS": "2"}
    with program(SERVE, told, log) as serving:
        wait_for(lambda: answers(url), seconds=START_SECONDS, log=log)
        publish(url, "first", 1)
        wait_for(lambda: verified_by(url, "first"), seconds=WORK_SECONDS, log=log)
        (killed,) = verified_by(url, "first")
        os.kill(killed, signal.SIGKILL)
        publish(url, "second", 2)

        def done() -> list[int]:
            assert serving.poll() is None
            assert answers(url)
            return verified_by(url, "second")

        wait_for(done, seconds=WORK_SECONDS, log=log)
        (other,) = verified_by(url, "second")
    assert other != killed
    assert "the worker ended with status -9; another begins in 1 seconds" in log.read_text()
    assert serving.returncode == 0


def test_the_job_that_runs_when_it_is_interrupted_is_given_back(tmp_path: Path) -> None:
    port, log, file = free_port(), tmp_path / "log", tmp_path / "digits.npz"
    url, home = f"http://127.0.0.1:{port}", tmp_path / "home"
    file.write_bytes(digits_file())
    with program(SERVE, {"ZOO_HOME": str(home), "ZOO_PORT": str(port)}, log) as serving:
        wait_for(lambda: answers(url), seconds=START_SECONDS, log=log)
        with Zoo(url, cache=tmp_path / "cache") as zoo:
            recipe = digits_recipe(zoo.datasets.publish(file).digest, epochs=10_000)
            job = zoo.jobs.submit("ada/interrupted", recipe)
            wait_for(lambda: zoo.jobs.show(job.id).progress.epoch, seconds=WORK_SECONDS, log=log)
        serving.send_signal(signal.SIGINT)
        assert serving.wait(20) == 0
    kept = open_zoo(Settings(home=home)).jobs.get(job.id)
    assert (kept.status, kept.attempt, kept.releases) == (JobStatus.QUEUED, 1, 1)
