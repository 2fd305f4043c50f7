"""Data that stays at home: stated, scored by whoever holds it, and by nobody else."""

import pytest

from registry.errors import ConflictError, InvalidDatasetError, InvalidInputError, NotFoundError
from registry.names import Digest, ModuleName
from registry.noise import Noise
from registry.rankings import QueryState, Ranking, RankingQuestion
from registry.recipes import TaskSpec, TrainingRecipe
from registry.records import Job, JobStatus, QueryStatus
from registry.statements import DatasetStatement
from registry.work import ModuleVerdict, ScoreHereWork, ScoreResult, WorkKind
from registry.zoo import Zoo
from tests.numpy_worker import (
    OWNER,
    add_dataset,
    linear_module,
    publish,
    publish_only,
    quadrant_module,
    quadrant_zip,
    score,
    verify_all,
    work_all,
)
from tests.registry.test_queries import ask, state

ORDINARY: tuple[WorkKind, ...] = ("train", "score", "predict", "verify")


def statement_of(zoo: Zoo, data: bytes) -> DatasetStatement:
    """What an upload of these bytes is described as; they are gone afterwards."""
    digest = add_dataset(zoo, data)
    statement = DatasetStatement.of(zoo.datasets.get(digest, owner=OWNER))
    zoo.datasets.remove(digest, owner=OWNER)
    return statement


def stated(zoo: Zoo, data: bytes | None = None) -> Digest:
    return zoo.datasets.state(statement_of(zoo, data or quadrant_zip()), owner=OWNER).dataset.digest


def claim_here(zoo: Zoo, query: str) -> Job | None:
    return zoo.jobs.claim(["score-here"], worker="home", query=query, owner=OWNER)


def brought(zoo: Zoo, job: Job, data: bytes | None = None) -> ScoreResult:
    """What a worker at home makes of a job; the zoo has the images for no longer than that."""
    assert isinstance(job.work, ScoreHereWork)
    lent = zoo.blobs.put(data or quadrant_zip())
    made = ScoreResult(statistics=score(zoo, job.work))
    zoo.blobs.delete(lent)
    return made


def work_here(zoo: Zoo, query: str) -> int:
    """Do all of a query's jobs at home; gives how many."""
    done = 0
    while (job := claim_here(zoo, query)) is not None:
        zoo.jobs.finish(job.id, attempt=job.attempt, result=brought(zoo, job))
        done += 1
    return done


def ranking_of(told: QueryState) -> Ranking:
    assert isinstance(told.answer, Ranking)
    return told.answer


def test_a_stated_dataset_is_a_dataset_without_bytes(zoo: Zoo) -> None:
    statement = statement_of(zoo, quadrant_zip())
    made, again = (zoo.datasets.state(statement, owner=OWNER) for _ in range(2))
    assert (made.created, again.created, made.dataset) == (True, False, again.dataset)
    assert (made.dataset.held, made.dataset.examples, made.dataset.counts) == (False, 80, (20, 20, 20, 20))
    assert zoo.datasets.get(statement.digest, owner=OWNER) == made.dataset
    with pytest.raises(NotFoundError):
        zoo.datasets.get(statement.digest, owner="eve")
    with pytest.raises(NotFoundError):
        zoo.blobs.info(statement.digest)


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"classes": ("a",), "counts": (4,)}, "/classes"),
        ({"classes": ("a", "a", "b", "c")}, "/classes/0"),
        ({"classes": ("a", " ", "b", "c")}, "/classes/1"),
        ({"counts": (1, 2)}, "/counts"),
        ({"counts": (1, 1, 1, 2**40)}, "/counts"),
        ({"shape": (8, 8, 2)}, "/shape/2"),
        ({"shape": (2**20, 2**20, 3)}, "/shape"),
        ({"size_bytes": 2**50}, "/size_bytes"),
        ({"classes": tuple(map(str, range(1001))), "counts": (1,) * 1001}, "/classes"),
    ],
)
def test_a_statement_that_no_upload_could_bear_out_is_refused(
    zoo: Zoo, change: dict[str, object], pointer: str
) -> None:
    wrong = statement_of(zoo, quadrant_zip()).model_copy(update=change)
    with pytest.raises(InvalidDatasetError) as refused:
        zoo.datasets.state(wrong, owner=OWNER)
    assert pointer in [fault.pointer for fault in refused.value.faults]
    assert zoo.datasets.list(owner=OWNER, limit=9, cursor=None).items == ()


