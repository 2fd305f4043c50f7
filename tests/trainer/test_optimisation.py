import pytest
import torch
from torch import nn

from registry.errors import JobFailedError
from registry.recipes import OptimiserSpec
from trainer.optimisation import Ascent, ParameterGroup, finite_mean, one_cycle


def test_one_cycle_rises_to_one_and_falls_towards_zero():
    factors = [one_cycle(step, steps=100, warm_up_share=0.2) for step in range(100)]
    peak = factors.index(1.0)
    assert peak in (19, 20)
    assert factors[: peak + 1] == sorted(factors[: peak + 1])
    assert factors[peak:] == sorted(factors[peak:], reverse=True)
    assert 0 < factors[0] <= 0.05
    assert 0 < factors[-1] <= 0.02


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 3, 17])
def test_one_cycle_stays_within_its_range(share, steps):
    factors = [one_cycle(step, steps=steps, warm_up_share=share) for step in range(steps + 1)]
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_an_objective_is_raised(name):
    layer = nn.Linear(3, 1, bias=False)
    ascent = Ascent([ParameterGroup((layer,), 0.1, 0.0)], spec=OptimiserSpec(name=name, learning_rate=0.1), steps=20)
    before = layer.weight.detach().clone()
    for _ in range(20):
        ascent.step(-((layer.weight - 2) ** 2).sum())
    assert float(((layer.weight.detach() - 2) ** 2).sum()) < float(((before - 2) ** 2).sum())


def test_only_matrices_decay():
    layer = nn.Linear(3, 2)
    parts = ParameterGroup((layer,), 0.1, 0.5).as_torch()
    assert [part["weight_decay"] for part in parts] == [0.5, 0.0]
    assert parts[0]["params"] == [layer.weight]


def test_frozen_weights_are_not_optimised():
    layer = nn.Linear(3, 2).requires_grad_(requires_grad=False)
    assert ParameterGroup((layer,), 0.1, 0.5).as_torch() == []


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_an_objective_that_is_no_number_is_told_with_its_place(value):
    with pytest.raises(JobFailedError, match="module 1 of 2, epoch 3"):
        finite_mean([torch.tensor(1.0), torch.tensor(value)], what="module 1 of 2, epoch 3")
