"""Statistics are in the shards that the work asks for, of no more examples than it is on."""

from collections.abc import Iterator

import pytest

from registry.errors import InvalidInputError
from registry.rankings import RankingQuestion, SetQuestion
from registry.records import Job, JobStatus, QueryStatus
from registry.work import JointWork, ScoreResult, ScoreWork
from registry.zoo import Zoo
from tests.numpy_joint import join
from tests.numpy_worker import OWNER, add_dataset, linear_module, publish, quadrant_module, quadrant_zip, score
from tests.registry.test_queries import ask, claim, state
from tests.registry.test_rounds import filled, images


def made_of(zoo: Zoo, work: ScoreWork) -> ScoreResult:
    """What a worker brings that does other work than it was given."""
    return ScoreResult(statistics=score(zoo, work))


def asked(zoo: Zoo, data: bytes | None = None) -> tuple[Job, ScoreWork]:
    publish(zoo, "ada/seeing", quadrant_module())
    ask(zoo, RankingQuestion(task=add_dataset(zoo, data), examples=40))
    job = claim(zoo)
    assert isinstance(job.work, ScoreWork)
    return job, job.work


@pytest.mark.parametrize("shards", [2, 9, 11])
def test_statistics_in_other_shards_are_not_taken(zoo: Zoo, shards: int) -> None:
    job, work = asked(zoo)
    lie = made_of(zoo, work.model_copy(update={"shards": shards}))
    with pytest.raises(InvalidInputError, match=f"of 40 examples are in {shards} shards, but the work asks for 10;"):
        zoo.jobs.finish(job.id, attempt=1, result=lie)
    assert zoo.jobs.finish(job.id, attempt=1, result=made_of(zoo, work)).status is JobStatus.DONE


def test_statistics_of_more_examples_than_the_work_is_on_are_not_taken(zoo: Zoo) -> None:
    job, work = asked(zoo)
    lie = made_of(zoo, work.model_copy(update={"examples": 41}))
    with pytest.raises(InvalidInputError, match="of 41 examples, but the work asks for 4 to 40"):
        zoo.jobs.finish(job.id, attempt=1, result=lie)


def test_few_examples_are_in_shards_of_two(zoo: Zoo) -> None:
    job, work = asked(zoo, quadrant_zip(per_class=3))
    two = made_of(zoo, work.model_copy(update={"shards": 2}))
    with pytest.raises(InvalidInputError, match="of 12 examples are in 2 shards, but the work asks for 6;"):
        zoo.jobs.finish(job.id, attempt=1, result=two)
    assert zoo.jobs.finish(job.id, attempt=1, result=made_of(zoo, work)).status is JobStatus.DONE


def test_joint_statistics_in_other_shards_are_not_taken(zoo: Zoo) -> None:
    refs = tuple(publish(zoo, f"ada/m-{seed}", linear_module(seed)).ref for seed in (1, 2))
    zoo.sets.ask(SetQuestion(task=add_dataset(zoo), candidates=refs), owner=OWNER)
    job = zoo.jobs.claim(["joint"], worker="numpy")
    assert job is not None
    assert isinstance(job.work, JointWork)
    lie = join(zoo, job.work.model_copy(update={"shards": 4}))
    with pytest.raises(InvalidInputError, match="in 4 shards"):
        zoo.jobs.finish(job.id, attempt=1, result=lie)


def test_kept_statistics_whose_shards_do_not_add_up_end_the_question_with_a_sentence(tmp_path, monkeypatch) -> None:
    zoo = filled(tmp_path)
    query = zoo.reusability.ask_ranking(RankingQuestion(task=add_dataset(zoo, images()), top=1), owner=OWNER)
    monkeypatch.setattr("registry.statistics.check_shape", lambda *_, **__: None)
    for job in claimed(zoo):
        assert isinstance(job.work, ScoreWork)
        shards = 10 if job.work.start == 0 else 5
        zoo.jobs.finish(job.id, attempt=1, result=made_of(zoo, job.work.model_copy(update={"shards": shards})))
    told = state(zoo, query)
    assert told.status is QueryStatus.FAILED
    assert "evidence in 10 shards does not add to that in 5" in (told.error or "")


def claimed(zoo: Zoo) -> Iterator[Job]:
    """Score jobs until there are none."""
    while (job := zoo.jobs.claim(["score"], worker="numpy")) is not None:
        yield job
