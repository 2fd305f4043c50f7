"""Rankings in rounds: who goes on, what is run, what is told; on a real zoo with a worker that needs no torch."""

import threading
from collections import Counter
from pathlib import Path

import pytest

from registry import judging
from registry.names import Digest
from registry.rankings import QueryState, Ranking, RankingQuestion
from registry.records import Job, JobStatus, ModuleSearch, QueryStatus
from registry.settings import Settings
from registry.work import ModuleFailure, ScoreResult, ScoreWork
from registry.zoo import Zoo
from storage.wiring import open_zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    publish,
    quadrant_module,
    quadrant_zip,
    score,
    verdicts_of,
    work_all,
)

MODULES = 9
ROUNDS = [(0, 50, 9), (50, 200, 5), (200, 400, 1)]
"""Who asks for the best of nine modules has half of them go on, then the one that the others cannot reach."""


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    return filled(tmp_path)


def filled(home: Path, *, modules: int = MODULES, **settings: int) -> Zoo:
    """A zoo whose rankings go in rounds: one module that sees the classes, the others random."""
    zoo = open_zoo(Settings(home=home, examples=400, **{"halving_from": 3, **settings}))
    publish(zoo, "ada/seeing", quadrant_module())
    for number in range(modules - 1):
        publish(zoo, f"ada/random-{number}", linear_module(number))
    return zoo


def images(per_class: int = 100) -> bytes:
    return quadrant_zip(per_class=per_class)


def ask(zoo: Zoo, *, top: int | None = 1, data: bytes | None = None) -> str:
    """Ask, and look once for the answer, as the service's door does."""
    dataset = add_dataset(zoo, data or images())
    query = zoo.reusability.ask_ranking(RankingQuestion(task=dataset, top=top), owner=OWNER)
    zoo.queries.waiting(query, owner=OWNER)
    return query


def state(zoo: Zoo, query: str) -> QueryState:
    return zoo.queries.state(query, owner=OWNER)


def answered(zoo: Zoo, query: str) -> Ranking:
    found = state(zoo, query)
    assert isinstance(found.answer, Ranking), found
    return found.answer


def passes(jobs: list[Job]) -> Counter[tuple[Digest, int, int]]:
    """How often each module ran over each slice."""
    works = [job.work for job in jobs if isinstance(job.work, ScoreWork)]
    return Counter((chain[-1], work.start, work.examples) for work in works for chain in work.chains)


def forwards(jobs: list[Job]) -> int:
    return sum(count * (end - start) for (_, start, end), count in passes(jobs).items())


def one_round(zoo: Zoo) -> list[Job]:
    """Do the jobs that are there, and not those that come when they end."""
    open_now = zoo.jobs.list(kind="score", status=JobStatus.QUEUED, limit=200, cursor=None).items
    return [done for _ in open_now if (done := work_one(zoo)) is not None]


def work_one(zoo: Zoo) -> Job | None:
    job = zoo.jobs.claim(["score"], worker="numpy")
    if job is None:
        return None
    assert isinstance(job.work, ScoreWork)
    result = ScoreResult(statistics=score(zoo, job.work), verdicts=verdicts_of(job.work))
    return zoo.jobs.finish(job.id, attempt=job.attempt, result=result)


def test_rounds_follow_each_other_without_anybody_asking_and_no_image_is_run_twice(zoo):
    query = ask(zoo)
    jobs = work_all(zoo)
    ran = passes(jobs)
    assert set(ran.values()) == {1}
    assert Counter((start, end) for _, start, end in ran) == {(start, end): count for start, end, count in ROUNDS}
    ranking = answered(zoo, query)
    assert [(told.start, told.examples, told.modules) for told in ranking.rounds] == ROUNDS
    assert forwards(jobs) == sum((end - start) * modules for start, end, modules in ROUNDS)
    assert [row.module.ref for row in ranking.ranking] == ["ada/seeing@1"]
    assert (ranking.ranking[0].n, ranking.candidates, ranking.in_zoo) == (400, 9, 9)


def test_few_modules_or_few_examples_are_scored_at_once(tmp_path):
    zoo = filled(tmp_path, modules=4, halving_from=4)
    assert answered(zoo, ask_and_work(zoo, top=1, data=images(per_class=25))).rounds == ()
    publish(zoo, "ada/another", linear_module(99))
    assert answered(zoo, ask_and_work(zoo, top=1, data=images(per_class=24))).rounds == ()
    assert len(answered(zoo, ask_and_work(zoo, top=1, data=images(per_class=25))).rounds) == 2


