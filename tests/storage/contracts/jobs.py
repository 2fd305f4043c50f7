"""What every queue of work does."""

import pytest

from registry.errors import InvalidInputError
from registry.origins import NOWHERE, Origin, originating
from registry.records import JobStatus, Progress
from registry.work import ModuleVerdict, NewModule, PredictResult, ScoreWork, TrainResult, VerifyResult, VerifyWork
from tests.builders import NOW, digest_of, later, train_work

TRAIN = ["train"]
RESULT = TrainResult(modules=(NewModule(name="ada/digits", digest=digest_of("module")),))


class JobRecordsContract:
    """Needs a fixture `begin`."""

    def test_submitted_work_comes_back_as_it_was(self, begin):
        job = submit(begin)
        with begin() as work:
            assert work.jobs.get(job.id) == job
        assert (job.status, job.attempt, job.created_at) == (JobStatus.QUEUED, 0, NOW)

    def test_much_work_is_queued_at_once_in_its_order(self, begin):
        every = [*(VerifyWork(module=digest_of(number)) for number in range(1200)), score_work(), score_work()]
        with begin() as work:
            jobs = work.jobs.submit_all(every, owner="ada", at=NOW)
            assert work.jobs.submit_all([], owner="ada", at=NOW) == ()
        assert [job.work for job in jobs] == every
        with begin() as work:
            assert work.jobs.get(jobs[700].id) == jobs[700]
            assert work.jobs.open() == tuple(sorted(jobs, key=lambda job: job.id))
            assert len({job.id for job in jobs}) == len(every)

    def test_jobs_are_found_together_and_whether_one_is_open(self, begin):
        one, two, other = submit(begin), submit(begin), submit(begin)
        with begin() as work:
            assert work.jobs.those([two.id, one.id, 99]) == (one, two)
            assert work.jobs.those([]) == ()
            assert work.jobs.any_open([one.id, two.id])
            assert not work.jobs.any_open([])
        for job in (one, two):
            claim(begin)
            end(begin, job, attempt=1)
        with begin() as work:
            assert not work.jobs.any_open([one.id, two.id, 99])
            assert work.jobs.any_open([*range(100, 1200), other.id])

    def test_a_job_remembers_which_request_asked_for_it(self, begin):
        origin = Origin(request_id="one", traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
        with originating(origin):
            asked = submit(begin)
            with begin() as work:
                (other,) = work.jobs.submit_all([score_work()], owner="ada", at=NOW)
        assert (asked.origin, other.origin, submit(begin).origin) == (origin, origin, NOWHERE)
        with begin() as work:
            assert [work.jobs.get(job.id).origin for job in (asked, other)] == [origin, origin]
            assert work.jobs.find_open(other.work) == other

    def test_open_jobs_are_counted_by_kind_and_status(self, begin):
        with begin() as work:
            assert (work.jobs.counts(), work.jobs.oldest_queued()) == ((), None)
        for _ in range(3):
            submit(begin)
        end(begin, claim(begin), attempt=1)
        claim(begin)
        with begin() as work:
            work.jobs.submit(score_work(), owner="ada", at=later(5))
            assert set(work.jobs.counts()) == {
                ("train", JobStatus.RUNNING, 1),
                ("train", JobStatus.QUEUED, 1),
                ("score", JobStatus.QUEUED, 1),
            }
            assert work.jobs.oldest_queued() == NOW

    def test_a_job_that_was_never_submitted_is_not_there(self, begin):
        with begin() as work:
            assert work.jobs.get(7) is None

    def test_an_empty_queue_gives_nothing(self, begin):
        assert claim(begin) is None

    def test_the_oldest_job_is_claimed_first(self, begin):
        first, second = submit(begin), submit(begin)
        assert [claim(begin).id, claim(begin).id] == [first.id, second.id]
        assert claim(begin) is None

    def test_a_look_at_a_module_is_given_when_nothing_else_is_free(self, begin):
        looks = [submit(begin, work=VerifyWork(module=digest_of(number))) for number in (1, 2)]
        score = submit(begin, work=score_work())
        given = [claim(begin, kinds=["verify", "score"]).id for _ in range(3)]
        assert given == [score.id, looks[0].id, looks[1].id]

    def test_a_claim_says_who_holds_the_job_and_how_long(self, begin):
        submit(begin)
        job = claim(begin, worker="worker-7", at=NOW)
        assert (job.status, job.attempt, job.worker) == (JobStatus.RUNNING, 1, "worker-7")
        assert job.lease_expires_at == later(30)

    def test_a_worker_gets_only_the_kinds_it_asks_for(self, begin):
        submit(begin)
        score = submit(begin, work=score_work())
        assert claim(begin, kinds=["predict"]) is None
        assert claim(begin, kinds=["predict", "score"]).id == score.id
        assert claim(begin, kinds=["predict", "score"]) is None
        assert claim(begin, kinds=[]) is None

    def test_a_worker_gets_only_the_jobs_that_it_may_have(self, begin):
        jobs = [submit(begin) for _ in range(3)]
        assert claim(begin, among=[]) is None
        assert claim(begin, among=[jobs[2].id, 10**9]).id == jobs[2].id
        assert claim(begin, among=range(jobs[1].id, jobs[1].id + 2000)).id == jobs[1].id
        assert claim(begin, among=[jobs[1].id, jobs[2].id]) is None
        assert claim(begin).id == jobs[0].id

    def test_a_job_is_free_again_once_its_lease_ran_out(self, begin):
        job = submit(begin)
        assert claim(begin, at=NOW).attempt == 1
        assert claim(begin, at=later(29)) is None
        assert claim(begin, at=later(30)) is None
        again = claim(begin, at=later(30.001), worker="other")
        assert (again.id, again.attempt, again.worker) == (job.id, 2, "other")

    def test_a_renewed_lease_holds_and_shows_progress(self, begin):
        job = submit(begin)
        claim(begin, at=NOW)
        assert renew(begin, job, attempt=1, until=60)
        assert claim(begin, at=later(45)) is None
        with begin() as work:
            assert work.jobs.get(job.id).progress == Progress(stage="training", done=3, total=10)
            assert work.jobs.get(job.id).lease_expires_at == later(60)

    def test_a_worker_that_lost_its_lease_cannot_renew_or_end(self, begin):
        job = submit(begin)
        claim(begin, at=NOW)
        claim(begin, at=later(31))
        assert not renew(begin, job, attempt=1, until=90)
        assert not end(begin, job, attempt=1)
        assert end(begin, job, attempt=2)

    def test_a_job_ends_once(self, begin):
        job = submit(begin)
        claim(begin, at=NOW)
        assert end(begin, job, attempt=1)
        assert not end(begin, job, attempt=1)
        assert not end(begin, job, attempt=None)
        assert not renew(begin, job, attempt=1, until=90)
        assert claim(begin, at=later(10_000)) is None

    def test_an_ended_job_keeps_its_result(self, begin):
        job = submit(begin)
        claim(begin, at=NOW)
        end(begin, job, attempt=1)
        with begin() as work:
            ended = work.jobs.get(job.id)
        assert (ended.status, ended.result, ended.error) == (JobStatus.DONE, RESULT, None)
        assert (ended.finished_at, ended.lease_expires_at) == (later(50), None)

    def test_a_failed_job_says_why(self, begin):
        job = submit(begin)
        with begin() as work:
            assert work.jobs.end(
                job.id, attempt=None, status=JobStatus.FAILED, result=None, error="out of memory", at=NOW
            )
        with begin() as work:
            assert work.jobs.get(job.id).error == "out of memory"

    def test_what_is_open_is_told_oldest_first(self, begin):
        jobs = [submit(begin) for _ in range(4)]
        claim(begin)
        end(begin, jobs[1], attempt=None)
        with begin() as work:
            found = work.jobs.open()
            assert found == tuple(work.jobs.get(jobs[index].id) for index in (0, 2, 3))
        assert [job.status for job in found] == [JobStatus.RUNNING, JobStatus.QUEUED, JobStatus.QUEUED]

    def test_open_work_is_found_again_and_the_oldest_of_it(self, begin):
        first, _, other = submit(begin), submit(begin), submit(begin, work=score_work())
        with begin() as work:
            assert work.jobs.find_open(first.work) == first
            assert work.jobs.find_open(other.work) == other
            assert work.jobs.find_open(train_work("ada/other")) is None

    def test_work_that_has_ended_is_not_open(self, begin):
        job = submit(begin)
        claim(begin)
        with begin() as work:
            assert work.jobs.find_open(job.work).status is JobStatus.RUNNING
        end(begin, job, attempt=1)
        with begin() as work:
            assert work.jobs.find_open(job.work) is None

    def test_an_empty_queue_has_nothing_open(self, begin):
        with begin() as work:
            assert work.jobs.open() == ()

    def test_a_released_job_is_as_it_was_but_counts_the_attempt_and_the_release(self, begin):
        job = submit(begin)
        claim(begin)
        renew(begin, job, attempt=1, until=60)
        assert release(begin, job, attempt=1)
        with begin() as work:
            assert work.jobs.get(job.id) == job.model_copy(update={"attempt": 1, "releases": 1})

    def test_a_checkpoint_stays_through_renewals_releases_claims_and_the_end_until_another_comes(self, begin):
        job = submit(begin)
        claim(begin)
        assert seen(begin, job).checkpoint is None
        assert renew(begin, job, attempt=1, until=60, checkpoint=digest_of("first"))
        renew(begin, job, attempt=1, until=61)
        assert not renew(begin, job, attempt=7, until=61, checkpoint=digest_of("fenced off"))
        release(begin, job, attempt=1)
        assert claim(begin).checkpoint == digest_of("first")
        renew(begin, job, attempt=2, until=62, checkpoint=digest_of("second"))
        end(begin, job, attempt=2)
        assert seen(begin, job).checkpoint == digest_of("second")

    def test_a_released_job_is_claimed_at_once_and_its_former_worker_is_fenced_off(self, begin):
        job = submit(begin)
        claim(begin)
        release(begin, job, attempt=1)
        assert not renew(begin, job, attempt=1, until=60)
        again = claim(begin, worker="other")
        assert (again.id, again.attempt, again.releases, again.worker) == (job.id, 2, 1, "other")
        assert not end(begin, job, attempt=1)
        assert end(begin, job, attempt=2)

    def test_every_release_counts(self, begin):
        job = submit(begin)
        for attempt in (1, 2, 3):
            claim(begin)
            assert release(begin, job, attempt=attempt)
        with begin() as work:
            assert (work.jobs.get(job.id).attempt, work.jobs.get(job.id).releases) == (3, 3)

    def test_only_the_attempt_that_holds_a_job_releases_it(self, begin):
        job = submit(begin)
        assert not release(begin, job, attempt=0)
        claim(begin, at=NOW)
        claim(begin, at=later(31))
        assert not release(begin, job, attempt=1)
        assert end(begin, job, attempt=2)
        assert not release(begin, job, attempt=2)
        assert not release(begin, job.model_copy(update={"id": job.id + 1}), attempt=1)

    def test_a_lost_attempt_takes_its_progress_with_it(self, begin):
        job = submit(begin)
        claim(begin, at=NOW)
        renew(begin, job, attempt=1, until=60)
        assert claim(begin, at=later(61)).progress == Progress()

    @pytest.mark.parametrize("claimed", [False, True])
    def test_anyone_may_end_a_job_that_is_open(self, begin, claimed):
        job = submit(begin)
        if claimed:
            claim(begin)
        assert end(begin, job, attempt=None)

    def test_a_queued_job_is_held_by_no_attempt(self, begin):
        job = submit(begin)
        assert not end(begin, job, attempt=0)
        assert not renew(begin, job, attempt=0, until=60)

    def test_a_prediction_comes_back_as_it_was(self, begin):
        job = submit(begin)
        result = PredictResult(predictions=(), milliseconds=1.5)
        with begin() as work:
            work.jobs.end(job.id, attempt=None, status=JobStatus.DONE, result=result, error=None, at=NOW)
        with begin() as work:
            assert work.jobs.get(job.id).result == result

    def test_jobs_are_listed_newest_first_a_page_at_a_time(self, begin):
        ids = [submit(begin).id for _ in range(5)]
        with begin() as work:
            first = work.jobs.list(kind=None, status=None, limit=3, cursor=None)
            second = work.jobs.list(kind=None, status=None, limit=3, cursor=first.next_cursor)
        assert [job.id for job in first.items + second.items] == ids[::-1]
        assert second.next_cursor is None

    def test_a_list_leaves_results_out(self, begin):
        with begin() as work:
            made = work.jobs.submit(VerifyWork(module=digest_of("m")), owner="ada", at=NOW)
            result = VerifyResult(verdict=ModuleVerdict(module=digest_of("m")))
            assert work.jobs.end(made.id, attempt=None, status=JobStatus.DONE, result=result, error=None, at=NOW)
        with begin() as work:
            (listed,) = work.jobs.list(kind=None, status=None, limit=3, cursor=None).items
            assert work.jobs.get(made.id) == listed.model_copy(update={"result": result})
            assert listed.result is None

    def test_a_list_narrows_by_kind_and_status(self, begin):
        train, score = submit(begin), submit(begin, work=score_work())
        claim(begin)
        with begin() as work:
            scores = work.jobs.list(kind="score", status=None, limit=9, cursor=None)
            running = work.jobs.list(kind=None, status=JobStatus.RUNNING, limit=9, cursor=None)
        assert [job.id for job in scores.items] == [score.id]
        assert [job.id for job in running.items] == [train.id]

    @pytest.mark.parametrize("cursor", ["WyJqb2JzIiwieCJd", "WyJqb2JzIiwxZTk5OV0", "x"])
    def test_a_bad_cursor_is_refused(self, begin, cursor):
        with begin() as work, pytest.raises(InvalidInputError, match="does not belong"):
            work.jobs.list(kind=None, status=None, limit=9, cursor=cursor)


def score_work() -> ScoreWork:
    """Work that scores one chain."""
    return ScoreWork(task=train_work().recipe.task, chains=((digest_of("input"),),), examples=100)


def submit(begin, *, work=None):
    """Queue work."""
    with begin() as unit:
        return unit.jobs.submit(work or train_work(), owner="ada", at=NOW)


def claim(begin, *, kinds=TRAIN, worker="worker", at=NOW, among=None):
    """Claim the oldest free job for half a minute."""
    with begin() as work:
        lease = later((at - NOW).total_seconds() + 30)
        return work.jobs.claim(kinds, worker=worker, at=at, lease_expires_at=lease, among=among)


def seen(begin, job):
    """A job as it is now."""
    with begin() as work:
        return work.jobs.get(job.id)


def renew(begin, job, *, attempt, until, checkpoint=None):
    """Renew a lease."""
    progress = Progress(stage="training", done=3, total=10)
    with begin() as work:
        return work.jobs.renew(
            job.id, attempt=attempt, progress=progress, lease_expires_at=later(until), checkpoint=checkpoint
        )


def release(begin, job, *, attempt):
    """Give a job back."""
    with begin() as work:
        return work.jobs.release(job.id, attempt=attempt)


def end(begin, job, *, attempt):
    """End a job well."""
    with begin() as work:
        return work.jobs.end(job.id, attempt=attempt, status=JobStatus.DONE, result=RESULT, error=None, at=later(50))
