"""`zoo outcome` and `zoo calibration` against a real service."""

import json
from collections.abc import Iterator

import pytest
from typer.testing import CliRunner

from client.cli.app import application, main
from client.zoo import Zoo
from registry.outcome_records import Calibration, PostedOutcome
from registry.rankings import RankingQuestion
from tests.api.serving import Service, serving
from tests.numpy_worker import linear_module, publish, quadrant_zip, work_all

pytestmark = pytest.mark.usefixtures("no_logs_of_the_service", "zoo")

REFS = ("ada/m0@1", "ada/m1@1", "ada/m2@1", "ada/m3@1", "ada/m4@1")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("zoo")) as running:
        for seed, ref in enumerate(REFS):
            publish(running.zoo, ref.partition("@")[0], linear_module(seed))
        yield running


def ranked(service: Service, *, seed: int) -> str:
    """The id of a ranking that is done, on data of its own."""
    data = service.zoo.datasets.add(service.zoo.blobs.put(quadrant_zip(seed=seed)), owner="admin").dataset.digest
    query = service.zoo.reusability.ask_ranking(RankingQuestion(task=data), owner="admin")
    work_all(service.zoo)
    return query


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(application(arguments), list(arguments))
    return result.exit_code, result.output


def test_an_outcome_is_told_told_again_and_replaced(service: Service) -> None:
    query = ranked(service, seed=0)
    code, said = run("outcome", query, REFS[0], "0.91", "--how", "linear_probe", "--note", "mean of three")
    assert (code, said) == (0, f"kept: {REFS[0]} accuracy 0.91 (linear probe) for {query}\n")
    again = ("outcome", query, REFS[0], "0.91", "--how", "linear_probe", "--note", "mean of three")
    assert run(*again)[1].startswith("was there already: ")
    assert run("outcome", query, REFS[0], "0.8", "--how", "linear_probe")[1].startswith("replaced: ")
    _, text = run("outcome", query, REFS[1], "--metric", "log-likelihood", "--json", "--", "-0.5")
    assert json.loads(text)["outcomes"][0]["value"] == -0.5


def test_a_module_that_was_not_ranked_is_a_failure(service: Service, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["outcome", ranked(service, seed=0), "ada/nobody@1", "0.5"])
    assert left.value.code == 1
    told = capsys.readouterr().err
    assert "'ada/nobody@1' is not in the answer" in told
    assert told.endswith(" and 2 more\n")
    assert sum(ref in told for ref in REFS) == 3


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("query", "ada/m0@1", "nan"), "value must be a finite number"),
        (("query", "ada/m0@1", "1e13"), "value must be less than or equal to"),
        (("query", "ada/m0@1", "much"), "ACCURACY"),
        (("query", "ada/m0@1", "0.5", "--metric", "Top 1"), "metric must be 1 to 64 lower-case letters"),
        (("query", "ada/m0@1", "0.5", "--how", "prayer"), "prayer"),
    ],
)
def test_wrong_use_is_told_and_ends_with_2(arguments: tuple[str, ...], told: str) -> None:
    code, text = run("outcome", *arguments)
    assert (code, told in " ".join(text.replace("│", " ").split())) == (2, True), text


def test_calibration_says_what_is_missing_then_shows_a_table(service: Service, zoo: Zoo) -> None:
    assert "No outcomes yet" in run("calibration", "--metric", "recall")[1]
    queries = [ranked(service, seed=seed) for seed in range(3)]
    zoo.outcomes.post(queries[0], [PostedOutcome(module=REFS[0], value=0.5, metric="recall")])
    assert "1 outcome waits: a query counts from 3 modules" in run("calibration", "--metric", "recall")[1]
    for query in queries:
        told = [PostedOutcome(module=ref, value=0.1 * at, metric="recall") for at, ref in enumerate(REFS[:3])]
        zoo.outcomes.post(query, told)
        assert [one.value for one in zoo.outcomes.every(query) if one.metric == "recall"] != []
        few = "Too few queries" in run("calibration", "--metric", "recall")[1]
        assert few == (query != queries[-1])
    code, table = run("calibration", "--metric", "recall", "--how", "other")
    assert code == 0
    assert "recall, other: queries 3, on datasets 3, modules 3" in table
    assert "centred_alignment" in table
    assert "static" in table
    _, text = run("calibration", "--metric", "recall", "--json")
    assert Calibration.model_validate_json(text) == zoo.outcomes.calibration(metric="recall")