def test_who_stopped_early_stands_behind_with_what_is_known_and_why(tmp_path):
    zoo = filled(tmp_path, modules=16)
    ranking = answered(zoo, ask_and_work(zoo, top=None, data=images(per_class=50)))
    assert [row.n for row in ranking.ranking] == [200] * 10 + [50] * 6
    went_on, stopped = ranking.ranking[:10], ranking.ranking[10:]
    assert all(row.warnings[0].startswith("stopped after 50 examples: ") for row in stopped)
    assert not any("stopped" in warning for row in went_on for warning in row.warnings)
    assert min(row.rank for row in stopped) == 11
    assert [row.score for row in stopped] == sorted((row.score for row in stopped), reverse=True)
    assert all(list(row.panel) == ["ridge_gcv"] for row in stopped)
    assert all(len(row.panel) > 1 for row in went_on)


def ask_and_work(zoo: Zoo, *, top: int | None, data: bytes | None = None) -> str:
    query = ask(zoo, top=top, data=data)
    work_all(zoo)
    return query


def test_a_zoo_that_stops_between_rounds_goes_on_where_it_was(zoo):
    query = ask(zoo)
    first = one_round(zoo)
    zoo.close()
    again = open_zoo(zoo.settings)
    jobs = [*first, *work_all(again)]
    assert forwards(jobs) == sum((end - start) * modules for start, end, modules in ROUNDS)
    assert answered(again, query).ranking[0].module.ref == "ada/seeing@1"


def test_a_zoo_that_stopped_before_it_opened_a_round_opens_it_for_whoever_asks(zoo, monkeypatch):
    query = ask(zoo)
    monkeypatch.setattr(type(zoo.queries), "job_ended", lambda self, job: None)
    assert len(work_all(zoo)) == 9
    assert zoo.queries.waiting(query, owner=OWNER)
    assert state(zoo, query).progress.stage == "round 2 of 3: waiting for a worker"
    assert len(work_all(zoo)) == 5
    assert state(zoo, query).status is QueryStatus.RUNNING
    assert len(work_all(zoo)) == 1
    assert state(zoo, query).status is QueryStatus.DONE


