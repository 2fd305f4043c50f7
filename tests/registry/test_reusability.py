"""Questions asked of a real zoo: plans, what is kept, answers, ties, doubt."""

import pytest

from registry.errors import InvalidInputError, NotFoundError, NotScorableError
from registry.rankings import (
    MapQuestion,
    QueryState,
    Ranking,
    RankingQuestion,
    Reusability,
    ReusabilityQuestion,
    TaskMap,
)
from registry.recipes import TaskSpec
from registry.records import JobStatus, QueryStatus
from registry.work import ModuleStatistics, ScoreResult, ScoreWork
from registry.zoo import Zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    output_module,
    publish,
    quadrant_module,
    quadrant_zip,
    work_all,
)


def ask(zoo: Zoo, question: RankingQuestion) -> Ranking:
    """Ask, let the worker work, and give the answer."""
    query = zoo.reusability.ask_ranking(question, owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    return answer


def test_the_module_that_sees_the_classes_ranks_first(zoo: Zoo) -> None:
    publish(zoo, "ada/blind", quadrant_module(blind=True))
    seeing = publish(zoo, "ada/seeing", quadrant_module())
    ranking = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    assert [row.module.ref for row in ranking.ranking] == ["ada/seeing@1", "ada/blind@1"]
    assert ranking.decision == "ranked"
    assert [row.rank for row in ranking.ranking] == [1, 2]
    best = ranking.ranking[0]
    assert best.module.digest == seeing.digest
    assert best.interval[0] <= best.score <= best.interval[1]
    assert best.score > best.chance
    assert best.n_per_class == {"a": 20, "b": 20, "c": 20, "d": 20}
    assert ranking.rank_by == "ridge_gcv_pooled"
    assert best.panel["ridge_gcv"] == best.score


def test_a_module_published_twice_ties_with_itself(zoo: Zoo) -> None:
    for name in ("ada/one", "ada/two"):
        publish(zoo, name, quadrant_module())
    ranking = ask(zoo, RankingQuestion(task=add_dataset(zoo)))
    assert ranking.decision == "tie"
    assert [row.rank for row in ranking.ranking] == [1, 1]


def test_labels_that_mean_nothing_are_no_better_than_chance(zoo: Zoo) -> None:
    publish(zoo, "ada/blind", quadrant_module(blind=True))
    data = add_dataset(zoo, quadrant_zip(classes=("a", "b", "c", "d")))
    merged = TaskSpec(dataset=data, classes={"x": ("a",), "y": ("b",)})
    task = zoo.tasks.create(merged, owner=OWNER).task
    assert ask(zoo, RankingQuestion(task=task.id)).decision == "none_better_than_chance"


def test_the_same_question_gives_the_same_bytes_and_no_new_work(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    question = RankingQuestion(task=add_dataset(zoo))
    first = ask(zoo, question)
    again = zoo.reusability.ask_ranking(question, owner=OWNER)
    state = zoo.queries.state(again, owner=OWNER)
    assert state.answer is not None
    assert state.answer.model_dump_json() == first.model_dump_json()
    assert zoo.jobs.claim(["score"], worker="idle") is None


def test_another_merge_of_the_same_labels_needs_no_forward_pass(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    ask(zoo, RankingQuestion(task=data))
    halves = TaskSpec(dataset=data, classes={"top": ("a", "b"), "bottom": ("c", "d")})
    task = zoo.tasks.create(halves, owner=OWNER).task
    query = zoo.reusability.ask_ranking(RankingQuestion(task=task.id), owner=OWNER)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    assert answer.ranking[0].cached
    assert answer.ranking[0].n_per_class == {"top": 40, "bottom": 40}


def test_a_new_module_changes_the_question_but_not_what_is_kept(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    question = RankingQuestion(task=add_dataset(zoo))
    first = ask(zoo, question)
    publish(zoo, "ada/random", linear_module(1))
    second = ask(zoo, question)
    assert second.query != first.query
    assert {row.module.ref: row.cached for row in second.ranking} == {"ada/seeing@1": True, "ada/random@1": False}


def test_the_static_score_is_the_mean_over_other_data_only(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    one, other = add_dataset(zoo), add_dataset(zoo, quadrant_zip(per_class=15))
    first = ask(zoo, RankingQuestion(task=one))
    assert first.ranking[0].static is None
    second = ask(zoo, RankingQuestion(task=other))
    assert second.ranking[0].static == pytest.approx(first.ranking[0].score)


def test_one_score_is_asked_by_reference(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    question = ReusabilityQuestion(module="ada/seeing", task=add_dataset(zoo), rank_by="alignment")
    query = zoo.reusability.ask_reusability(question, owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Reusability)
    assert answer.score == pytest.approx(answer.panel["alignment"])


def test_the_map_has_a_row_for_each_source_and_a_column_for_each_target(zoo: Zoo) -> None:
    data = add_dataset(zoo)
    for name, labels in {"left": ("a", "b"), "right": ("c", "d")}.items():
        spec = TaskSpec(dataset=data, classes={label: (label,) for label in labels})
        zoo.tasks.create(spec, owner=OWNER)
        trained = {
            "data": data,
            "classes": [{"label": label, "merged": [label]} for label in labels],
            "examples": 40,
            "labels_known": 0,
            "pairs_known": 100,
        }
        publish(zoo, f"ada/{name}", linear_module(len(name), task=trained))
    query = zoo.reusability.ask_map(MapQuestion(), owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, TaskMap)
    assert [part.module.ref for part in answer.tasks] == ["ada/left@1", "ada/right@1"]
    assert (len(answer.scores), len(answer.scores[0])) == (2, 2)


def test_a_map_of_a_task_without_a_module_says_so(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    pairs = [{"a": ("a",), "b": ("b",)}, {"c": ("c",), "d": ("d",)}]
    tasks = [zoo.tasks.create(TaskSpec(dataset=data, classes=classes), owner=OWNER).task for classes in pairs]
    with pytest.raises(NotScorableError, match="no module") as caught:
        zoo.reusability.ask_map(MapQuestion(tasks=tuple(task.id for task in tasks)), owner=OWNER)
    assert [fault.pointer for fault in caught.value.faults] == ["/tasks/0", "/tasks/1"]


def test_an_empty_zoo_cannot_rank(zoo: Zoo) -> None:
    with pytest.raises(NotScorableError, match="publish one"):
        zoo.reusability.ask_ranking(RankingQuestion(task=add_dataset(zoo)), owner=OWNER)


def test_every_wrong_candidate_is_named(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    question = RankingQuestion(task=add_dataset(zoo), candidates=("ada/seeing@1", "ada/nobody@1", "Not A Name"))
    with pytest.raises(InvalidInputError) as caught:
        zoo.reusability.ask_ranking(question, owner=OWNER)
    assert [fault.pointer for fault in caught.value.faults] == ["/candidates/1", "/candidates/2"]


def test_nobody_else_finds_a_query_or_its_dataset(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = add_dataset(zoo)
    query = zoo.reusability.ask_ranking(RankingQuestion(task=data), owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.queries.state(query, owner="eve")
    with pytest.raises(NotFoundError):
        zoo.reusability.ask_ranking(RankingQuestion(task=data), owner="eve")


def running(zoo: Zoo) -> QueryState:
    """A query that waits for a worker."""
    publish(zoo, "ada/seeing", quadrant_module())
    query = zoo.reusability.ask_ranking(RankingQuestion(task=add_dataset(zoo)), owner=OWNER)
    return zoo.queries.state(query, owner=OWNER)


def test_a_query_waits_for_a_worker_and_says_so(zoo: Zoo) -> None:
    state = running(zoo)
    assert state.status is QueryStatus.RUNNING
    assert state.progress.stage == "waiting for a worker"
    assert zoo.queries.waiting(state.id, owner=OWNER)


def test_a_cancelled_query_cancels_its_jobs(zoo: Zoo) -> None:
    state = running(zoo)
    assert zoo.queries.cancel(state.id, owner=OWNER).status is QueryStatus.CANCELLED
    assert zoo.jobs.claim(["score"], worker="late") is None


def test_a_failed_job_fails_the_query_with_its_reason(zoo: Zoo) -> None:
    state = running(zoo)
    job = zoo.jobs.claim(["score"], worker="unlucky")
    assert job is not None
    zoo.jobs.fail(job.id, attempt=job.attempt, error="the disk is on fire")
    failed = zoo.queries.state(state.id, owner=OWNER)
    assert (failed.status, failed.error) == (QueryStatus.FAILED, "the disk is on fire")


def test_statistics_of_the_wrong_shape_are_refused_and_the_job_stays(zoo: Zoo) -> None:
    state = running(zoo)
    job = zoo.jobs.claim(["score"], worker="liar")
    assert job is not None
    assert isinstance(job.work, ScoreWork)
    blob = zoo.blobs.put(b"not statistics")
    lie = ScoreResult(statistics=(ModuleStatistics(module=job.work.chains[0][-1], blob=blob, milliseconds=1.0),))
    with pytest.raises(InvalidInputError, match="does not hold statistics"):
        zoo.jobs.finish(job.id, attempt=job.attempt, result=lie)
    assert zoo.jobs.get(job.id).status is JobStatus.RUNNING
    assert zoo.queries.waiting(state.id, owner=OWNER)


def test_deleting_a_dataset_takes_its_scores_with_it(zoo: Zoo) -> None:
    state = running(zoo)
    work_all(zoo)
    data = zoo.datasets.list(owner=OWNER, limit=1, cursor=None).items[0].digest
    answer = zoo.queries.state(state.id, owner=OWNER).answer
    assert answer is not None
    zoo.datasets.remove(data, owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.blobs.info(data)
    with pytest.raises(NotFoundError):
        zoo.queries.state(state.id, owner=OWNER)


def test_an_output_module_cannot_be_scored(zoo: Zoo) -> None:
    below = publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/output", output_module(below.digest))
    question = ReusabilityQuestion(module="ada/output", task=add_dataset(zoo))
    with pytest.raises(NotScorableError, match="output module"):
        zoo.reusability.ask_reusability(question, owner=OWNER)
