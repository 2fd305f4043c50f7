"""`zoo map` writes rows and columns in the order of the clusters, and names them."""

import pytest

from client.cli.map import _write
from tests.api.test_map_plots import map_of


def test_a_map_is_a_table_with_its_columns_named_below(capsys: pytest.CaptureFixture[str]) -> None:
    task_map = map_of(2, 3)
    _write(task_map)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["cluster", "source", "t1", "t2", "t3"]
    first = task_map.order[0]
    assert f"a/b{first}@1" in lines[1]
    assert lines[1].split()[-1] == f"{task_map.scores[first][2]:.3f}"
    assert [line.split(":")[0] for line in lines[3:6]] == ["t1", "t2", "t3"]
    assert lines[3] == "t1: cat0 / dog0"


def test_a_source_of_unknown_training_is_named_by_its_module(capsys: pytest.CaptureFixture[str]) -> None:
    known = map_of(2, 2)
    unknown = tuple(source.model_copy(update={"classes": {}}) for source in known.sources)
    _write(known.model_copy(update={"sources": unknown}))
    assert "(a/b" not in capsys.readouterr().out