def test_stating_what_is_held_changes_nothing(zoo: Zoo) -> None:
    statement = statement_of(zoo, quadrant_zip())
    held = zoo.datasets.get(add_dataset(zoo), owner=OWNER)
    other = statement.model_copy(update={"counts": (1, 2, 3, 4)})
    assert zoo.datasets.state(other, owner=OWNER).dataset == held
    with pytest.raises(ConflictError, match="upload them yourself"):
        zoo.datasets.state(statement, owner="eve")


def test_two_statements_about_the_same_bytes_must_agree(zoo: Zoo) -> None:
    data = stated(zoo)
    statement = DatasetStatement.of(zoo.datasets.get(data, owner=OWNER))
    assert zoo.datasets.state(statement, owner="bob").created
    with pytest.raises(ConflictError, match="something else was stated"):
        zoo.datasets.state(statement.model_copy(update={"same_shape": False}), owner=OWNER)


def test_workers_of_the_zoo_never_get_work_that_is_done_at_home(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    query = ask(zoo, RankingQuestion(task=stated(zoo)))
    assert zoo.jobs.claim(ORDINARY, worker="theirs") is None
    assert state(zoo, query).progress.stage == "waiting for whoever holds the images"
    with pytest.raises(InvalidInputError, match="score-here"):
        zoo.jobs.claim(["score", "score-here"], worker="curious")
    with pytest.raises(InvalidInputError, match="with a query"):
        zoo.jobs.claim(["score"], worker="curious", query=query, owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.jobs.claim(["score-here"], worker="curious", query=query, owner="eve")
    assert work_here(zoo, query) == 1


def test_only_jobs_of_the_query_that_is_named_are_given(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    first, second = (ask(zoo, RankingQuestion(task=stated(zoo, quadrant_zip(seed=seed)))) for seed in (1, 2))
    job = claim_here(zoo, second)
    assert job is not None
    assert claim_here(zoo, second) is None
    other = claim_here(zoo, first)
    assert other is not None
    assert other.work != job.work


def test_a_ranking_at_home_is_the_ranking_of_the_zoo(zoo: Zoo) -> None:
    for name, module in (("ada/seeing", quadrant_module()), ("ada/blind", quadrant_module(blind=True))):
        publish(zoo, name, module)
    data = add_dataset(zoo)
    query = ask(zoo, RankingQuestion(task=data))
    work_all(zoo)
    there = ranking_of(state(zoo, query))
    zoo.datasets.remove(data, owner=OWNER)
    query = ask(zoo, RankingQuestion(task=stated(zoo)))
    work_here(zoo, query)
    assert ranking_of(state(zoo, query)).ranking == there.ranking


def test_modules_that_nobody_looked_at_are_verified_by_the_zoos_workers_only(zoo: Zoo) -> None:
    module = publish_only(zoo, "ada/new", quadrant_module())
    query = ask(zoo, RankingQuestion(task=stated(zoo)))
    job = claim_here(zoo, query)
    assert job is not None
    assert isinstance(job.work, ScoreHereWork)
    assert job.work.verify == ()
    made = brought(zoo, job)
    lie = made.model_copy(update={"verdicts": (ModuleVerdict(module=module.digest),)})
    with pytest.raises(InvalidInputError, match="verdicts"):
        zoo.jobs.finish(job.id, attempt=job.attempt, result=lie)
    zoo.jobs.finish(job.id, attempt=job.attempt, result=made)
    assert state(zoo, query).status is QueryStatus.RUNNING
    verify_all(zoo)
    assert [row.module.ref for row in ranking_of(state(zoo, query)).ranking] == ["ada/new@1"]


def test_removing_a_stated_dataset_removes_what_came_of_it(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/other", linear_module(1))
    data = stated(zoo)
    query = ask(zoo, RankingQuestion(task=data, candidates=("ada/seeing@1",)))
    job = claim_here(zoo, query)
    assert job is not None
    made = brought(zoo, job)
    zoo.jobs.finish(job.id, attempt=job.attempt, result=made)
    waiting = ask(zoo, RankingQuestion(task=data))
    zoo.datasets.remove(data, owner=OWNER)
    for gone in (query, waiting):
        with pytest.raises(NotFoundError):
            state(zoo, gone)
    with pytest.raises(NotFoundError):
        zoo.blobs.info(made.statistics[0].blob)
    kinds = [
        (each.work.kind, each.status) for each in zoo.jobs.list(kind=None, status=None, limit=9, cursor=None).items
    ]
    assert ("score-here", JobStatus.CANCELLED) in kinds
    assert ("score-here", JobStatus.QUEUED) not in kinds


def test_what_was_made_at_home_is_made_again_once_the_zoo_holds_the_bytes(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    data = stated(zoo)
    task = zoo.tasks.create(TaskSpec(dataset=data, classes={"top": ("a", "b"), "low": ("c", "d")}), owner=OWNER).task
    query = ask(zoo, RankingQuestion(task=task.id))
    assert work_here(zoo, query) == 1
    added = zoo.datasets.add(zoo.blobs.put(quadrant_zip()), owner=OWNER)
    assert (added.created, added.dataset.held) == (True, True)
    assert zoo.datasets.get(data, owner=OWNER) == added.dataset
    with pytest.raises(NotFoundError):
        state(zoo, query)
    query = ask(zoo, RankingQuestion(task=task.id))
    assert len(work_all(zoo)) == 1
    assert state(zoo, query).status is QueryStatus.DONE


def test_who_only_stated_a_dataset_does_not_have_the_images_that_somebody_else_uploads(zoo: Zoo) -> None:
    statement = statement_of(zoo, quadrant_zip())
    for owner in ("eve", OWNER):
        zoo.datasets.state(statement, owner=owner)
    zoo.datasets.add(zoo.blobs.put(quadrant_zip()), owner=OWNER)
    assert zoo.datasets.get(statement.digest, owner=OWNER).held
    with pytest.raises(NotFoundError):
        zoo.datasets.get(statement.digest, owner="eve")


def test_tasks_of_a_statement_that_was_wrong_go_when_the_bytes_come(zoo: Zoo) -> None:
    true = statement_of(zoo, quadrant_zip())
    zoo.datasets.state(true.model_copy(update={"counts": (1, 1, 1, 1)}), owner=OWNER)
    task = zoo.tasks.create(TaskSpec(dataset=true.digest, classes={}), owner=OWNER).task
    assert zoo.datasets.add(zoo.blobs.put(quadrant_zip()), owner=OWNER).dataset.counts == (20, 20, 20, 20)
    with pytest.raises(NotFoundError):
        zoo.tasks.get(task.id, owner=OWNER)


def test_bytes_that_are_no_dataset_go_even_where_something_was_stated_of_them(zoo: Zoo) -> None:
    statement = statement_of(zoo, quadrant_zip())
    blob = zoo.blobs.put(b"no dataset")
    zoo.datasets.state(statement.model_copy(update={"digest": blob}), owner=OWNER)
    with pytest.raises(InvalidDatasetError):
        zoo.datasets.add(blob, owner=OWNER)
    with pytest.raises(NotFoundError):
        zoo.blobs.info(blob)


def test_training_on_a_stated_dataset_names_the_remedy(zoo: Zoo) -> None:
    recipe = TrainingRecipe(task=TaskSpec(dataset=stated(zoo)), family="mlp")
    with pytest.raises(ConflictError, match="upload the file with POST /datasets"):
        zoo.jobs.submit_training(ModuleName.parse("ada/never"), recipe, owner=OWNER)


def test_noise_is_for_data_at_home_and_is_kept_apart(zoo: Zoo) -> None:
    publish(zoo, "ada/seeing", quadrant_module())
    publish(zoo, "ada/other", linear_module(1))
    held = add_dataset(zoo, quadrant_zip(seed=5))
    with pytest.raises(InvalidInputError, match="protect nobody"):
        ask(zoo, RankingQuestion(task=held, noise=Noise(epsilon=1.0)))
    data = stated(zoo)
    exact = ask(zoo, RankingQuestion(task=data))
    assert work_here(zoo, exact) == 2
    noisy = ask(zoo, RankingQuestion(task=data, noise=Noise(epsilon=2.0, delta=1e-5)))
    job = claim_here(zoo, noisy)
    assert job is not None
    assert isinstance(job.work, ScoreHereWork)
    assert job.work.noise is not None
    assert (job.work.noise.epsilon, job.work.noise.modules) == (2.0, 2)
    zoo.jobs.release(job.id, attempt=job.attempt)
    work_here(zoo, noisy)
    for row in ranking_of(state(zoo, noisy)).ranking:
        (told,) = [warning for warning in row.warnings if warning.startswith("noise added")]
        assert told.startswith("noise added: epsilon 2, delta 1e-05 over 2 modules; scores err low, ")
        assert "a larger epsilon, more images or fewer candidates lower the noise" in told
    assert all(row.static is None for row in ranking_of(state(zoo, exact)).ranking)
    other = ask(zoo, RankingQuestion(task=held))
    work_all(zoo)
    assert all(row.static is None for row in ranking_of(state(zoo, other)).ranking), "nobody can check what is at home"
