"""From statistics to judged scores: the panel, the interval, the chance level, ties and the decision."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from kernel_methods.compaction import compact
from kernel_methods.estimators.h_score import h_score
from kernel_methods.estimators.ridge import ridge
from kernel_methods.evidence import Evidence
from kernel_methods.kernels import RankerName
from kernel_methods.measured import Measured
from kernel_methods.rankers import ranker_score
from kernel_methods.shuffles import ShuffledSums
from kernel_methods.statistics import TaskStatistics, merge
from registry.errors import NotScorableError
from registry.judging import RANGES, Judged, decide, judge, ranks, tied, usual_scores
from registry.manifest import FeatureMap
from registry.rankings import PANEL, RANKERS, ScoreOptions

PHI = FeatureMap(activation="relu", pooling="none", k_min=0.0, k_max=1.0)
DEFAULT = ScoreOptions()


def task(*, examples: int, dimensions: int = 8, classes: int = 2, apart: float = 1.0, seed: int = 0) -> Evidence:
    """Evidence in ten shards (fewer where examples are few) of features around class means, with shuffles."""
    draws = np.random.default_rng(seed)
    labels = np.arange(examples) % classes
    means = apart * draws.normal(size=(classes, dimensions))
    return evidence_of(np.maximum(means[labels] + draws.normal(size=(examples, dimensions)), 0.0), labels, classes)


def evidence_of(features: NDArray[np.float64], labels: NDArray[np.int64], classes: int, *, seed: int = 1) -> Evidence:
    draws = np.random.default_rng([seed, 0])
    rows = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    dealt = np.stack([draws.permutation(labels) for _ in range(50)])
    parts = np.array_split(draws.permutation(len(labels)), max(1, min(10, len(labels) // 2)))
    shards = tuple(TaskStatistics.of(rows[part], labels[part], classes=classes) for part in parts)
    return Evidence(shards, ShuffledSums.of(rows, dealt, classes=classes))


def by(name: RankerName) -> ScoreOptions:
    return ScoreOptions(rank_by=name)


def test_the_default_ranker_is_the_first_of_all() -> None:
    assert DEFAULT.rank_by == RANKERS[0] == "ridge_gcv"


def test_the_panel_is_complete() -> None:
    panel = judge(task(examples=100), PHI, DEFAULT).panel
    assert tuple(panel) == PANEL
    assert None not in panel.values()
    assert set(RANKERS) < set(PANEL)


def test_only_what_was_asked_for_is_shown() -> None:
    assert set(judge(task(examples=100), PHI, ScoreOptions(panel=("raw", "ridge"))).panel) == {"raw", "ridge"}
    with pytest.raises(ValidationError, match="at least 1 item"):
        ScoreOptions(panel=())


@pytest.mark.parametrize("dimensions", [8, 120])
@pytest.mark.parametrize("name", RANKERS)
def test_the_score_is_that_of_all_examples_and_so_is_the_panels(name: RankerName, dimensions: int) -> None:
    evidence = task(examples=50, dimensions=dimensions)
    judged = judge(evidence, PHI, by(name))
    whole = ranker_score(name, merge(evidence.shards), k_min=0.0, k_max=1.0)
    assert judged.score == pytest.approx(whole, abs=1e-9)
    assert judged.panel[name] == judged.score
    assert judge(evidence, PHI, DEFAULT).panel[name] == pytest.approx(whole, abs=1e-9)
    assert judged.interval[0] <= judged.score <= judged.interval[1]
    assert judged.beats_chance


def test_the_shrunk_h_score_is_computed_in_all_dimensions() -> None:
    evidence = task(examples=30, dimensions=200, apart=0.3)
    small = compact(evidence)
    assert small.shards[0].dimensions < 200
    whole = h_score(merge(evidence.shards))
    assert abs(h_score(merge(small.shards)) - whole) > 1e-3
    assert judge(evidence, PHI, by("h_score")).score == pytest.approx(whole, abs=1e-12)
    assert judge(evidence, PHI, DEFAULT).panel["h_score"] == pytest.approx(whole, abs=1e-12)


def test_ridge_is_held_out_shard_by_shard() -> None:
    evidence = task(examples=100)
    assert judge(evidence, PHI, DEFAULT).panel["ridge"] == pytest.approx(ridge(evidence.shards), abs=1e-12)
    alone = Evidence((merge(evidence.shards),), evidence.shuffled)
    assert judge(alone, PHI, DEFAULT).panel["ridge"] is None


@pytest.mark.parametrize("name", RANKERS)
@pytest.mark.parametrize(("examples", "apart"), [(6, 0.0), (12, 0.0), (12, 9.0), (40, 9.0)])
def test_no_interval_passes_what_the_score_can_be(name: RankerName, examples: int, apart: float) -> None:
    judged = judge(task(examples=examples, dimensions=30, apart=apart), PHI, by(name))
    lowest, highest = RANGES.get(name, (-1.0, 1.0))
    assert lowest <= judged.interval[0] <= judged.score + 1e-12
    assert judged.score - 1e-12 <= judged.interval[1] <= highest


@pytest.mark.parametrize("name", RANKERS)
def test_an_interval_that_is_unknown_is_all_that_the_score_can_be(name: RankerName) -> None:
    evidence = task(examples=40)
    judged = judge(Evidence((merge(evidence.shards),), evidence.shuffled), PHI, by(name))
    assert judged.left_out is None
    assert judged.interval == RANGES.get(name, (-1.0, 1.0))


@pytest.mark.parametrize("name", RANKERS)
@pytest.mark.parametrize("kind", ["zeros", "all-equal", "perfect", "few", "many-classes"])
def test_every_number_can_be_written_down(name: RankerName, kind: str) -> None:
    labels = np.arange(40) % 2
    features = {"zeros": np.zeros((40, 3)), "all-equal": np.ones((40, 3)), "perfect": np.eye(2)[labels]}.get(kind)
    if features is None:
        evidence = task(examples=6) if kind == "few" else task(examples=40, classes=20)
    else:
        evidence = evidence_of(features, labels, 2)
    for held in (evidence, replace(evidence, shuffled=None)):
        judged = judge(held, PHI, by(name))
        numbers = [judged.score, *judged.interval, judged.chance, judged.p_value, *judged.panel.values()]
        assert json.dumps(numbers, allow_nan=False)
        assert 0.0 <= judged.smallest_p_value <= judged.p_value <= 1.0


@pytest.mark.parametrize("name", RANKERS)
def test_one_class_cannot_be_scored(name: RankerName) -> None:
    evidence = evidence_of(np.eye(8), np.zeros(8, np.int64), 2)
    with pytest.raises(NotScorableError, match=f"{name} cannot be told from 8 examples of 2 classes: undefined: "):
        judge(evidence, PHI, by(name))


def test_three_examples_are_too_few_for_the_default() -> None:
    evidence = Evidence((TaskStatistics.of(np.eye(3), np.array([0, 1, 0]), classes=2),))
    with pytest.raises(NotScorableError, match="needs 4 examples, got 3; give more images"):
        judge(evidence, PHI, DEFAULT)


def test_what_the_ranker_can_tell_and_the_panel_cannot_is_null() -> None:
    evidence = Evidence((TaskStatistics.of(np.eye(3), np.array([0, 1, 2]), classes=3),))
    panel = judge(evidence, PHI, by("logme")).panel
    undefined = {"ridge_gcv", "ridge", "nearest_class_mean", "centred_alignment", "upper_triangle_alignment"}
    assert {name for name, value in panel.items() if value is None} == undefined


MEASURED = ("knn", "linear_probe", "leep", "nce", "transrate", "negative_mean_squared_error_neo")


def test_measured_values_are_null_where_nothing_was_measured() -> None:
    assert judge(task(examples=60), PHI, ScoreOptions(panel=MEASURED)).panel == dict.fromkeys(MEASURED)


def test_measured_values_are_shown_where_they_were_measured() -> None:
    evidence = task(examples=60)
    counts = merge(evidence.shards).counts
    beside = Measured(
        values={"knn": 0.75, "leep": -0.5}, groups=((0,), (1,)), head_counts=np.stack([counts, 0 * counts])
    )
    panel = judge(replace(evidence, beside=beside), PHI, ScoreOptions(panel=MEASURED)).panel
    assert (panel["knn"], panel["leep"], panel["linear_probe"]) == (0.75, -0.5, None)
    assert panel["nce"] == pytest.approx(np.log(0.5))


@pytest.mark.parametrize("name", RANKERS)
def test_a_module_ties_with_itself(name: RankerName) -> None:
    one = judge(task(examples=80), PHI, by(name))
    assert tied(one, one)
    assert ranks([one, one, one]) == [1, 1, 1]
    assert decide([one, one], ranks([one, one])) == "tie"


def test_a_module_that_serves_better_ranks_first() -> None:
    good, bad = (judge(task(examples=400, apart=apart), PHI, DEFAULT) for apart in (2.0, 0.3))
    assert good.score > bad.score
    assert ranks([good, bad]) == [1, 2]
    assert decide([good, bad], [1, 2]) == "ranked"


def judged_without_meaning(seed: int, *, rare: int) -> Judged:
    draws = np.random.default_rng(seed)
    labels = draws.permutation((np.arange(100) < rare).astype(np.int64))
    evidence = evidence_of(np.abs(draws.normal(size=(100, 10))), labels, 2, seed=seed)
    return judge(evidence, PHI, ScoreOptions(panel=("raw",)))


@pytest.mark.parametrize("rare", [50, 5])
def test_labels_that_mean_nothing_are_seldom_called_useful(rare: int) -> None:
    told = []
    for seed in range(120):
        found = [judged_without_meaning(3 * seed + one, rare=rare) for one in range(3)]
        found.sort(key=lambda one: -one.score)
        told.append(decide(found, ranks(found)) != "none_better_than_chance")
    assert np.mean(told) <= 0.1


def test_no_module_is_no_better_than_chance() -> None:
    assert decide([], []) == "none_better_than_chance"


def test_usual_scores_are_the_cheap_ones_that_are_defined() -> None:
    evidence = task(examples=50, dimensions=120)
    found, judged = usual_scores(evidence, PHI), judge(evidence, PHI, DEFAULT)
    assert set(found) == set(RANKERS) - {"logme", "h_score"}
    assert all(score == pytest.approx(judged.panel[name], abs=1e-10) for name, score in found.items())
    few = Evidence((TaskStatistics.of(np.eye(3), np.array([0, 1, 0]), classes=2),))
    assert "ridge_gcv" not in usual_scores(few, PHI)
    assert "raw" in usual_scores(few, PHI)


@pytest.mark.parametrize("name", RANKERS)
def test_three_images_of_each_of_two_classes_never_beat_chance(name: RankerName) -> None:
    """Of the 20 ways to deal the labels, two give the best score: it is the same with the names swapped."""
    one = judge(task(examples=6, apart=9.0), PHI, by(name))
    assert one.smallest_p_value == pytest.approx(0.1)
    assert one.p_value >= 0.1 - 1e-9
    assert decide([one], [1]) == "none_better_than_chance"


def test_many_modules_are_no_less_likely_to_surprise_than_one_of_them() -> None:
    one = replace(judge(task(examples=100, apart=9.0), PHI, DEFAULT), p_value=0.2)
    assert decide([one, one], [1, 2]) == "none_better_than_chance"
