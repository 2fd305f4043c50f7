"""Versions are verified by workers: what that changes, for whom, and when."""

from pathlib import Path

import pytest

from registry.errors import ConflictError, InvalidInputError, NotScorableError, PipelineMisfitError
from registry.names import Digest, ModuleName, ModuleRef
from registry.rankings import QueryState, Ranking, RankingQuestion, ReusabilityQuestion
from registry.recipes import TaskSpec, TrainingRecipe
from registry.records import Job, JobStatus, ModuleSearch, QueryStatus, VerificationState
from registry.settings import Settings
from registry.work import ModuleVerdict, NewModule, TrainResult, VerifyResult, VerifyWork
from registry.zoo import Zoo
from storage.wiring import open_zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    output_module,
    publish,
    publish_only,
    quadrant_module,
    verify_all,
    work_all,
)

NAME = ModuleName("ada", "seeing")
UNVERIFIED, VERIFIED, REFUSED = VerificationState
WHY = "its outputs are not finite"


def state_of(zoo: Zoo, ref: str) -> VerificationState:
    return zoo.modules.get(ModuleRef.parse(ref)).verification.state


def refuse(zoo: Zoo, name: str, data: bytes) -> Digest:
    """Publish a module that a worker refuses."""
    digest = publish_only(zoo, name, data).digest
    verify_all(zoo, refused={digest: WHY})
    return digest


def rank(zoo: Zoo, data: Digest, **changes: object) -> str:
    return zoo.reusability.ask_ranking(RankingQuestion(task=data, **changes), owner=OWNER)


def told(zoo: Zoo, query: str) -> QueryState:
    return zoo.queries.state(query, owner=OWNER)


def answer(zoo: Zoo, query: str) -> Ranking:
    found = told(zoo, query).answer
    assert isinstance(found, Ranking)
    return found


def verify_jobs(zoo: Zoo) -> list[Job]:
    return list(zoo.jobs.list(kind="verify", status=JobStatus.QUEUED, limit=50, cursor=None).items)


def test_a_version_is_unverified_until_a_worker_has_run_it(zoo: Zoo) -> None:
    module = publish_only(zoo, "ada/seeing", quadrant_module())
    assert module.verification.state is UNVERIFIED
    assert [job.work for job in verify_jobs(zoo)] == [VerifyWork(module=module.digest)]
    assert len(verify_all(zoo)) == 1
    found = zoo.modules.get(ModuleRef.parse("ada/seeing@1")).verification
    assert (found.state, found.reason) == (VERIFIED, None)
    assert found.at is not None
    assert zoo.modules.overview(NAME).versions[0].verification == found
    assert verify_jobs(zoo) == []


