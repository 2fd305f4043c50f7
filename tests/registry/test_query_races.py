"""Queries that several look after at once: whoever looked longer ago undoes nothing of what happened since."""

import pytest

from registry.answers import StatisticsLostError
from registry.errors import NotFoundError
from registry.names import Digest
from registry.queries import cancel_job
from registry.rankings import RankingQuestion, SetQuestion
from registry.records import Job, QueryStatus
from registry.work import JointWork, ScoreResult, ScoreWork
from registry.zoo import Zoo
from tests.numpy_joint import half_module
from tests.numpy_worker import OWNER, add_dataset, publish, quadrant_module, work_all


def ask_twice_and_lose(zoo: Zoo) -> str:
    """A question whose statistics are kept, but their bytes are gone."""
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    (done,) = work_all(zoo)
    lose(zoo, done)
    return zoo.reusability.ask_ranking(RankingQuestion(task=data, rank_by="raw"), owner=OWNER)


def lose(zoo: Zoo, done: Job) -> None:
    assert isinstance(done.result, ScoreResult)
    zoo.blobs.delete(done.result.statistics[0].blob)


def end_the_job(zoo: Zoo, kind: type[ScoreWork | JointWork]) -> None:
    """Without a result, as whoever cancels it does: what waits for it is judged by whoever asks next."""
    with zoo.begin() as work:
        (job,) = (each for each in work.jobs.open() if isinstance(each.work, kind))
        cancel_job(work, job.id, clock=zoo.clock)


def remove_before(zoo: Zoo, data: Digest, step: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a dataset go at the moment when a step of the queries begins."""
    taken = getattr(zoo.queries, step)

    def after_a_removal(*args):
        zoo.datasets.remove(data, owner=OWNER)
        return taken(*args)

    monkeypatch.setattr(zoo.queries, step, after_a_removal)


def status(zoo: Zoo, query: str) -> QueryStatus:
    return zoo.queries.state(query, owner=OWNER).status


def test_a_question_cancelled_while_its_statistics_are_found_lost_stays_cancelled(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ask_twice_and_lose(zoo)
    begun_again = zoo.queries._begun_again

    def after_a_cancel(*args):
        zoo.queries.cancel(query, owner=OWNER)
        return begun_again(*args)

    monkeypatch.setattr(zoo.queries, "_begun_again", after_a_cancel)
    assert status(zoo, query) is QueryStatus.CANCELLED
    assert work_all(zoo) == []
    assert status(zoo, query) is QueryStatus.CANCELLED


def test_whoever_looked_before_statistics_were_made_again_answers_nothing_without_them(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    query = ask_twice_and_lose(zoo)
    settled = zoo.queries._settled

    def after_another(*args):
        monkeypatch.setattr(zoo.queries, "_settled", settled)
        settled(*args)  # another process finds them lost, and has them made again
        return settled(*args)

    monkeypatch.setattr(zoo.queries, "_settled", after_another)
    assert status(zoo, query) is QueryStatus.RUNNING
    assert len(work_all(zoo)) == 1
    assert status(zoo, query) is QueryStatus.DONE


def test_a_question_whose_dataset_goes_while_it_is_judged_is_gone_and_has_not_failed(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    end_the_job(zoo, ScoreWork)
    remove_before(zoo, data, "_settled", monkeypatch)
    with pytest.raises(NotFoundError, match="ask the question again"):
        status(zoo, query)


def ask_about_sets(zoo: Zoo) -> tuple[Digest, str]:
    """A dataset, and a question about two modules on it whose job has ended without a result."""
    publish(zoo, "ada/top", half_module("top"))
    publish(zoo, "ada/left", half_module("left"))
    data = add_dataset(zoo)
    query = zoo.sets.ask(SetQuestion(task=data, candidates=("ada/top@1", "ada/left@1")), owner=OWNER)
    end_the_job(zoo, JointWork)
    return data, query


def test_a_question_about_sets_whose_dataset_goes_before_it_is_judged_is_gone(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, query = ask_about_sets(zoo)
    remove_before(zoo, data, "_judged_sets", monkeypatch)
    with pytest.raises(NotFoundError, match="ask the question again"):
        status(zoo, query)


def test_a_question_about_sets_whose_dataset_goes_while_its_statistics_are_found_lost_is_gone(
    zoo: Zoo, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, query = ask_about_sets(zoo)

    def lost_meanwhile(*args):
        zoo.datasets.remove(data, owner=OWNER)
        raise StatisticsLostError(data)

    monkeypatch.setattr(zoo.queries._set_answers, "answer", lost_meanwhile)
    with pytest.raises(NotFoundError, match="ask the question again"):
        status(zoo, query)
