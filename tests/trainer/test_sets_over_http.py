"""Sets from question to answer: asked over HTTP and by `zoo sets`, scored by a real worker."""

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import structlog
from typer.testing import CliRunner

from client.cli.app import application
from client.zoo import Zoo
from registry.errors import ConflictError, InvalidInputError, JobFailedError
from registry.rankings import ModuleSets, RankingQuestion, SetQuestion
from registry.records import JobStatus, QueryStatus
from tests.api.serving import Service, serving
from tests.builders import module_manifest
from tests.numpy_joint import half_module
from tests.numpy_worker import hidden_module, publish, quadrant_module, quadrant_zip
from tests.trainer.serving import working
from trainer.at_home import statement_of

OTHER_INPUTS = module_manifest().preprocessing.model_copy(update={"mean": (0.4,), "resampling": "nearest"})
REFS = ("ada/top@1", "ada/left@1", "ada/above@1", "ada/blind@1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        top = publish(running.zoo, "ada/top", half_module("top"))
        publish(running.zoo, "ada/left", half_module("left", preprocessing=OTHER_INPUTS))
        publish(running.zoo, "ada/above", hidden_module(top.digest))
        publish(running.zoo, "ada/blind", quadrant_module(blind=True))
        yield running


@pytest.fixture(scope="module")
def url(service: Service) -> str:
    return str(service.http.base_url).rstrip("/")


@pytest.fixture
def worker(url: str, tmp_path: Path) -> Iterator[None]:
    with working(url, tmp_path / "worker"):
        yield


@pytest.fixture
def zoo(url: str, tmp_path: Path) -> Iterator[Zoo]:
    with Zoo(url, cache=tmp_path / "cache") as client:
        yield client


@pytest.fixture(autouse=True)
def _quiet(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The service runs in this process, whose standard output is the command's."""
    monkeypatch.setenv("ZOO_URL", url)
    monkeypatch.setenv("ZOO_HOME", str(tmp_path))
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield
    structlog.reset_defaults()


def data_file(folder: Path, *, seed: int, per_class: int = 30) -> Path:
    file = folder / f"quadrants-{seed}.zip"
    file.write_bytes(quadrant_zip(per_class, seed=seed))
    return file


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, result.output


def refs(modules) -> list[str]:
    return [module.ref for module in modules]


def test_modules_with_different_inputs_stand_side_by_side(zoo: Zoo, worker: None, tmp_path: Path) -> None:
    task = zoo.datasets.publish(data_file(tmp_path, seed=1)).digest
    sets = zoo.queries.sets(SetQuestion(task=task, candidates=REFS))
    assert set(refs(sets.steps[1].modules)) == {"ada/left@1", "ada/top@1"}
    assert (sets.decision, sets.steps[1].helps, sets.n, sets.cached) == ("set_helps", True, 120, False)
    ranking = zoo.queries.rank(RankingQuestion(task=task, candidates=REFS))
    scores = {row.module.ref: row.score for row in ranking.ranking}
    assert sets.steps[0].score == pytest.approx(max(scores.values()), abs=1e-5)
    assert sets.steps[0].score == pytest.approx(scores[sets.steps[0].modules[0].ref], abs=1e-5)
    from_ranking = zoo.queries.sets(SetQuestion(task=task, query=ranking.query))
    assert from_ranking.cached
    assert from_ranking.steps == sets.steps


def test_the_query_is_followed_shown_and_has_no_picture(zoo: Zoo, service: Service, url: str, tmp_path: Path) -> None:
    task = zoo.datasets.publish(data_file(tmp_path, seed=2)).digest
    asked = service.http.post(
        "/transferability/sets", json={"task": task, "candidates": REFS}, headers={"Prefer": "wait=0"}
    )
    assert asked.status_code == 202
    address = asked.headers["Location"]
    assert asked.json()["kind"] == "sets"
    with working(url, tmp_path / "worker"):
        ended = [state.status for state in zoo.queries.events(address.removeprefix("/queries/"))][-1]
    assert ended is QueryStatus.DONE
    told = service.http.get(address).json()
    answer = ModuleSets.model_validate(told["answer"])
    again = service.http.post("/transferability/sets", json={"task": task, "candidates": REFS})
    assert (again.status_code, again.json()) == (200, told["answer"])
    picture = service.http.get(address, headers={"Accept": "image/png"})
    assert (picture.status_code, picture.json()["code"]) == (422, "invalid_input")
    outcomes = service.http.post(f"{address}/outcomes", json={"outcomes": [{"module": REFS[0], "value": 0.5}]})
    assert outcomes.status_code == 422
    assert answer.query == address.removeprefix("/queries/")


def test_a_query_that_is_cancelled_ends_its_job(zoo: Zoo, tmp_path: Path) -> None:
    task = zoo.datasets.publish(data_file(tmp_path, seed=3)).digest
    body = SetQuestion(task=task, candidates=REFS)
    response = httpx.post(
        f"{zoo.url}/transferability/sets", json=body.model_dump(mode="json"), headers={"Prefer": "wait=0"}
    )
    query = response.json()["id"]
    assert zoo.queries.cancel(query).status is QueryStatus.CANCELLED
    assert next(job.status for job in zoo.jobs.list(kind="joint").items) is JobStatus.CANCELLED


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({"candidates": REFS[:1]}, "/candidates"),
        ({"candidates": [f"ada/m{number}@1" for number in range(9)]}, "/candidates"),
        ({"candidates": REFS, "size": 5}, "/size"),
        ({"candidates": [REFS[0], "ada/nobody@1"]}, "/candidates/1"),
        ({}, "/query"),
    ],
)
def test_bad_questions_are_refused_where_they_are_wrong(
    zoo: Zoo, service: Service, tmp_path: Path, body: dict, pointer: str
) -> None:
    task = zoo.datasets.publish(data_file(tmp_path, seed=4)).digest
    answer = service.http.post("/transferability/sets", json={"task": task, **body})
    assert answer.status_code == 422
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


