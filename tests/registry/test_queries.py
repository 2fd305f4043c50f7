"""Queries: shared work, modules that fail, statistics that are lost, tiny and unbalanced data."""

from collections.abc import Sequence
from threading import Event

import numpy as np
import pytest

from registry.errors import ConflictError, LeaseLostError, NotFoundError
from registry.rankings import QueryState, Ranking, RankingQuestion
from registry.records import Job, JobStatus, Query, QueryStatus
from registry.work import ModuleFailure, ScoreResult, ScoreWork
from registry.zoo import Zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    publish,
    quadrant_module,
    quadrant_zip,
    score,
    work_all,
)


def ask(zoo: Zoo, question: RankingQuestion) -> str:
    return zoo.reusability.ask_ranking(question, owner=OWNER)


def state(zoo: Zoo, query: str) -> QueryState:
    return zoo.queries.state(query, owner=OWNER)


def claim(zoo: Zoo) -> Job:
    job = zoo.jobs.claim(["score"], worker="numpy")
    assert job is not None
    return job


def test_questions_that_need_the_same_statistics_share_the_job(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    queries = [ask(zoo, RankingQuestion(task=data, top=top)) for top in (1, 2, 3)]
    assert len(work_all(zoo)) == 1
    assert [state(zoo, query).status for query in queries] == [QueryStatus.DONE] * 3


def test_cancelling_one_question_leaves_the_work_that_another_waits_for(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    first, second = (ask(zoo, RankingQuestion(task=data, top=top)) for top in (1, 2))
    zoo.queries.cancel(first, owner=OWNER)
    assert len(work_all(zoo)) == 1
    assert state(zoo, second).status is QueryStatus.DONE
    zoo.queries.cancel(second, owner=OWNER)
    assert state(zoo, second).status is QueryStatus.DONE


def test_a_module_that_cannot_be_scored_is_named_and_the_others_are_ranked(zoo: Zoo) -> None:
    bad, good = publish(zoo, "ada/bad", linear_module(1)), publish(zoo, "ada/good", quadrant_module())
    query = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    while (job := zoo.jobs.claim(["score"], worker="numpy")) is not None:
        assert isinstance(job.work, ScoreWork)
        made = tuple(part for part in score(zoo, job.work) if part.module != bad.digest)
        failures = tuple(
            ModuleFailure(module=bad.digest, reason="its outputs are not finite")
            for chain in job.work.chains
            if chain[-1] == bad.digest
        )
        zoo.jobs.finish(job.id, attempt=job.attempt, result=ScoreResult(statistics=made, failures=failures))
    answer = state(zoo, query).answer
    assert isinstance(answer, Ranking)
    assert [row.module.digest for row in answer.ranking] == [good.digest]
    assert [(each.module.ref, each.reason) for each in answer.not_scored] == [
        ("ada/bad@1", "its outputs are not finite")
    ]


def test_a_job_that_failed_leaves_the_rest_of_the_ranking(zoo: Zoo) -> None:
    publish(zoo, "ada/bad", linear_module(1))
    good = publish(zoo, "ada/good", quadrant_module())
    query = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    jobs = [claim(zoo), claim(zoo)]
    for job in jobs:
        assert isinstance(job.work, ScoreWork)
        if job.work.chains[0][-1] == good.digest:
            zoo.jobs.finish(job.id, attempt=1, result=ScoreResult(statistics=score(zoo, job.work)))
        else:
            zoo.jobs.fail(job.id, attempt=1, error="the worker ran out of memory")
    answer = state(zoo, query).answer
    assert isinstance(answer, Ranking)
    assert [row.module.ref for row in answer.ranking] == ["ada/good@1"]
    assert [each.reason for each in answer.not_scored] == ["the worker ran out of memory"]


def test_lost_statistics_are_made_again(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    ask(zoo, RankingQuestion(task=data))
    (done,) = work_all(zoo)
    assert isinstance(done.result, ScoreResult)
    zoo.blobs.delete(done.result.statistics[0].blob)
    query = ask(zoo, RankingQuestion(task=data, rank_by="raw"))
    assert state(zoo, query).status is QueryStatus.RUNNING
    assert len(work_all(zoo)) == 1
    assert state(zoo, query).status is QueryStatus.DONE


def test_statistics_that_come_after_their_dataset_went_are_not_kept(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    ask(zoo, RankingQuestion(task=data))
    job = claim(zoo)
    assert isinstance(job.work, ScoreWork)
    late = ScoreResult(statistics=score(zoo, job.work))
    zoo.datasets.remove(data, owner=OWNER)
    assert zoo.jobs.get(job.id).status is JobStatus.CANCELLED
    with pytest.raises(LeaseLostError):
        zoo.jobs.finish(job.id, attempt=job.attempt, result=late)
    with pytest.raises(NotFoundError):
        zoo.blobs.info(late.statistics[0].blob)


def test_statistics_that_lost_the_race_with_a_deletion_leave_no_bytes(zoo: Zoo, monkeypatch) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    ask(zoo, RankingQuestion(task=data))
    job = claim(zoo)
    assert isinstance(job.work, ScoreWork)
    late = ScoreResult(statistics=score(zoo, job.work))
    held = zoo.jobs.get(job.id)
    zoo.datasets.remove(data, owner=OWNER)
    monkeypatch.setattr(type(zoo.jobs), "get", lambda self, job_id: held)
    with pytest.raises(ConflictError):
        zoo.jobs.finish(job.id, attempt=job.attempt, result=late)
    with pytest.raises(NotFoundError):
        zoo.blobs.info(late.statistics[0].blob)


def ranked(zoo: Zoo, data: bytes) -> Ranking:
    query = ask(zoo, RankingQuestion(task=add_dataset(zoo, data)))
    work_all(zoo)
    answer = state(zoo, query).answer
    assert isinstance(answer, Ranking), state(zoo, query).error
    return answer


def test_five_images_a_class_are_scored_within_the_range_of_a_score(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    (row,) = ranked(zoo, quadrant_zip(per_class=5, classes=("a", "b"))).ranking
    assert -1.0 <= row.interval[0] <= row.score <= row.interval[1] <= 1.0
    assert any("few examples" in warning for warning in row.warnings)


def test_so_few_images_that_shuffling_has_few_outcomes_never_beat_chance(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    answer = ranked(zoo, quadrant_zip(per_class=2, classes=("a", "b")))
    assert answer.decision == "none_better_than_chance"
    assert answer.ranking[0].p_value >= 1 / 6 - 1e-9
    assert any("too few examples to tell from chance" in warning for warning in answer.ranking[0].warnings)


def test_shuffled_labels_of_unbalanced_classes_are_rarely_called_useful(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    decisions = [ranked(zoo, shuffled_zip(seed)).decision for seed in range(20)]
    assert np.mean([decision != "none_better_than_chance" for decision in decisions]) <= 0.15


def shuffled_zip(seed: int) -> bytes:
    """Images of one kind, of which three, drawn at random, get another label."""
    return quadrant_zip(per_class=60, classes=("a",), strangers=3, seed=seed)


def test_an_answer_that_takes_long_is_judged_behind_the_scenes(zoo: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    monkeypatch.setattr("registry.queries.ANSWER_SECONDS", 0.05)
    settled, free = zoo.queries._settled, Event()

    def slowly(query: Query, jobs: Sequence[Job]) -> Query:
        free.wait(10)
        return settled(query, jobs)

    monkeypatch.setattr(zoo.queries, "_settled", slowly)
    query = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    work_all(zoo)
    told = state(zoo, query)
    assert (told.status, told.progress.stage, told.partial) == (QueryStatus.RUNNING, "judging", None)
    free.set()
    while zoo.queries.waiting(query, owner=OWNER):
        pass
    assert state(zoo, query).status is QueryStatus.DONE
