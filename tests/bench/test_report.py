import json
import sys

import pytest

from bench.report import parse_quick, report


def test_a_report_is_one_line_of_json(capsys):
    line = report(bench="a_bench", figures={"ratio": 12.5}, targets={"ratio": 10}, holds=True)
    assert capsys.readouterr().out == line + "\n"
    assert json.loads(line) == {
        "bench": "a_bench",
        "figures": {"ratio": 12.5},
        "targets": {"ratio": 10},
        "holds": True,
    }


def test_a_figure_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="JSON"):
        report(bench="a_bench", figures={"ratio": float("nan")}, targets={}, holds=False)


@pytest.mark.parametrize(("arguments", "quick"), [([], False), (["--quick"], True)])
def test_quick_is_read_from_the_command_line(monkeypatch, arguments, quick):
    monkeypatch.setattr(sys, "argv", ["bench", *arguments])
    assert parse_quick("First line.\n\nMore.") is quick
