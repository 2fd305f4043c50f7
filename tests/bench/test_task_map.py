import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_rand_score

from bench.task_map import NAMES, PAIRS, adjusted_rand_index, draw_map, find_data, kind_of
from registry.task_map import task_map

partitions = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=20)


@given(partitions)
def test_the_adjusted_rand_index_is_that_of_scikit_learn(pairs):
    one, other = ([pair[side] for pair in pairs] for side in (0, 1))
    assert adjusted_rand_index(one, other) == pytest.approx(adjusted_rand_score(one, other))


def test_fifteen_tasks_are_of_three_kinds():
    assert np.bincount([kind_of(pair) for pair in PAIRS]).tolist() == [3, 3, 9]
    assert kind_of((NAMES.index("airplane"), NAMES.index("dog"))) == 2


def test_a_map_is_drawn_as_a_small_picture(tmp_path):
    scores = np.random.default_rng(0).uniform(size=(15, 15))
    draw_map(scores, task_map(scores), path=tmp_path / "map.png")
    assert 10_000 < (tmp_path / "map.png").stat().st_size < 200_000


def test_a_folder_without_data_is_not_taken_for_one(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_DATA", str(tmp_path))
    monkeypatch.setattr("bench.task_map.ROOT", tmp_path / "repository")
    assert find_data() is None
