"""`zoo serve` outlives its worker: one that is killed is followed by another, and the service answers all the while."""

import os
import re
import signal
from pathlib import Path

import httpx

from tests.end_to_end.processes import START_SECONDS, answers, free_port, program, wait_for
from tests.numpy_worker import linear_module

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
