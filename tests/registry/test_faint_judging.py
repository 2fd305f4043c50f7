"""Scores of a handful of examples, of features that say almost nothing, and of statistics with noise on them."""

import numpy as np
import pytest

from kernel_methods.evidence import Evidence
from kernel_methods.intervals import jackknife_of
from kernel_methods.noise import with_gaussian_noise
from kernel_methods.rankers import left_out
from kernel_methods.statistics import TaskStatistics
from registry import judging
from registry.errors import NotScorableError
from registry.judging import RANGES, judge
from registry.manifest import FeatureMap
from registry.rankings import ScoreOptions

PHI = FeatureMap(activation="relu", pooling="none", k_min=0.0, k_max=1.0)
OPTIONS = ScoreOptions(rank_by="ridge_gcv", panel=("raw",))


def shards_of(
    draws: np.random.Generator, *, examples: int, dimensions: int, apart: float = 0.0, parts: int = 10
) -> tuple[TaskStatistics, ...]:
    """Two classes whose means are so far apart in one of the dimensions, which have deviation 1."""
    labels = draws.permutation(np.arange(examples) % 2)
    features = draws.normal(size=(examples, dimensions))
    features[:, 0] += apart * (labels - 0.5)
    rows = features / np.linalg.norm(features, axis=1, keepdims=True)
    split = np.array_split(np.arange(examples), min(parts, examples // 2))
    return tuple(TaskStatistics.of(rows[part], labels[part], classes=2) for part in split)


@pytest.mark.parametrize("dimensions", [2, 3, 8, 64])
@pytest.mark.parametrize("examples", [4, 5, 6, 8, 10, 20])
def test_the_score_of_a_handful_lies_in_its_interval(examples: int, dimensions: int) -> None:
    lowest, highest = RANGES.get("ridge_gcv", (-1.0, 1.0))
    for seed in range(20):
        shards = shards_of(np.random.default_rng(seed), examples=examples, dimensions=dimensions)
        judged = judge(Evidence(shards), PHI, OPTIONS)
        assert lowest <= judged.interval[0] <= judged.score <= judged.interval[1] <= highest


@pytest.mark.parametrize("dimensions", [8, 64, 256])
@pytest.mark.parametrize("examples", [6, 10, 20, 50])
def test_noise_that_drowns_a_handful_leaves_a_score_in_its_interval(examples: int, dimensions: int) -> None:
    draws = np.random.default_rng(0)
    for seed in range(5):
        shards = shards_of(np.random.default_rng(seed), examples=examples, dimensions=dimensions)
        noisy = tuple(with_gaussian_noise(shard, scale=3.0, normal=draws.standard_normal) for shard in shards)
        judged = judge(Evidence(noisy), PHI, OPTIONS)
        assert -1.0 <= judged.interval[0] <= judged.score <= judged.interval[1] <= 1.0


def test_a_score_that_is_no_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "ranker_score", lambda *_, **__: -np.inf)
    shards = shards_of(np.random.default_rng(0), examples=20, dimensions=4)
    with pytest.raises(NotScorableError, match=r"ridge_gcv cannot be told from 20 examples of 2 classes: .*-inf"):
        judge(Evidence(shards), PHI, OPTIONS)


@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_intervals_hold_the_mean_score_where_features_say_almost_nothing(apart: float) -> None:
    drawn = (shards_of(np.random.default_rng(seed), examples=60, dimensions=24, apart=apart) for seed in range(200))
    told = [left_out("ridge_gcv", shards, k_min=0.0, k_max=1.0) for shards in drawn]
    truth = float(np.mean([each.total for each in told]))
    intervals = [jackknife_of(each) for each in told]
    held = float(np.mean([each.low <= truth <= each.high for each in intervals]))
    assert 0.93 <= held <= 0.99
    assert abs(truth) < 0.05
