import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from client.errors import ServiceUnreachableError
from registry.errors import BusyError, InvalidInputError, NotFoundError, RateLimitedError, ZooError
from registry.records import Job, JobStatus, Progress
from registry.work import ScoreWork
from tests.builders import digest_of, later
from tests.trainer.examples import never
from trainer.lease import LONGEST_PAUSE_SECONDS, SHORTEST_PAUSE_SECONDS, Lease, renewal_seconds, third_of_lease
from trainer.patience import patiently, wait
from trainer.progress import Stopped, Tracker
from trainer.shelf import Shelf

NOW = datetime(2026, 1, 2, tzinfo=UTC)


def job(lease_seconds: float | None) -> Job:
    return Job(
        id=1,
        status=JobStatus.RUNNING,
        work=ScoreWork(task={"dataset": digest_of("d")}, chains=((digest_of("m"),),), examples=10),
        attempt=1,
        lease_expires_at=None if lease_seconds is None else NOW + timedelta(seconds=lease_seconds),
        created_at=later(0),
    )


@pytest.mark.parametrize(
    ("lease_seconds", "pause"),
    [(15, 5), (0.3, 0.1), (-5, SHORTEST_PAUSE_SECONDS), (999, LONGEST_PAUSE_SECONDS), (None, LONGEST_PAUSE_SECONDS)],
)
def test_a_lease_is_renewed_after_a_third_of_its_time(lease_seconds, pause):
    assert renewal_seconds(third_of_lease(job(lease_seconds), now=NOW)) == pytest.approx(pause)


class Beats:
    """The zoo's jobs, as a lease sees them: each heartbeat is answered as it is told."""

    def __init__(self, *answers: Callable[[], Job]) -> None:
        self.answers, self.told, self.at = list(answers), [], []

    def heartbeat(self, job_id: int, **told: object) -> Job:
        self.told.append(told)
        self.at.append(time.monotonic())
        return (self.answers.pop(0) if self.answers else held)()


def held() -> Job:
    return job(30).model_copy(update={"lease_expires_at": datetime.now(UTC) + timedelta(seconds=30)})


def failing(error: ZooError) -> Callable[[], Job]:
    def answer() -> Job:
        raise error

    return answer


@pytest.mark.parametrize("error", [ServiceUnreachableError("502"), ZooError("418"), RateLimitedError("too many")])
def test_a_checkpoint_whose_heartbeat_failed_goes_with_the_next_one(error):
    beats = Beats(failing(error))
    lease = Lease(beats, held(), stop=threading.Event())
    lease.keep(digest_of("checkpoint"))
    lease.flush()
    assert [told["checkpoint"] for told in beats.told] == [digest_of("checkpoint")] * 2


def test_a_checkpoint_that_the_zoo_refuses_is_not_told_again():
    beats = Beats(failing(InvalidInputError("its bytes are not here")))
    lease = Lease(beats, held(), stop=threading.Event())
    lease.keep(digest_of("checkpoint"))
    lease.flush()
    assert [told["checkpoint"] for told in beats.told] == [digest_of("checkpoint"), None]


def test_a_heartbeat_waits_for_a_third_of_the_lease_and_the_next_comes_in_time():
    def hang() -> Job:
        time.sleep(1.0)
        raise ServiceUnreachableError("timed out")

    beats = Beats(hang, hang)
    short = job(30).model_copy(update={"lease_expires_at": datetime.now(UTC) + timedelta(seconds=3)})
    with Lease(beats, short, stop=threading.Event()):
        while len(beats.at) < 3:
            time.sleep(0.01)
    assert [told["answer_seconds"] for told in beats.told[:2]] == pytest.approx([1.0, 1.0], abs=0.1)
    assert beats.at[2] - beats.at[0] < 2.5


def test_a_zoo_that_is_away_for_a_while_is_waited_for():
    answers = [ServiceUnreachableError("away"), BusyError("busy"), RateLimitedError("too many"), None]

    def ask() -> str:
        answer = answers.pop(0)
        if answer is not None:
            raise answer
        return "there"

    assert patiently(ask, should_stop=never) == "there"


def test_an_error_that_does_not_pass_is_not_waited_for():
    def ask() -> str:
        raise NotFoundError("gone")

    with pytest.raises(NotFoundError):
        patiently(ask, should_stop=never)


def test_waiting_ends_when_told_to_stop():
    stop = threading.Event()
    stop.set()
    with pytest.raises(Stopped):
        wait(60, should_stop=stop.is_set)


def test_a_shelf_keeps_what_was_used_last():
    made: list[str] = []

    def make(name: str) -> str:
        made.append(name)
        return name

    shelf: Shelf[str, str] = Shelf(2)
    for name in ("a", "b", "a", "c", "a", "b"):
        assert shelf.get(name, lambda name=name: make(name)) == name
    assert made == ["a", "b", "c", "b"]


def test_progress_is_told_at_once_and_at_the_end():
    told: list[Progress] = []
    tracker = Tracker(total=30, report=told.append, should_stop=never)
    for _ in range(3):
        tracker.advance(10, stage="scoring")
    assert [progress.done for progress in told] == [10, 30]
    assert told[-1].epoch is None
