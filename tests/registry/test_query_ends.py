"""Queries end when the last job they wait for does, whether or not anybody asks."""

from datetime import timedelta

import pytest

from registry.errors import NotFoundError
from registry.rankings import MapQuestion, RankingQuestion, SetQuestion
from registry.recipes import TaskSpec
from registry.records import JobStatus, Query, QueryStatus
from registry.zoo import Zoo
from tests.numpy_joint import join_all
from tests.numpy_worker import OWNER, add_dataset, linear_module, publish, quadrant_module, work_all
from tests.registry.test_at_home import claim_here, stated, work_here
from tests.registry.test_queries import ask, claim, state


def written(zoo: Zoo, query: str) -> Query:
    """A query as it is written down; nobody asks for its answer."""
    with zoo.begin() as work:
        found = work.queries.get(query)
    assert found is not None
    return found


def running(zoo: Zoo) -> int:
    with zoo.begin() as work:
        return work.queries.running_count()


def test_a_ranking_and_a_map_are_answered_when_their_last_job_ends(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    merged = zoo.tasks.create(TaskSpec(dataset=data, classes={"x": ("a", "b"), "y": ("c", "d")}), owner=OWNER).task.id
    ranking = ask(zoo, RankingQuestion(task=data))
    drawn = zoo.reusability.ask_map(MapQuestion(tasks=(data, merged), sources=("ada/seeing@1",)), owner=OWNER)
    assert running(zoo) == 2
    work_all(zoo)
    assert [written(zoo, query).status for query in (ranking, drawn)] == [QueryStatus.DONE] * 2
    assert running(zoo) == 0


def test_a_question_about_sets_is_answered_when_its_job_ends(zoo: Zoo) -> None:
    for seed, name in enumerate(("one", "two")):
        publish(zoo, f"ada/{name}", linear_module(seed))
    query = zoo.sets.ask(SetQuestion(task=add_dataset(zoo), candidates=("ada/one@1", "ada/two@1")), owner=OWNER)
    join_all(zoo)
    assert written(zoo, query).answer is not None


def test_a_question_ends_when_its_jobs_fail_or_are_cancelled(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    failed = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    zoo.jobs.fail(claim(zoo).id, attempt=1, error="the disk is on fire")
    assert (written(zoo, failed).status, written(zoo, failed).error) == (QueryStatus.FAILED, "the disk is on fire")
    cancelled = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    zoo.jobs.cancel(claim(zoo).id)
    assert written(zoo, cancelled).status is QueryStatus.FAILED


@pytest.mark.parametrize("error", [NotFoundError("gone"), RuntimeError("a mistake")])
def test_one_question_that_cannot_go_on_keeps_no_other_from_its_answer(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    first, second = (ask(zoo, RankingQuestion(task=data, top=top)) for top in (1, 2))
    settled = zoo.queries._settled

    def not_the_first(query, jobs):
        if query.id == first:
            raise error
        return settled(query, jobs)

    monkeypatch.setattr(zoo.queries, "_settled", not_the_first)
    work_all(zoo)
    assert [written(zoo, query).status for query in (first, second)] == [QueryStatus.RUNNING, QueryStatus.DONE]


def test_what_a_process_that_stopped_did_not_judge_is_judged_when_the_service_looks_after_it(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    query = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    zoo.queries.look_after()
    assert written(zoo, query).status is QueryStatus.RUNNING
    monkeypatch.setattr(type(zoo.queries), "job_ended", lambda self, job: None)
    work_all(zoo)
    zoo.queries.look_after()
    assert written(zoo, query).status is QueryStatus.DONE


def days_later(zoo: Zoo, monkeypatch: pytest.MonkeyPatch, days: float) -> None:
    """Have the queries look at a clock that is ahead."""
    clock = zoo.clock
    monkeypatch.setattr(zoo.queries, "_clock", lambda: clock() + timedelta(days=days))


def test_jobs_at_home_that_nobody_does_for_a_day_are_given_up(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    query = ask(zoo, RankingQuestion(task=stated(zoo)))
    days_later(zoo, monkeypatch, 0.9)
    zoo.queries.look_after()
    assert state(zoo, query).status is QueryStatus.RUNNING
    days_later(zoo, monkeypatch, 1.1)
    zoo.queries.look_after()
    assert written(zoo, query).status is QueryStatus.FAILED
    assert "for a day; ask again" in (written(zoo, query).error or "")
    assert running(zoo) == 0


def test_jobs_at_home_that_are_held_or_that_somebody_asked_for_since_are_not_given_up(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = stated(zoo)
    old = ask(zoo, RankingQuestion(task=data))
    days_later(zoo, monkeypatch, 1.1)
    new = ask(zoo, RankingQuestion(task=data, top=1))
    zoo.queries.look_after()
    assert [written(zoo, query).status for query in (old, new)] == [QueryStatus.RUNNING] * 2
    assert claim_here(zoo, old) is not None
    assert work_here(zoo, old) == 0
    with zoo.begin() as work:
        assert [job.status for job in work.jobs.open()] == [JobStatus.RUNNING]
