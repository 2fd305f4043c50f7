"""The training benches run at their smallest size wherever the data is."""

import json
import sys

import pytest
import torch

from bench import halving, methods, objectives, registry_scale, sketch, speed, training, weak_labels
from bench.activations import ActivationMeter
from bench.cifar import ROOT


@pytest.mark.slow
@pytest.mark.parametrize(
    "bench", [halving, training, objectives, methods, weak_labels, speed, sketch], ids=lambda bench: bench.__name__
)
def test_a_bench_runs_at_its_smallest_size_and_ends_with_one_line_of_json(bench, monkeypatch, capsys):
    if not (ROOT.parent / "shared" / "data" / "cifar10-train.parquet").exists():
        pytest.skip("the CIFAR-10 files are not there")
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    bench.main()
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["bench"] == bench.__name__.removeprefix("bench.")
    assert told["figures"]


@pytest.mark.slow
@pytest.mark.postgres
def test_the_bench_of_a_large_registry_runs_at_its_smallest_size(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["bench", "--quick"])
    registry_scale.main()
    told = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert told["bench"] == "registry_scale"
    assert told["figures"]["versions"] == 20_000


def test_the_meter_counts_what_a_graph_keeps_until_it_lets_go():
    weight = torch.nn.Parameter(torch.ones(8, 8))
    inputs = torch.ones(4, 8)
    with ActivationMeter() as meter:
        hidden = torch.tanh(inputs @ weight)
        kept = 4 * 8 * 4
        assert meter.peak_bytes == 2 * kept
        hidden.sum().backward()
        del hidden
        torch.tanh(inputs @ weight).sum().backward()
    assert meter.peak_bytes == 2 * kept


def test_the_meter_does_not_count_weights():
    weight = torch.nn.Parameter(torch.ones(8, 8))
    with ActivationMeter() as meter:
        (torch.ones(4, 8, requires_grad=True) @ weight).sum()
    assert meter.peak_bytes == 0
