"""What a worker logs of jobs that fail: a line where a user is at fault, a plain traceback where nobody expected it."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from structlog.testing import capture_logs

from client.zoo import Zoo
from registry.errors import JobFailedError
from registry.names import Digest
from registry.records import Job, JobStatus, Progress
from registry.work import VerifyResult, VerifyWork
from tests.builders import NOW, digest_of
from trainer.__main__ import set_up_logs
from trainer.duties import Duties
from trainer.lease import Lease
from trainer.worker import Lane


@dataclass
class Failing(Duties):
    """Duties none of which can be done."""

    error: Exception

    def do(self, work: object, lease: object) -> VerifyResult:
        """Fail, with a value at hand that is nobody's business."""
        hidden = "a value of the run"
        assert hidden
        raise self.error


@pytest.fixture
def renderer() -> Iterator[structlog.types.Processor]:
    """What turns the events of a worker's process into text."""
    set_up_logs()
    yield structlog.get_config()["processors"][-1]
    structlog.reset_defaults()


def outcome_of(error: Exception, cache: Path) -> object:
    """What a lane says of a job that fails with an error; the zoo is not asked."""
    with Zoo("http://127.0.0.1:1", cache=cache) as zoo:
        stop = threading.Event()
        lane = Lane(zoo, Failing(error), kinds=("verify",), name="tester", stop=stop, wait_seconds=0.1)
        job = job_of(digest_of("module"))
        return lane._outcome(job, Lease(zoo.jobs, job, stop=stop))


def job_of(module: Digest) -> Job:
    return Job(id=1, status=JobStatus.RUNNING, work=VerifyWork(module=module), progress=Progress(), created_at=NOW)


def test_a_job_that_fails_by_a_users_fault_is_one_line(tmp_path):
    with capture_logs() as logged:
        assert outcome_of(JobFailedError("the task has 3 examples"), tmp_path) == "the task has 3 examples"
    assert logged == [{"event": "job failed", "job": 1, "why": "the task has 3 examples", "log_level": "warning"}]


def test_what_nobody_expected_is_logged_with_its_traceback(tmp_path):
    with capture_logs() as logged:
        assert outcome_of(RuntimeError("stumbled"), tmp_path) == "RuntimeError: stumbled"
    assert [(each["event"], each["log_level"], each["exc_info"]) for each in logged] == [("job failed", "error", True)]


def test_a_traceback_is_plain_and_shows_no_values(renderer):
    def stumble(hidden: str) -> None:
        raise RuntimeError(f"stumbled over {len(hidden)}")

    try:
        stumble("a value of the " + "run")
    except RuntimeError as error:
        written = str(renderer(None, "error", {"event": "job failed", "exc_info": error}))
    assert "Traceback (most recent call last)" in written
    assert "stumbled over 18" in written
    assert "a value of the run" not in written
    assert len(written.splitlines()) < 20
