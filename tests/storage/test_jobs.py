"""The queue of work in SQL."""

import threading
from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import text

from tests.builders import NOW, later
from tests.storage.contracts.jobs import JobRecordsContract, claim, submit
from tests.storage.kinds import ONLY_SQLITE


class TestSqlJobs(JobRecordsContract):
    pass


def test_no_two_workers_ever_hold_one_job(begin):
    ids = [submit(begin).id for _ in range(40)]
    start = threading.Barrier(8)

    def drain(worker):
        start.wait()
        held = []
        while (job := claim(begin, worker=worker)) is not None:
            held.append(job.id)
        return held

    with ThreadPoolExecutor(8) as pool:
        held = [job_id for ids_of_one in pool.map(drain, "abcdefgh") for job_id in ids_of_one]
    assert sorted(held) == ids


def test_asking_in_vain_takes_no_lock(begin):
    with begin() as holder:
        holder.jobs.submit(submit(begin).work, owner="ada", at=NOW)
        with begin() as work:
            assert work.jobs.claim(["predict"], worker="w", at=NOW, lease_expires_at=later(30)) is None


@ONLY_SQLITE
def test_a_claim_does_not_read_the_jobs_that_have_ended(engine, begin):
    submit(begin)
    plan = text(
        "EXPLAIN QUERY PLAN SELECT id FROM jobs WHERE (status = 'queued' OR status = 'running' AND "
        "lease_expires_at < '2026') AND kind IN ('train') ORDER BY id LIMIT 1"
    )
    with engine.connect() as connection:
        steps = " ".join(row.detail for row in connection.execute(plan))
    assert "ix_jobs_status_id" in steps
    assert "SCAN" not in steps
