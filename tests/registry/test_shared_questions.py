"""A question that several people ask is one query: none of them ends it, or its jobs, for the others."""

import pytest

from registry.errors import ConflictError
from registry.names import Digest
from registry.rankings import RankingQuestion, SetQuestion
from registry.records import JobStatus, QueryStatus
from registry.zoo import Zoo
from tests.numpy_joint import join_all
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    publish,
    publish_only,
    quadrant_module,
    work_all,
)
from tests.registry.test_queries import claim, state

EVE = "eve"


@pytest.fixture
def data(zoo: Zoo) -> Digest:
    """A dataset that two people hold, for which there is one module."""
    publish(zoo, "ada/seeing", quadrant_module())
    digest = add_dataset(zoo)
    zoo.datasets.add(digest, owner=EVE)
    return digest


def ask(zoo: Zoo, data: Digest, *, owner: str, top: int | None = None) -> str:
    return zoo.reusability.ask_ranking(RankingQuestion(task=data, top=top), owner=owner)


def test_a_question_of_two_goes_on_until_both_have_cancelled_it(zoo: Zoo, data: Digest) -> None:
    query, same = (ask(zoo, data, owner=owner) for owner in (OWNER, EVE))
    assert query == same
    assert [zoo.queries.cancel(query, owner=OWNER).status for _ in range(2)] == [QueryStatus.CANCELLED] * 2
    assert state(zoo, query).status is QueryStatus.CANCELLED, "nobody is told that somebody else asks the same"
    assert zoo.queries.state(query, owner=EVE).progress.stage == "waiting for a worker"
    assert zoo.jobs.get(claim(zoo).id).status is JobStatus.RUNNING
    assert zoo.queries.cancel(query, owner=EVE).status is QueryStatus.CANCELLED
    with zoo.begin() as work:
        assert work.jobs.open() == ()


def test_who_asks_again_after_cancelling_waits_again(zoo: Zoo, data: Digest) -> None:
    query = ask(zoo, data, owner=OWNER)
    ask(zoo, data, owner=EVE)
    zoo.queries.cancel(query, owner=OWNER)
    ask(zoo, data, owner=OWNER)
    assert zoo.queries.cancel(query, owner=EVE).status is QueryStatus.CANCELLED
    assert len(work_all(zoo)) == 1
    assert state(zoo, query).status is QueryStatus.DONE


def test_who_waited_for_a_question_that_has_ended_does_not_wait_for_it_asked_again(zoo: Zoo, data: Digest) -> None:
    query = ask(zoo, data, owner=OWNER)
    ask(zoo, data, owner=EVE)
    zoo.queries.cancel(query, owner=None)
    ask(zoo, data, owner=EVE)
    assert zoo.queries.cancel(query, owner=EVE).status is QueryStatus.CANCELLED


def test_an_admin_stops_a_question_for_all(zoo: Zoo, data: Digest) -> None:
    query = ask(zoo, data, owner=OWNER)
    ask(zoo, data, owner=EVE)
    assert zoo.queries.cancel(query, owner=OWNER, for_all=True).status is QueryStatus.CANCELLED


def test_a_job_that_a_question_of_somebody_else_needs_is_not_stopped(zoo: Zoo, data: Digest) -> None:
    ask(zoo, data, owner=OWNER)
    other = ask(zoo, data, owner=EVE, top=1)
    job = claim(zoo)
    with pytest.raises(ConflictError, match=f"job {job.id} goes on, as a question of somebody else needs"):
        zoo.jobs.cancel(job.id, by=OWNER)
    zoo.queries.cancel(other, owner=EVE)
    assert zoo.jobs.cancel(job.id, by=OWNER).status is JobStatus.CANCELLED
    assert zoo.jobs.cancel(job.id, by=EVE).status is JobStatus.CANCELLED, "one that has ended stays as it is"


def test_an_admin_and_the_zoo_stop_any_job(zoo: Zoo, data: Digest) -> None:
    query = ask(zoo, data, owner=EVE)
    assert zoo.jobs.cancel(claim(zoo).id, by=OWNER, for_all=True).status is JobStatus.CANCELLED
    assert ask(zoo, data, owner=EVE) == query
    assert zoo.jobs.cancel(claim(zoo).id).status is JobStatus.CANCELLED


def test_a_question_about_sets_goes_on_for_the_others_too(zoo: Zoo, data: Digest) -> None:
    other = publish_only(zoo, "ada/other", linear_module(1)).ref
    question = SetQuestion(task=data, candidates=("ada/seeing@1", other))
    query, same = (zoo.sets.ask(question, owner=owner) for owner in (OWNER, EVE))
    assert query == same
    assert zoo.queries.cancel(query, owner=OWNER).status is QueryStatus.CANCELLED
    join_all(zoo)
    assert zoo.queries.state(query, owner=EVE).status is QueryStatus.DONE