def test_data_that_stay_at_home_are_refused_with_the_remedy(zoo: Zoo, tmp_path: Path) -> None:
    statement = statement_of(data_file(tmp_path, seed=5), leave_out_broken=False)
    zoo.datasets.state(statement)
    with pytest.raises(ConflictError, match="upload the file with POST /datasets first"):
        zoo.queries.sets(SetQuestion(task=statement.digest, candidates=REFS))


def test_a_job_that_fails_fails_the_query(zoo: Zoo, service: Service, tmp_path: Path) -> None:
    task = zoo.datasets.publish(data_file(tmp_path, seed=6)).digest
    query = service.zoo.sets.ask(SetQuestion(task=task, candidates=REFS), owner="admin")
    job = service.zoo.jobs.claim(["joint"], worker="unlucky")
    service.zoo.jobs.fail(job.id, attempt=job.attempt, error="the disk is full")
    assert zoo.queries.show(query).error == "the disk is full"
    assert zoo.queries.show(query).error_code == JobFailedError.code


def test_the_command_asks_a_ranking_first_and_prints_what_each_module_adds(worker: None, tmp_path: Path) -> None:
    file = data_file(tmp_path, seed=7)
    code, text = run("sets", str(file))
    assert code == 0, text
    assert "serve this task best together" in text
    assert "not shown" in text
    code, text = run("sets", str(file), "--json", "--size", "2")
    assert code == 0
    assert len(ModuleSets.model_validate(json.loads(text)).candidates) == 4


def test_the_command_says_when_one_module_is_enough(worker: None, tmp_path: Path) -> None:
    named = ("--candidates", "ada/top@1", "--candidates", "ada/above@1")
    code, text = run("sets", str(data_file(tmp_path, seed=8)), *named)
    assert code == 0
    assert "is enough: no other module is shown to add" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--candidates", "ada/top@1"), "a set is chosen among 2 to 8 modules, got 1"),
        (("--size", "7"), "less than or equal to 4"),
        (("--candidates", "no name"), "no name"),
    ],
)
def test_wrong_use_ends_with_2(tmp_path: Path, arguments: tuple[str, ...], told: str) -> None:
    code, text = run("sets", str(data_file(tmp_path, seed=9)), *arguments)
    assert (code, told in " ".join(text.replace("│", " ").split())) == (2, True), text


def test_a_question_that_names_nothing_is_an_error_for_the_client(zoo: Zoo, tmp_path: Path) -> None:
    task = zoo.datasets.publish(data_file(tmp_path, seed=10)).digest
    with pytest.raises(InvalidInputError, match="takes either `candidates`"):
        zoo.queries.sets(SetQuestion(task=task))
