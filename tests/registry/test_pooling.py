"""Rankings whose scores are pooled: what few images say is weighed with what was known of the modules before."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from registry.judging import Judged, judge
from registry.names import Digest
from registry.pooling import pooled
from registry.rankings import POOLED, Ranking, RankingQuestion, ScoreOptions
from registry.settings import Settings
from registry.standings import ScoredTask
from registry.zoo import Zoo
from storage.wiring import open_zoo
from tests.numpy_worker import OWNER, add_dataset, linear_module, publish, quadrant_zip, work_all
from tests.registry.test_judging import PHI, task

MODULES = 8


@pytest.fixture
def judged() -> list[Judged]:
    options = ScoreOptions(panel=("ridge_gcv", "raw"))
    return [judge(task(examples=60, apart=0.15 * (number + 1), seed=number), PHI, options) for number in range(MODULES)]


def elsewhere_of(judged: list[Judged]) -> list[dict[ScoredTask, float]]:
    """Scores on two other tasks that foretell the true order, and not quite the scores; the last has one of them."""
    generator = np.random.default_rng(7)
    first, second = (Digest(f"sha256:{letter * 64}") for letter in "ab")
    told = [
        {(data, ("label",)): 0.1 * number + 0.02 * generator.normal() for data in (first, second)}
        for number in range(len(judged))
    ]
    del told[-1][first, ("label",)]
    return told


def test_a_pooled_score_moves_with_its_interval_and_what_is_said_of_the_own_one_stays(judged):
    found = pooled(judged, elsewhere_of(judged), "ridge_gcv")
    assert 0.0 < found[0].own_weight < 1.0
    for own, one in zip(judged, found, strict=True):
        assert one.score != own.score
        assert one.interval[0] <= one.score <= one.interval[1]
        kept = (one.panel, one.chance, one.p_value, one.surprise)
        assert kept == (own.panel, own.chance, own.p_value, own.surprise)


def test_where_a_module_leaves_its_doubt_unknown_nothing_is_pooled(judged):
    judged[3] = replace(judged[3], left_out=None)
    assert pooled(judged, elsewhere_of(judged), "ridge_gcv") == judged


@pytest.fixture
def zoo(tmp_path: Path) -> Zoo:
    zoo = open_zoo(Settings(home=tmp_path))
    for number in range(MODULES):
        publish(zoo, f"ada/random-{number}", linear_module(number))
    return zoo


def ask(zoo: Zoo, *, per_class: int, seed: int = 0, **options: object) -> Ranking:
    dataset = add_dataset(zoo, quadrant_zip(per_class=per_class))
    question = RankingQuestion.model_validate({"task": dataset, "seed": seed, **options})
    query = zoo.reusability.ask_ranking(question, owner=OWNER)
    work_all(zoo)
    answer = zoo.queries.state(query, owner=OWNER).answer
    assert isinstance(answer, Ranking)
    return answer


def test_a_zoo_that_knows_its_modules_from_nowhere_gives_their_own_scores(zoo):
    ranking = ask(zoo, per_class=10)
    assert ranking.rank_by == POOLED
    assert all(row.own_weight == 1.0 and row.score == row.panel["ridge_gcv"] for row in ranking.ranking)


def test_few_images_are_weighed_with_the_usual_scores_and_the_answer_says_how_much(zoo):
    ask(zoo, per_class=100)
    ranking = ask(zoo, per_class=6)
    rows = ranking.ranking
    assert all(0.0 < row.own_weight < 1.0 for row in rows)
    assert [row.score for row in rows] == sorted((row.score for row in rows), reverse=True)
    assert any(row.score != row.panel["ridge_gcv"] for row in rows)
    assert ask(zoo, per_class=6).model_dump_json() == ranking.model_dump_json()


def test_who_names_a_score_gets_that_score(zoo):
    ask(zoo, per_class=100)
    ranking = ask(zoo, per_class=6, rank_by="ridge_gcv")
    assert ranking.rank_by == "ridge_gcv"
    assert all(row.score == row.panel["ridge_gcv"] and row.own_weight == 1.0 for row in ranking.ranking)
