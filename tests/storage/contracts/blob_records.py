"""What every database tells about bytes."""

import threading

import pytest

from registry.recipes import PairsSpec
from registry.records import JobStatus
from registry.work import PredictWork
from tests.builders import NOW, dataset, digest_of, kept_statistics, later, pipeline, published_module, train_work

PAIRS = digest_of("pairs")


def with_pairs():
    """Training work that needs a table of pairs."""
    work = train_work()
    known = PairsSpec(table=PAIRS)
    return work.model_copy(update={"recipe": work.recipe.model_copy(update={"pairs": known})})


def end(work, job):
    """Let a job end."""
    work.jobs.end(job.id, attempt=None, status=JobStatus.CANCELLED, result=None, error=None, at=NOW)


def checkpointed(work):
    """A running job with a checkpoint."""
    work.jobs.submit(train_work(), owner="ada", at=NOW)
    job = work.jobs.claim(["train"], worker="w", at=NOW, lease_expires_at=later(30))
    work.jobs.renew(
        job.id, attempt=1, progress=job.progress, lease_expires_at=later(60), checkpoint=digest_of("checkpoint")
    )
    return job


REFERRING = {
    "module": (digest_of("ada/digits@1"), lambda work: work.modules.add(published_module())),
    "pipeline": (digest_of("part"), lambda work: work.pipelines.add(pipeline(digests=(digest_of("part"),)))),
    "dataset": (digest_of("data"), lambda work: work.datasets.add(dataset(), owner="ada")),
    "statistics": (digest_of("blob"), lambda work: work.statistics.add(kept_statistics())),
    "checkpoint of an open job": (digest_of("checkpoint"), checkpointed),
    "pairs of an open job": (PAIRS, lambda work: work.jobs.submit(with_pairs(), owner="ada", at=NOW)),
    "images of an open prediction": (
        digest_of("images"),
        lambda work: work.jobs.submit(
            PredictWork(modules=(digest_of(1), digest_of(2)), images=digest_of("images")), owner="ada", at=NOW
        ),
    ),
}


class BlobRecordsContract:
    """Needs a fixture `begin`."""

    @pytest.mark.parametrize("what", REFERRING)
    def test_bytes_are_referred_to_by_a(self, begin, what):
        blob, add = REFERRING[what]
        with begin() as work:
            assert work.blobs.referred([blob]) == set()
            add(work)
        with begin() as work:
            assert work.blobs.referred([blob, digest_of("other")]) == {blob}
            assert blob in work.blobs.every_reference()

    def test_a_dataset_that_was_only_stated_refers_to_no_bytes(self, begin):
        with begin() as work:
            work.datasets.add(dataset().model_copy(update={"held": False}), owner="ada")
            assert work.blobs.referred([digest_of("data")]) == set() == work.blobs.every_reference()

    def test_a_job_that_has_ended_refers_to_no_bytes(self, begin):
        with begin() as work:
            end(work, checkpointed(work))
            end(work, work.jobs.submit(with_pairs(), owner="ada", at=NOW))
            assert work.blobs.referred([digest_of("checkpoint"), PAIRS]) == set() == work.blobs.every_reference()

    def test_much_is_told_at_once(self, begin):
        many = [digest_of(number) for number in range(1201)]
        with begin() as work:
            for number in (0, 600, 1200):
                work.statistics.add(kept_statistics(number, blob=number))
            assert work.blobs.referred(many) == {many[0], many[600], many[1200]} == work.blobs.every_reference()

    def test_a_mark_stays_as_old_as_it_was(self, begin):
        with begin() as work:
            work.blobs.mark([digest_of("a")], at=NOW)
            work.blobs.mark([digest_of("a"), digest_of("b")], at=later(10))
            assert work.blobs.marked_before(later(5), limit=9) == (digest_of("a"),)
            assert set(work.blobs.marked_before(later(11), limit=9)) == {digest_of("a"), digest_of("b")}

    def test_marks_are_told_a_few_at_a_time(self, begin):
        marks = sorted(digest_of(number) for number in range(5))
        with begin() as work:
            work.blobs.mark(marks, at=NOW)
            assert work.blobs.marked_before(later(1), limit=2) == tuple(marks[:2])
            assert work.blobs.marked_before(later(1), limit=9, after=marks[1]) == tuple(marks[2:])

    def test_a_mark_can_be_taken_back(self, begin):
        with begin() as work:
            work.blobs.mark([digest_of("a"), digest_of("b")], at=NOW)
            work.blobs.unmark([digest_of("a"), digest_of("c")])
            assert work.blobs.marked([digest_of("a"), digest_of("b")]) == {digest_of("b")}

    def test_a_turn_comes_when_it_is_due_and_not_before(self, begin):
        with begin() as work:
            assert work.blobs.take_turn("collect", at=NOW, next_at=later(60))
            assert not work.blobs.take_turn("collect", at=later(59), next_at=later(120))
            assert work.blobs.take_turn("another", at=later(59), next_at=later(120))
            assert work.blobs.take_turn("collect", at=later(60), next_at=later(120))

    def test_one_of_many_takes_a_turn(self, begin):
        taken = []

        def take():
            with begin() as work:
                taken.append(work.blobs.take_turn("collect", at=NOW, next_at=later(60)))

        threads = [threading.Thread(target=take) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(taken) == [False] * 5 + [True]
