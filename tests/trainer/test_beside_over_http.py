"""A panel with everything that is measured beside statistics: asked over HTTP, answered by a real worker."""

import math
import time
from collections.abc import Iterator

import pytest

from client.zoo import Zoo
from registry.rankings import Ranking, RankingQuestion, RankingRow
from registry.recipes import OutputSpec
from registry.records import Dataset, JobStatus
from tests.api.serving import serving
from tests.trainer.serving import digits_file, digits_recipe, working

BESIDE = ("knn", "linear_probe", "leep", "nce", "transrate", "negative_mean_squared_error_neo")


@pytest.fixture(scope="module")
def zoo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zoo]:
    folder = tmp_path_factory.mktemp("zoo")
    with serving(folder / "service") as running:
        url = str(running.http.base_url)
        with Zoo(url, cache=folder / "cache") as client, working(url, folder / "worker"):
            yield client


@pytest.fixture(scope="module")
def data(zoo: Zoo, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The digits, with an input, a hidden and an output module that were trained on them."""
    file = tmp_path_factory.mktemp("data") / "digits.npz"
    file.write_bytes(digits_file())
    dataset = zoo.datasets.publish(file)
    job = zoo.jobs.submit("ada/low-high", digits_recipe(dataset.digest, modules=2, output=OutputSpec(epochs=2)))
    deadline = time.monotonic() + 60
    while not zoo.jobs.show(job.id).status.ended and time.monotonic() < deadline:
        time.sleep(0.05)
    assert zoo.jobs.show(job.id).status is JobStatus.DONE
    return dataset


@pytest.fixture(scope="module")
def task(zoo: Zoo, data: Dataset) -> str:
    return zoo.tasks.create(data.digest, {"even": ["0", "2", "4"], "odd": ["1", "3"]}).id


@pytest.fixture(scope="module")
def asked(zoo: Zoo, task: str) -> Ranking:
    return zoo.queries.rank(RankingQuestion(task=task, panel=BESIDE))


def row(ranking: Ranking, name: str) -> RankingRow:
    return next(each for each in ranking.ranking if each.module.ref.startswith(f"ada/low-high-{name}@"))


def test_every_part_of_the_panel_has_its_value(asked: Ranking) -> None:
    panel = row(asked, "hidden-1").panel
    assert tuple(panel) == BESIDE
    assert all(value is not None and math.isfinite(value) for value in panel.values())
    assert 0.5 < panel["knn"] <= 1
    assert 0.5 < panel["linear_probe"] <= 1
    assert -math.log(2) - 1e-9 <= panel["leep"] <= 0
    assert -math.log(2) - 1e-9 <= panel["nce"] <= 0
    assert panel["transrate"] > 0
    assert panel["negative_mean_squared_error_neo"] < 0


def test_a_module_without_a_source_head_says_so(asked: Ranking) -> None:
    without = row(asked, "input")
    assert (without.panel["leep"], without.panel["nce"]) == (None, None)
    assert without.panel["knn"] is not None
    said = [warning for warning in without.warnings if "not measured" in warning]
    assert said == [f"{name} was not measured: no verified output module stands on this module" for name in BESIDE[2:4]]
    assert not any("not measured" in warning for warning in row(asked, "hidden-1").warnings)


def test_the_usual_question_needs_no_pass_afterwards(zoo: Zoo, asked: Ranking, task: str) -> None:
    usual = zoo.queries.rank(RankingQuestion(task=task))
    assert all(each.cached for each in usual.ranking)
    assert {each.module.ref: each.score for each in usual.ranking} == {
        each.module.ref: each.score for each in asked.ranking
    }
    assert not set(BESIDE) & set(usual.ranking[0].panel)


def test_the_same_question_gives_the_same_answer(zoo: Zoo, asked: Ranking, task: str) -> None:
    assert zoo.queries.rank(RankingQuestion(task=task, panel=BESIDE)) == asked


def test_references_are_of_the_classes_of_the_task(zoo: Zoo, asked: Ranking, data: Dataset) -> None:
    digits = zoo.queries.rank(RankingQuestion(task=data.digest, panel=BESIDE))
    ours, theirs = row(digits, "hidden-1"), row(asked, "hidden-1")
    assert not ours.cached
    assert ours.panel["knn"] != theirs.panel["knn"]
    assert ours.panel["nce"] < theirs.panel["nce"]
