"""Questions about sets, asked of a real zoo: what stands side by side, what helps, what is kept, what is refused."""

import pytest

from registry.errors import ConflictError, InvalidInputError, NotFoundError
from registry.rankings import ModuleSets, QueryState, Ranking, RankingQuestion, SetQuestion
from registry.recipes import TaskSpec
from registry.records import JobStatus, QueryStatus
from registry.statements import DatasetStatement
from registry.zoo import Zoo
from tests.numpy_joint import half_module, join, join_all
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    output_module,
    publish,
    publish_only,
    quadrant_module,
    quadrant_zip,
    work_all,
)

MODULES = {
    "top": half_module("top"),
    "left": half_module("left", noise=8.0),
    "again": half_module("top", noise=5.0),
    "blind": quadrant_module(blind=True),
}
REFS = tuple(f"ada/{name}@1" for name in sorted(MODULES))


@pytest.fixture
def stocked(zoo: Zoo) -> Zoo:
    """A zoo whose modules tell one half of the answer each."""
    for name, data in MODULES.items():
        publish(zoo, f"ada/{name}", data)
    return zoo


def asked(zoo: Zoo, question: SetQuestion, **worker: object) -> QueryState:
    """Ask, let the worker work, and give what becomes of the query."""
    query = zoo.sets.ask(question, owner=OWNER)
    join_all(zoo, **worker)
    return zoo.queries.state(query, owner=OWNER)


def answered(zoo: Zoo, question: SetQuestion, **worker: object) -> ModuleSets:
    answer = asked(zoo, question, **worker).answer
    assert isinstance(answer, ModuleSets)
    return answer


def names(modules) -> list[str]:
    return [module.ref for module in modules]


def test_modules_that_tell_different_halves_serve_best_together(stocked: Zoo) -> None:
    sets = answered(stocked, SetQuestion(task=add_dataset(stocked), candidates=REFS))
    first, second, *_ = sets.steps
    assert (names(first.modules), first.gain, first.helps) == (["ada/again@1"], None, True)
    assert names(second.modules) == ["ada/again@1", "ada/left@1"]
    assert second.helps
    assert second.gain == pytest.approx(second.score - first.score)
    assert 0 < second.gain_interval[0] <= second.gain <= second.gain_interval[1]
    assert second.interval[0] <= second.score <= second.interval[1]
    assert second.p_value <= 0.05
    assert sets.decision == "set_helps"
    assert (sets.n, sets.n_per_class) == (80, {"a": 20, "b": 20, "c": 20, "d": 20})
    assert (sets.searched, sets.best, sets.cached) == (True, None, False)
    assert names(sets.candidates) == list(REFS)