def test_many_who_ask_at_once_open_one_round(zoo, monkeypatch):
    query = ask(zoo)
    monkeypatch.setattr(type(zoo.queries), "job_ended", lambda self, job: None)
    work_all(zoo)
    asking = [threading.Thread(target=state, args=(zoo, query)) for _ in range(4)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    queued = zoo.jobs.list(kind="score", status=JobStatus.QUEUED, limit=200, cursor=None).items
    assert Counter(job.work.start for job in queued) == {50: 5}


def test_what_a_job_brought_is_judged_when_it_comes_and_once(zoo, monkeypatch):
    ask(zoo)
    judged = []
    judge = judging.judge
    monkeypatch.setattr("registry.answers.judge", lambda *given: (judged.append(1), judge(*given))[1])
    counts = []
    for _ in range(9):
        work_one(zoo)
        counts.append(len(judged))
    assert counts == list(range(1, 10))


def test_another_question_runs_only_what_the_first_did_not(zoo):
    data = images()
    ran = passes([*one_question(zoo, top=1, data=data), *one_question(zoo, top=2, data=data)])
    assert set(ran.values()) == {1}
    ranking = answered(zoo, ask(zoo, top=2, data=data))
    assert ranking.ranking[0].cached
    assert ranking.ranking[0].milliseconds == 0.0


def one_question(zoo: Zoo, *, top: int, data: bytes) -> list[Job]:
    ask(zoo, top=top, data=data)
    return work_all(zoo)


def test_what_is_kept_already_changes_no_answer(tmp_path):
    fresh, busy = filled(tmp_path / "fresh"), filled(tmp_path / "busy")
    one_question(busy, top=3, data=images())
    told = [answered(zoo, ask_and_work(zoo, top=2)) for zoo in (fresh, busy)]
    rows = [[(row.module, row.score, row.interval, row.n) for row in ranking.ranking] for ranking in told]
    assert rows[0] == rows[1]
    assert told[0].rounds == told[1].rounds


def test_a_cancelled_question_opens_no_further_round(zoo):
    query = ask(zoo)
    one_round(zoo)
    zoo.queries.cancel(query, owner=OWNER)
    assert work_one(zoo) is None
    assert state(zoo, query).status is QueryStatus.CANCELLED
    again = ask(zoo)
    assert again == query
    assert len(work_all(zoo)) == 5 + 1
    assert answered(zoo, query).ranking[0].n == 400


def test_a_module_that_fails_in_a_later_round_is_named_and_the_others_are_ranked(zoo):
    query = ask(zoo, top=2)
    one_round(zoo)
    jobs = [work_or_fail(zoo, failing="ada/random-") for _ in range(5)]
    assert [job.status for job in jobs] == [JobStatus.DONE] * 5
    work_all(zoo)
    ranking = answered(zoo, query)
    assert [row.n for row in ranking.ranking] == [400, 50]
    assert ranking.ranking[0].module.ref == "ada/seeing@1"
    assert {each.reason for each in ranking.not_scored} == {"its outputs are not finite"}
    assert len(ranking.not_scored) == 4


def work_or_fail(zoo: Zoo, *, failing: str) -> Job:
    """Do one job; modules of this name have outputs that are not finite."""
    job = zoo.jobs.claim(["score"], worker="numpy")
    assert job is not None
    assert isinstance(job.work, ScoreWork)
    (chain,) = job.work.chains
    result = ScoreResult(statistics=score(zoo, job.work))
    if failing in names(zoo)[chain[-1]]:
        failure = ModuleFailure(module=chain[-1], reason="its outputs are not finite")
        result = ScoreResult(statistics=(), failures=(failure,))
    return zoo.jobs.finish(job.id, attempt=job.attempt, result=result)


def names(zoo: Zoo) -> dict[Digest, str]:
    found = zoo.modules.search(ModuleSearch(), limit=200, cursor=None, facets=False).items
    return {module.digest: f"{module.namespace}/{module.name}" for module in found}


def test_a_job_that_fails_in_a_round_does_not_end_the_question(zoo):
    query = ask(zoo)
    job = zoo.jobs.claim(["score"], worker="unlucky")
    assert job is not None
    zoo.jobs.fail(job.id, attempt=job.attempt, error="the disk is on fire")
    work_all(zoo)
    ranking = answered(zoo, query)
    assert [each.reason for each in ranking.not_scored] == ["the disk is on fire"]
    assert ranking.rounds[0].modules == 9


def test_lost_statistics_of_an_earlier_round_are_made_again(zoo):
    query = ask(zoo)
    first = one_round(zoo)
    seeing = next(digest for digest, name in names(zoo).items() if name == "ada/seeing")
    for job in first:
        assert isinstance(job.result, ScoreResult)
        for statistics in job.result.statistics:
            if statistics.module == seeing:
                zoo.blobs.delete(statistics.blob)
    restarted = open_zoo(zoo.settings)
    assert passes(work_all(restarted))[seeing, 0, 50] == 1
    assert answered(restarted, query).ranking[0].module.digest == seeing


def test_progress_counts_all_forward_passes_that_are_planned(zoo):
    query = ask(zoo)
    planned = 9 * 50 + 5 * 150 + 3 * 200
    before = state(zoo, query).progress
    assert (before.stage, before.done, before.total) == ("round 1 of 3: waiting for a worker", 0, planned)
    work_one(zoo)
    assert state(zoo, query).progress.done == 50
    one_round(zoo)
    assert state(zoo, query).progress.done == 9 * 50
    partial = state(zoo, query).partial
    assert partial is not None
    assert partial.ranking[0].module.ref == "ada/seeing@1"


def test_a_large_zoo_is_asked_through_a_shortlist_of_the_best_and_the_new(tmp_path):
    zoo = filled(tmp_path, shortlist=4, halving_from=99)
    scored = tuple(f"ada/{name}@1" for name in ("seeing", "random-0", "random-1", "random-2"))
    other = add_dataset(zoo, quadrant_zip(per_class=10, seed=1))
    zoo.reusability.ask_ranking(RankingQuestion(task=other, candidates=scored), owner=OWNER)
    work_all(zoo)
    query = ask_and_work(zoo, top=None)
    ranking = answered(zoo, query)
    assert (ranking.candidates, ranking.in_zoo) == (4, 9)
    refs = {row.module.ref for row in ranking.ranking}
    assert len(refs & set(scored)) == 3
    assert "ada/random-7@1" in refs
    assert ranking.warnings[0].startswith("5 of the zoo's 9 modules were not looked at")
    assert ask(zoo, top=None) == query, "what was scored meanwhile changes how modules stand, but not the question"
