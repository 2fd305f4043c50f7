"""What failed for now only is tried anew when somebody asks the same again; what a worker found stays."""

from collections.abc import Callable

import pytest

from registry.rankings import ModuleSets, Ranking, RankingQuestion, SetQuestion
from registry.records import Job, PublishedModule, QueryStatus
from registry.work import ModuleFailure, ScoreResult, ScoreWork
from registry.zoo import Zoo
from tests.numpy_joint import join_all
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    publish,
    publish_only,
    quadrant_module,
    verify_all,
    work_all,
)
from tests.registry.test_queries import ask, claim, state

End = Callable[[Zoo, Job], object]


def fail(zoo: Zoo, job: Job) -> None:
    zoo.jobs.fail(job.id, attempt=job.attempt, error="the worker ran out of memory")


def cancel(zoo: Zoo, job: Job) -> None:
    zoo.jobs.cancel(job.id)


def not_finite(zoo: Zoo, job: Job) -> None:
    assert isinstance(job.work, ScoreWork)
    failure = ModuleFailure(module=job.work.chains[0][-1], reason="its outputs are not finite")
    zoo.jobs.finish(job.id, attempt=job.attempt, result=ScoreResult(statistics=(), failures=(failure,)))


def ranked_without(zoo: Zoo, module: PublishedModule, end: End, question: RankingQuestion) -> str:
    """Ask, have the job of one module end so, do the others, and give the query, which is answered."""
    query = ask(zoo, question)
    for job in [claim(zoo), claim(zoo)]:
        assert isinstance(job.work, ScoreWork)
        if job.work.chains[0][-1] == module.digest:
            end(zoo, job)
        else:
            zoo.jobs.release(job.id, attempt=job.attempt)
    work_all(zoo)
    assert ranked(zoo, query) == (["ada/good@1"], ["ada/bad@1"])
    return query


def ranked(zoo: Zoo, query: str) -> tuple[list[str], list[str]]:
    """Which modules were ranked, and which were not."""
    told = state(zoo, query)
    assert isinstance(told.answer, Ranking), told
    assert (told.error, told.error_code) == (None, None)
    return [row.module.ref for row in told.answer.ranking], [each.module.ref for each in told.answer.not_scored]


@pytest.mark.parametrize("end", [fail, cancel])
def test_a_job_that_ended_without_a_word_about_its_module_is_done_when_the_question_is_asked_again(
    zoo: Zoo, end: End
) -> None:
    bad = publish(zoo, "ada/bad", linear_module(1))
    publish(zoo, "ada/good", quadrant_module())
    question = RankingQuestion(task=add_dataset(zoo))
    query = ranked_without(zoo, bad, end, question)
    assert ask(zoo, question) == query
    assert state(zoo, query).status is QueryStatus.RUNNING
    assert len(work_all(zoo)) == 1
    assert ranked(zoo, query) == (["ada/good@1", "ada/bad@1"], [])
    ask(zoo, question)
    assert state(zoo, query).status is QueryStatus.DONE


def test_what_a_worker_found_of_a_module_is_not_tried_again(zoo: Zoo) -> None:
    bad = publish(zoo, "ada/bad", linear_module(1))
    publish(zoo, "ada/good", quadrant_module())
    question = RankingQuestion(task=add_dataset(zoo))
    query = ranked_without(zoo, bad, not_finite, question)
    ask(zoo, question)
    assert state(zoo, query).status is QueryStatus.DONE


def test_a_module_that_was_refused_is_not_tried_again(zoo: Zoo) -> None:
    publish(zoo, "ada/good", quadrant_module())
    bad = publish_only(zoo, "ada/bad", linear_module(1))
    question = RankingQuestion(task=add_dataset(zoo), candidates=("ada/good@1", "ada/bad@1"))
    query = ask(zoo, question)
    for job in [claim(zoo), claim(zoo)]:
        assert isinstance(job.work, ScoreWork)
        if job.work.chains[0][-1] == bad.digest:
            fail(zoo, job)
            verify_all(zoo, refused={bad.digest: "it gives nothing"})
        else:
            zoo.jobs.release(job.id, attempt=job.attempt)
    work_all(zoo)
    assert ranked(zoo, query) == (["ada/good@1"], ["ada/bad@1"])
    with zoo.begin() as work:
        found = work.queries.get(query)
    assert found is not None
    assert found.holds


def test_a_module_that_nobody_could_look_at_is_tried_again_in_a_question_about_sets(zoo: Zoo) -> None:
    refs = tuple(publish(zoo, f"ada/seeing-{seed}", linear_module(seed)).ref for seed in (1, 2))
    gone = publish_only(zoo, "ada/gone", quadrant_module())
    question = SetQuestion(task=add_dataset(zoo), candidates=(*refs, gone.ref))
    query = zoo.sets.ask(question, owner=OWNER)
    join_all(zoo, broken={gone.digest: "its file could not be had"})
    join_all(zoo)
    assert left_out(zoo, query) == [gone.ref]
    assert zoo.sets.ask(question, owner=OWNER) == query
    join_all(zoo)
    assert left_out(zoo, query) == []
    zoo.sets.ask(question, owner=OWNER)
    assert state(zoo, query).status is QueryStatus.DONE


def left_out(zoo: Zoo, query: str) -> list[str]:
    answer = state(zoo, query).answer
    assert isinstance(answer, ModuleSets)
    return [each.module.ref for each in answer.not_scored]