def test_the_first_step_has_the_score_of_the_ranking(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    sets = answered(stocked, SetQuestion(task=data, candidates=REFS, rank_by="nearest_class_mean"))
    query = stocked.reusability.ask_ranking(RankingQuestion(task=data, rank_by="nearest_class_mean"), owner=OWNER)
    work_all(stocked)
    ranking = stocked.queries.state(query, owner=OWNER).answer
    assert isinstance(ranking, Ranking)
    assert sets.steps[0].score == pytest.approx(ranking.ranking[0].score, abs=1e-9)


def test_a_module_that_adds_nothing_ends_the_steps(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/again", linear_module(3))
    sets = answered(zoo, SetQuestion(task=add_dataset(zoo), candidates=("ada/seeing@1", "ada/again@1"), size=4))
    assert [step.helps for step in sets.steps] == [True, False]
    assert sets.steps[1].gain_interval[0] <= 0
    assert sets.decision == "no_gain_shown"
    assert [warning[: len("dead features: ada/again@1")] for warning in sets.warnings] == ["dead features: ada/again@1"]


def test_modules_that_see_nothing_are_no_better_than_chance(zoo: Zoo) -> None:
    for name, module in {"one": quadrant_module(blind=True), "two": half_module("top", noise=0.0, blind=True)}.items():
        publish(zoo, f"ada/{name}", module)
    sets = answered(zoo, SetQuestion(task=add_dataset(zoo), candidates=("ada/one@1", "ada/two@1")))
    assert sets.decision == "none_better_than_chance"
    assert len(sets.steps) == 1


def test_the_best_of_a_ranking_are_candidates_on_its_examples(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    asking = RankingQuestion(task=data, examples=60, seed=5, rank_by="nearest_class_mean")
    query = stocked.reusability.ask_ranking(asking, owner=OWNER)
    with pytest.raises(ConflictError, match="is running and has no answer"):
        stocked.sets.ask(SetQuestion(task=data, query=query), owner=OWNER)
    work_all(stocked)
    sets = answered(stocked, SetQuestion(task=data, query=query))
    assert (sets.examples, sets.seed, sets.rank_by) == (60, 5, "nearest_class_mean")
    ranking = stocked.queries.state(query, owner=OWNER).answer
    assert isinstance(ranking, Ranking)
    assert names(sets.candidates) == [row.module.ref for row in ranking.ranking]
    other = stocked.tasks.create(TaskSpec(dataset=data, classes={"x": ("a",), "y": ("b",)}), owner=OWNER).task
    with pytest.raises(InvalidInputError, match="ranked modules for"):
        stocked.sets.ask(SetQuestion(task=other.id, query=query), owner=OWNER)


def test_the_same_question_gives_the_same_bytes_and_another_of_the_same_modules_needs_no_pass(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    question = SetQuestion(task=data, candidates=REFS)
    first = answered(stocked, question)
    again = stocked.queries.state(stocked.sets.ask(question, owner=OWNER), owner=OWNER).answer
    assert again is not None
    assert again.model_dump_json() == first.model_dump_json()
    halves = TaskSpec(dataset=data, classes={"upper": ("a", "b"), "lower": ("c", "d")})
    task = stocked.tasks.create(halves, owner=OWNER).task
    query = stocked.sets.ask(SetQuestion(task=task.id, candidates=REFS, size=2, rank_by="alignment"), owner=OWNER)
    assert stocked.jobs.claim(["joint"], worker="idle") is None
    merged = stocked.queries.state(query, owner=OWNER).answer
    assert isinstance(merged, ModuleSets)
    assert (merged.cached, merged.milliseconds) == (True, 0.0)
    assert merged.n_per_class == {"upper": 40, "lower": 40}


def test_two_questions_about_the_same_modules_share_a_job(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    queries = [stocked.sets.ask(SetQuestion(task=data, candidates=REFS, size=size), owner=OWNER) for size in (2, 3)]
    assert queries[0] != queries[1]
    stocked.queries.cancel(queries[0], owner=OWNER)
    assert len(join_all(stocked)) == 1
    states = [stocked.queries.state(query, owner=OWNER).status for query in queries]
    assert states == [QueryStatus.CANCELLED, QueryStatus.DONE]


def test_cancelling_ends_the_job_and_asking_again_begins_anew(stocked: Zoo) -> None:
    question = SetQuestion(task=add_dataset(stocked), candidates=REFS)
    query = stocked.sets.ask(question, owner=OWNER)
    state = stocked.queries.state(query, owner=OWNER)
    assert (state.kind, state.status, state.progress.stage) == ("sets", QueryStatus.RUNNING, "waiting for a worker")
    assert stocked.queries.cancel(query, owner=OWNER).status is QueryStatus.CANCELLED
    assert join_all(stocked) == []
    assert answered(stocked, question).query == query


def test_a_module_that_fails_is_left_out_and_told(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    failing = publish(stocked, "ada/failing", linear_module(9))
    question = SetQuestion(task=data, candidates=(*REFS, failing.ref))
    sets = answered(stocked, question, broken={failing.digest: "its outputs are not finite"})
    assert [(each.module.ref, each.reason) for each in sets.not_scored] == [
        ("ada/failing@1", "its outputs are not finite")
    ]
    assert names(sets.steps[1].modules) == ["ada/again@1", "ada/left@1"]
    smaller = SetQuestion(task=data, candidates=(*REFS, failing.ref), size=2)
    query = stocked.sets.ask(smaller, owner=OWNER)
    assert stocked.jobs.claim(["joint"], worker="idle") is None
    known = stocked.queries.state(query, owner=OWNER).answer
    assert isinstance(known, ModuleSets)
    assert len(known.not_scored) == 1


def test_fewer_than_two_modules_that_run_are_no_set(stocked: Zoo) -> None:
    one, other = (publish(stocked, f"ada/bad-{seed}", linear_module(seed)) for seed in (7, 8))
    question = SetQuestion(task=add_dataset(stocked), candidates=(one.ref, other.ref))
    state = asked(stocked, question, broken={other.digest: "its outputs are not finite"})
    assert (state.status, state.error_code) == (QueryStatus.FAILED, "not_scorable")
    assert state.error == "fewer than two modules could be scored: ada/bad-8@1: its outputs are not finite"


def test_what_nobody_has_looked_at_is_verified_by_the_same_job(zoo: Zoo) -> None:
    one, other = (publish_only(zoo, f"ada/new-{which}", half_module(which)) for which in ("top", "left"))
    query = zoo.sets.ask(SetQuestion(task=add_dataset(zoo), candidates=(one.ref, other.ref)), owner=OWNER)
    done = join_all(zoo)
    assert done[0].work.verify == tuple(sorted((one.digest, other.digest)))
    assert isinstance(zoo.queries.state(query, owner=OWNER).answer, ModuleSets)
    assert zoo.jobs.claim(["verify"], worker="idle") is None


def test_statistics_without_a_verdict_that_was_asked_for_are_refused(zoo: Zoo) -> None:
    one, other = (publish_only(zoo, f"ada/new-{which}", half_module(which)) for which in ("top", "left"))
    zoo.sets.ask(SetQuestion(task=add_dataset(zoo), candidates=(one.ref, other.ref)), owner=OWNER)
    job = zoo.jobs.claim(["joint"], worker="hasty")
    result = join(zoo, job.work).model_copy(update={"verdicts": ()})
    with pytest.raises(InvalidInputError, match="is not verified"):
        zoo.jobs.finish(job.id, attempt=job.attempt, result=result)


def test_sets_that_take_long_are_judged_in_the_background(stocked: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("registry.queries.JUDGING_SECONDS", 0.0)
    state = asked(stocked, SetQuestion(task=add_dataset(stocked), candidates=REFS))
    assert (state.status, state.progress.stage) == (QueryStatus.RUNNING, "judging")
    monkeypatch.setattr("registry.queries.JUDGING_SECONDS", 20.0)
    assert isinstance(stocked.queries.state(state.id, owner=OWNER).answer, ModuleSets)


def test_lost_statistics_are_made_again(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    job = stocked.jobs.get(stocked_job(stocked, data))
    stocked.blobs.delete(job.result.blob)
    query = stocked.sets.ask(SetQuestion(task=data, candidates=REFS, size=2), owner=OWNER)
    assert stocked.queries.state(query, owner=OWNER).status is QueryStatus.RUNNING
    assert len(join_all(stocked)) == 1
    assert isinstance(stocked.queries.state(query, owner=OWNER).answer, ModuleSets)


def stocked_job(zoo: Zoo, data: str) -> int:
    """A job that brought joint statistics."""
    zoo.sets.ask(SetQuestion(task=data, candidates=REFS), owner=OWNER)
    return join_all(zoo)[0].id


def test_statistics_and_answers_go_with_the_dataset(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    job = stocked.jobs.get(stocked_job(stocked, data))
    query = stocked.sets.ask(SetQuestion(task=data, candidates=REFS), owner=OWNER)
    stocked.datasets.remove(data, owner=OWNER)
    with pytest.raises(NotFoundError):
        stocked.blobs.info(job.result.blob)
    with pytest.raises(NotFoundError):
        stocked.queries.state(query, owner=OWNER)
    assert add_dataset(stocked) == data
    stocked.sets.ask(SetQuestion(task=data, candidates=REFS), owner=OWNER)
    assert len(join_all(stocked)) == 1


def test_a_dataset_that_goes_stops_the_job(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    stocked.sets.ask(SetQuestion(task=data, candidates=REFS), owner=OWNER)
    job = stocked.jobs.claim(["joint"], worker="slow")
    stocked.datasets.remove(data, owner=OWNER)
    assert stocked.jobs.get(job.id).status is JobStatus.CANCELLED


@pytest.mark.parametrize(
    ("changes", "message", "pointer"),
    [
        ({"candidates": ("ada/top@1", "ada/nobody@1")}, "ada/nobody@1", "/candidates/1"),
        ({"candidates": ("ada/top@1", "ada/out@1")}, "is an output module", "/candidates/1"),
        ({"candidates": ("ada/top@1", "ada/left@1", "ada/top@1")}, "^ada/top@1 is named twice", "/candidates/2"),
        ({"candidates": ("ada/top@1", "ada/twin@1")}, "ada/twin@1 and ada/top@1 are the same", "/candidates/1"),
        ({}, "takes either `candidates`", "/query"),
        ({"candidates": REFS, "query": "query-1"}, "got both", "/query"),
    ],
)
def test_bad_candidates_are_refused(stocked: Zoo, changes: dict, message: str, pointer: str) -> None:
    top = publish(stocked, "ada/twin", MODULES["top"])
    publish_only(stocked, "ada/out", output_module(top.digest))
    with pytest.raises(InvalidInputError, match=message) as caught:
        stocked.sets.ask(SetQuestion(task=add_dataset(stocked), **changes), owner=OWNER)
    assert [fault.pointer for fault in caught.value.faults] == [pointer]


def test_one_candidate_and_nine_are_no_question() -> None:
    for candidates in (REFS[:1], tuple(f"ada/{number}@1" for number in range(9))):
        with pytest.raises(ValueError, match="candidates"):
            SetQuestion(task="task-1", candidates=candidates)


def test_a_query_that_is_none_or_no_ranking_is_refused(stocked: Zoo) -> None:
    data = add_dataset(stocked)
    with pytest.raises(NotFoundError):
        stocked.sets.ask(SetQuestion(task=data, query="query-1"), owner=OWNER)
    sets = answered(stocked, SetQuestion(task=data, candidates=REFS))
    with pytest.raises(InvalidInputError, match="is no ranking, but one of kind sets"):
        stocked.sets.ask(SetQuestion(task=data, query=sets.query), owner=OWNER)


def test_too_many_features_or_examples_are_refused_with_a_remedy(stocked: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    question = SetQuestion(task=add_dataset(stocked), candidates=REFS)
    monkeypatch.setattr("registry.sets.MOST_HELD_BYTES", 4 * 16 * 50)
    with pytest.raises(InvalidInputError, match="ask for at most 50 examples"):
        stocked.sets.ask(question, owner=OWNER)
    monkeypatch.setattr("registry.sets.MOST_FEATURES", 15)
    with pytest.raises(InvalidInputError, match="16 features together, at most 15 fit; name fewer"):
        stocked.sets.ask(question, owner=OWNER)


def test_what_is_too_wide_of_a_ranking_is_left_out_and_told(stocked: Zoo, monkeypatch: pytest.MonkeyPatch) -> None:
    data = add_dataset(stocked)
    query = stocked.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    work_all(stocked)
    monkeypatch.setattr("registry.sets.MOST_FEATURES", 8)
    sets = answered(stocked, SetQuestion(task=data, query=query))
    assert len(sets.candidates) == 2
    assert sets.warnings[0].startswith("left out, at most 8 features fit together: ada/")
    monkeypatch.setattr("registry.sets.MOST_FEATURES", 7)
    with pytest.raises(InvalidInputError, match="fewer than two different modules"):
        stocked.sets.ask(SetQuestion(task=data, query=query), owner=OWNER)


def test_data_that_stay_at_home_cannot_be_asked_about(stocked: Zoo) -> None:
    held = stocked.datasets.get(add_dataset(stocked), owner=OWNER)
    statement = DatasetStatement.of(held).model_copy(update={"digest": "sha256:" + "7" * 64})
    stocked.datasets.state(statement, owner=OWNER)
    with pytest.raises(ConflictError, match="a question about sets needs the images"):
        stocked.sets.ask(SetQuestion(task=statement.digest, candidates=REFS), owner=OWNER)


def test_statistics_that_are_not_what_was_asked_for_are_refused(stocked: Zoo) -> None:
    stocked.sets.ask(SetQuestion(task=add_dataset(stocked, quadrant_zip(10)), candidates=REFS), owner=OWNER)
    job = stocked.jobs.claim(["joint"], worker="liar")
    honest = join(stocked, job.work)
    lies = {
        "were brought for 4 modules": {"modules": honest.modules[:3]},
        "not in the order of the work": {"modules": honest.modules[::-1]},
        "features, but the task has 4": {"blob": join(stocked, fewer(job.work)).blob},
        "does not hold statistics": {"blob": stocked.blobs.put(b"nothing")},
        "the work asks for none on other modules": {"verdicts": [{"module": honest.modules[0]}]},
    }
    for message, lie in lies.items():
        result = honest.model_validate({**honest.model_dump(), **lie})
        with pytest.raises(InvalidInputError, match=message):
            stocked.jobs.finish(job.id, attempt=job.attempt, result=result)


def fewer(work):
    return work.model_copy(update={"chains": work.chains[:2]})
