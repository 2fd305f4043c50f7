"""The benches of statistics and cards: their parts on small tasks, and each at its smallest size."""

import json
import sys

import numpy as np
import pytest

from bench import cards, exactness, statistics_speed


def test_sharding_and_pairs_change_no_score_of_a_small_task():
    found = exactness.worst(exactness.differences(exactness.clustered(0, examples=120, dimensions=16)))
    assert {name for kind, name in found if kind == "sharding"} == set(exactness.SCORES)
    assert max(value for (kind, _), value in found.items() if kind in ("sharding", "gram")) < 1e-10
    assert found["float32", "alignment"] < found["bfloat16", "alignment"] < 0.01


def test_a_card_and_the_features_agree_on_all_pairs(monkeypatch):
    monkeypatch.setattr(cards, "QUICK_EXAMPLES", 400)
    found = cards.compare(*cards.random_features(0))
    assert found["difference"] < 1e-10
    assert found["difference_merged"] < 1e-10


def test_a_million_rows_are_extrapolated_from_fewer(monkeypatch):
    monkeypatch.setattr(statistics_speed, "BLOCK", 100)
    monkeypatch.setattr(statistics_speed, "DIMENSIONS", 8)
    assert np.all(np.array(statistics_speed.one_million(1000)) > 0.0)


def test_targets_are_met_from_the_right_side():
    figures = {"ratio": 11.0, "difference_largest": 1e-12, "ratio_at_5e4": 101.0, "million_seconds": 7.9}
    assert statistics_speed.met(figures)
    assert not statistics_speed.met({**figures, "ratio_at_5e4": 99.0})
    assert not statistics_speed.met({**figures, "million_seconds": 8.1})


@pytest.mark.slow
@pytest.mark.parametrize("bench", [statistics_speed, cards, exactness], ids=lambda bench: bench.__name__)
def test_a_bench_runs_at_its_smallest_size_and_ends_with_one_line_of_json(bench, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    bench.main()
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["bench"] == bench.__name__.removeprefix("bench.")
    assert told["figures"]["difference_largest" if bench is not exactness else "gram_largest"] < 1e-10
