"""What a worker that scores says of the modules it verified first, and how large its statistics may be."""

import pytest

from registry.errors import InvalidInputError
from registry.names import Digest, ModuleRef
from registry.rankings import Ranking, RankingQuestion
from registry.records import Job, JobStatus, VerificationState
from registry.statistics import largest_bytes
from registry.work import ModuleFailure, ModuleStatistics, ModuleVerdict, ScoreResult
from registry.zoo import Zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    hidden_module,
    linear_module,
    publish,
    publish_only,
    quadrant_module,
    score,
    verify_all,
    work_all,
)

WHY = "the same inputs give other outputs the second time"


def asked(zoo: Zoo) -> tuple[str, Job]:
    """A question, and the one job it waits for."""
    query = zoo.reusability.ask_ranking(RankingQuestion(task=add_dataset(zoo)), owner=OWNER)
    job = zoo.jobs.claim(["score"], worker="numpy")
    assert job is not None
    return query, job


def verdict(module: Digest, refused: str | None = None) -> tuple[ModuleVerdict, ...]:
    return (ModuleVerdict(module=module, refused=refused),)


def test_statistics_of_a_module_without_a_verdict_are_not_taken(zoo: Zoo) -> None:
    module = publish_only(zoo, "ada/seeing", quadrant_module())
    _, job = asked(zoo)
    made = score(zoo, job.work)
    for verdicts in ((), verdict(module.digest, WHY)):
        with pytest.raises(InvalidInputError, match="not verified"):
            zoo.jobs.finish(job.id, attempt=1, result=ScoreResult(statistics=made, verdicts=verdicts))
    assert zoo.jobs.get(job.id).status is JobStatus.RUNNING
    done = zoo.jobs.finish(job.id, attempt=1, result=ScoreResult(statistics=made, verdicts=verdict(module.digest)))
    assert done.status is JobStatus.DONE


def test_a_verdict_that_was_not_asked_for_is_not_taken(zoo: Zoo) -> None:
    module = publish(zoo, "ada/seeing", quadrant_module())
    _, job = asked(zoo)
    assert job.work.verify == ()
    made = ScoreResult(statistics=score(zoo, job.work), verdicts=verdict(module.digest, WHY))
    with pytest.raises(InvalidInputError, match="asks for none"):
        zoo.jobs.finish(job.id, attempt=1, result=made)
    assert zoo.modules.get(ModuleRef.parse("ada/seeing@1")).verification.verified


def test_a_module_that_does_not_pass_is_refused_in_the_step_that_ends_the_job(zoo: Zoo) -> None:
    bad = publish_only(zoo, "ada/bad", linear_module(1))
    query, job = asked(zoo)
    failed = (ModuleFailure(module=bad.digest, reason="refused"),)
    result = ScoreResult(statistics=(), failures=failed, verdicts=verdict(bad.digest, WHY))
    zoo.jobs.finish(job.id, attempt=1, result=result)
    assert zoo.modules.get(ModuleRef.parse("ada/bad@1")).verification.reason == WHY
    assert WHY in str(zoo.queries.state(query, owner=OWNER).error)


def test_a_module_whose_file_cannot_be_had_is_not_refused(zoo: Zoo) -> None:
    bad = publish_only(zoo, "ada/bad", linear_module(1))
    query, job = asked(zoo)
    failed = (ModuleFailure(module=bad.digest, reason="its file is damaged"),)
    zoo.jobs.finish(job.id, attempt=1, result=ScoreResult(statistics=(), failures=failed))
    assert zoo.modules.get(ModuleRef.parse("ada/bad@1")).verification.state is VerificationState.UNVERIFIED
    assert "its file is damaged" in str(zoo.queries.state(query, owner=OWNER).error)
    verify_all(zoo)
    publish(zoo, "ada/seeing", quadrant_module())
    zoo.reusability.ask_ranking(RankingQuestion(task=job.work.task.dataset), owner=OWNER)
    again = {chain for waiting in work_all(zoo) for chain in waiting.work.chains}
    assert (bad.digest,) in again


def test_what_stands_on_a_refused_module_is_not_scored(zoo: Zoo) -> None:
    below = publish_only(zoo, "ada/below", quadrant_module())
    hidden = publish_only(zoo, "ada/hidden", hidden_module(below.digest))
    query, job = asked(zoo)
    assert set(job.work.verify) == {below.digest, hidden.digest}
    failed = tuple(ModuleFailure(module=module.digest, reason="x") for module in (below, hidden))
    verdicts = (*verdict(below.digest, WHY), *verdict(hidden.digest))
    zoo.jobs.finish(job.id, attempt=1, result=ScoreResult(statistics=(), failures=failed, verdicts=verdicts))
    verify_all(zoo, refused={below.digest: WHY})
    publish(zoo, "ada/seeing", linear_module(1))
    assert str(zoo.queries.state(query, owner=OWNER).error).count("ada/below@1 was refused") == 2
    _, job = asked(zoo)
    made = ScoreResult(statistics=score(zoo, job.work))
    zoo.jobs.finish(job.id, attempt=1, result=made)
    again = zoo.reusability.ask_ranking(RankingQuestion(task=job.work.task.dataset), owner=OWNER)
    answer = zoo.queries.state(again, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    assert [row.module.ref for row in answer.ranking] == ["ada/seeing@1"]
    assert [each.module.ref for each in answer.not_scored] == ["ada/below@1", "ada/hidden@1"]


def test_statistics_that_are_too_large_are_not_read(zoo: Zoo, monkeypatch) -> None:
    module = publish(zoo, "ada/seeing", quadrant_module())
    _, job = asked(zoo)
    (made,) = score(zoo, job.work)
    limit = largest_bytes(job.work, features=4)
    assert zoo.blobs.info(made.blob).size_bytes <= limit
    huge = zoo.blobs.put(bytes(limit + 1))
    monkeypatch.setattr(type(zoo.blobs), "get", lambda *_: pytest.fail("it was read"))
    lie = ScoreResult(statistics=(ModuleStatistics(module=module.digest, blob=huge, milliseconds=1.0),))
    with pytest.raises(InvalidInputError, match=f"{limit + 1} bytes"):
        zoo.jobs.finish(job.id, attempt=1, result=lie)