def test_a_search_tells_and_narrows_by_the_state(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    publish_only(zoo, "ada/new", linear_module(1))
    found = {
        verified: [
            module.name
            for module in zoo.modules.search(
                ModuleSearch(verified=verified, sort="name"), limit=9, cursor=None, facets=True
            ).items
        ]
        for verified in (None, True, False)
    }
    assert found == {None: ["new", "seeing"], True: ["seeing"], False: ["new"]}


def test_the_same_bytes_under_another_name_are_verified_with_them(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    assert publish_only(zoo, "eve/copy", quadrant_module()).verification.state is VERIFIED
    assert verify_jobs(zoo) == []


def test_bytes_are_looked_at_once_though_they_are_published_twice(zoo: Zoo) -> None:
    for name in ("ada/seeing", "ada/seeing", "eve/copy"):
        publish_only(zoo, name, quadrant_module())
    assert len(verify_all(zoo)) == 1
    assert state_of(zoo, "eve/copy@1") is VERIFIED


def test_a_refused_version_says_why_and_is_in_no_pipeline(zoo: Zoo) -> None:
    below = publish(zoo, "ada/seeing", quadrant_module())
    refuse(zoo, "ada/output", output_module(below.digest))
    assert zoo.modules.get(ModuleRef.parse("ada/output@1")).verification.reason == WHY
    (fault,) = zoo.pipelines.check(["ada/seeing@1", "ada/output@1"])
    assert (fault.pointer, fault.code) == ("/modules/1", "refused")
    with pytest.raises(PipelineMisfitError, match=WHY):
        zoo.pipelines.compose("both", ["ada/seeing@1", "ada/output@1"])


def test_an_unverified_version_may_be_composed_and_runs_until_it_is_refused(zoo: Zoo) -> None:
    below = publish(zoo, "ada/seeing", quadrant_module())
    above = publish_only(zoo, "ada/output", output_module(below.digest))
    pipeline = zoo.pipelines.compose("both", ["ada/seeing@1", "ada/output@1"]).pipeline
    assert zoo.pipelines.prediction(pipeline.id, below.digest).modules == (below.digest, above.digest)
    verify_all(zoo, refused={above.digest: WHY})
    with pytest.raises(ConflictError, match=WHY) as caught:
        zoo.pipelines.prediction(pipeline.id, below.digest)
    assert [fault.pointer for fault in caught.value.faults] == ["/modules/1"]


def test_a_refused_version_is_not_run_but_named_below_the_ranking(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    bad = refuse(zoo, "ada/bad", linear_module(1))
    query = rank(zoo, add_dataset(zoo))
    (job,) = work_all(zoo)
    assert bad not in {digest for chain in job.work.chains for digest in chain}
    found = answer(zoo, query)
    assert [row.module.ref for row in found.ranking] == ["ada/seeing@1"]
    assert [each.module.digest for each in found.not_scored] == [bad]
    assert WHY in found.not_scored[0].reason


def test_one_score_of_a_refused_version_is_refused_with_its_reason(zoo: Zoo) -> None:
    refuse(zoo, "ada/bad", linear_module(1))
    data = add_dataset(zoo)
    with pytest.raises(NotScorableError, match=WHY):
        zoo.reusability.ask_reusability(ReusabilityQuestion(module="ada/bad", task=data), owner=OWNER)
    failed = told(zoo, rank(zoo, data))
    assert failed.status is QueryStatus.FAILED
    assert WHY in str(failed.error)


def test_whoever_publishes_and_asks_at_once_waits_for_one_job(zoo: Zoo) -> None:
    module = publish_only(zoo, "ada/seeing", quadrant_module())
    query = rank(zoo, add_dataset(zoo))
    (job,) = work_all(zoo)
    assert job.work.verify == (module.digest,)
    assert [row.module.digest for row in answer(zoo, query).ranking] == [module.digest]
    assert verify_jobs(zoo) == []
    assert state_of(zoo, "ada/seeing@1") is VERIFIED


def test_a_look_lifts_a_refusal_and_the_question_is_another(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    digest = refuse(zoo, "ada/bad", linear_module(1))
    data = add_dataset(zoo)
    first = rank(zoo, data)
    work_all(zoo)
    assert len(answer(zoo, first).not_scored) == 1
    assert publish_only(zoo, "ada/bad", linear_module(1)).version == 1
    assert state_of(zoo, "ada/bad@1") is REFUSED
    assert [job.work for job in verify_all(zoo)] == [VerifyWork(module=digest)]
    second = rank(zoo, data)
    assert second != first
    work_all(zoo)
    assert (len(answer(zoo, second).ranking), answer(zoo, second).not_scored) == (2, ())


def test_one_success_is_enough(zoo: Zoo) -> None:
    digest = publish_only(zoo, "ada/seeing", quadrant_module()).digest
    first = zoo.jobs.claim(["verify"], worker="first")
    rank(zoo, add_dataset(zoo))
    work_all(zoo)
    late = VerifyResult(verdict=ModuleVerdict(module=digest, refused=WHY))
    assert zoo.jobs.finish(first.id, attempt=1, result=late).status is JobStatus.DONE
    assert state_of(zoo, "ada/seeing@1") is VERIFIED


def test_kept_statistics_of_bytes_nobody_verified_wait_for_a_look(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    rank(zoo, data)
    work_all(zoo)
    zoo.modules.delete(NAME, 1)
    publish_only(zoo, "ada/seeing", quadrant_module())
    assert state_of(zoo, "ada/seeing@2") is UNVERIFIED
    query = rank(zoo, data)
    state = told(zoo, query)
    assert (state.status, state.partial, work_all(zoo)) == (QueryStatus.RUNNING, None, [])
    verify_all(zoo)
    assert answer(zoo, query).ranking[0].cached


def test_cancelling_a_question_leaves_the_looks_that_publishing_waits_for(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    rank(zoo, data)
    work_all(zoo)
    zoo.modules.delete(NAME, 1)
    publish_only(zoo, "ada/seeing", quadrant_module())
    zoo.queries.cancel(rank(zoo, data), owner=OWNER)
    assert len(verify_jobs(zoo)) == 1


def test_a_look_that_fails_leaves_the_version_unverified_and_unranked(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    rank(zoo, data)
    work_all(zoo)
    zoo.modules.delete(NAME, 1)
    publish_only(zoo, "ada/seeing", quadrant_module())
    query = rank(zoo, data)
    job = zoo.jobs.claim(["verify"], worker="unlucky")
    zoo.jobs.fail(job.id, attempt=1, error="the disk is on fire")
    failed = told(zoo, query)
    assert (failed.status, state_of(zoo, "ada/seeing@2")) == (QueryStatus.FAILED, UNVERIFIED)
    assert "the disk is on fire" in str(failed.error)


def test_a_module_that_kills_its_workers_is_refused(tmp_path: Path) -> None:
    zoo = open_zoo(Settings(home=tmp_path, lease_seconds=1e-6, job_attempts=2))
    publish_only(zoo, "ada/seeing", quadrant_module())
    for _ in range(2):
        assert zoo.jobs.claim(["verify"], worker="doomed") is not None
    assert zoo.jobs.claim(["verify"], worker="third") is None
    found = zoo.modules.get(ModuleRef.parse("ada/seeing@1")).verification
    assert (found.state, "died or went silent 2 times" in str(found.reason)) == (REFUSED, True)


def test_a_verdict_on_another_module_is_not_taken(zoo: Zoo) -> None:
    publish_only(zoo, "ada/seeing", quadrant_module())
    other = publish_only(zoo, "ada/other", linear_module(1)).digest
    job = zoo.jobs.claim(["verify"], worker="confused")
    with pytest.raises(InvalidInputError, match=other):
        zoo.jobs.finish(job.id, attempt=1, result=VerifyResult(verdict=ModuleVerdict(module=other)))
    assert state_of(zoo, "ada/other@1") is UNVERIFIED


def test_a_verdict_on_bytes_that_went_is_dropped(zoo: Zoo) -> None:
    digest = publish_only(zoo, "ada/seeing", quadrant_module()).digest
    zoo.modules.delete(NAME, 1)
    verify_all(zoo, refused={digest: WHY})
    assert publish_only(zoo, "ada/seeing", quadrant_module()).verification.state is UNVERIFIED


def test_trained_modules_are_verified_by_the_worker_that_trained_them(zoo: Zoo) -> None:
    recipe = TrainingRecipe(task=TaskSpec(dataset=add_dataset(zoo)), family="mlp")
    zoo.jobs.submit_training(NAME, recipe, owner=OWNER)
    job = zoo.jobs.claim(["train"], worker="trainer")
    below = zoo.blobs.put(quadrant_module())
    above = zoo.blobs.put(output_module(below))
    made = (
        NewModule(name="ada/seeing-input", digest=below, verified=True),
        NewModule(name="ada/seeing-output", digest=above),
    )
    zoo.jobs.finish(job.id, attempt=1, result=TrainResult(modules=made, pipeline="seeing"))
    assert state_of(zoo, "ada/seeing-input@1") is VERIFIED
    assert [job.work for job in verify_jobs(zoo)] == [VerifyWork(module=above)]
