import pytest
import torch
from torch import nn
from torch.optim import SGD, AdamW

from registry.recipes import OptimiserSpec
from trainer.muon import Muon
from trainer.optimisation import Ascent, ParameterGroup, one_cycle

SGD_SPEC = OptimiserSpec(name="sgd", learning_rate=0.1)


def ascent_of(module: nn.Module, spec: OptimiserSpec, *, decay: float = 0.0, steps: int = 20, **group: bool) -> Ascent:
    return Ascent([ParameterGroup((module,), spec.peak_rate, decay, **group)], spec=spec, steps=steps)


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
    factors = [one_cycle(step / 2, steps=steps, warm_up_share=share) for step in range(2 * steps + 1)]
    assert all(0 < factor <= 1 for factor in factors)


@pytest.mark.parametrize("name", ["sgd", "adamw", "muon"])
def test_an_objective_is_raised(name):
    layer = nn.Linear(3, 1, bias=False)
    ascent = ascent_of(layer, OptimiserSpec(name=name, learning_rate=0.1))
    before = layer.weight.detach().clone()
    for step in range(20):
        ascent.clear()
        ascent.rise(-((layer.weight - 2) ** 2).sum())
        ascent.move(done=step / 20)
    assert float(((layer.weight.detach() - 2) ** 2).sum()) < float(((before - 2) ** 2).sum())


def test_gradients_add_up_until_they_are_cleared():
    layer = nn.Linear(3, 1, bias=False)
    ascent = ascent_of(layer, SGD_SPEC)
    ascent.rise(layer.weight.sum())
    ascent.rise(layer.weight.sum())
    assert layer.weight.grad.tolist() == [[-2.0] * 3]
    ascent.clear()
    assert layer.weight.grad is None


def test_the_share_of_the_cycle_that_is_over_sets_the_rate():
    layer = nn.Linear(3, 1, bias=False)
    ascent = ascent_of(layer, SGD_SPEC, steps=100)
    ascent.rise(layer.weight.sum())
    rates = []
    for done in (0.0, 0.19, 0.6, 0.99, 1.0):
        ascent.move(done=done)
        rates.append(ascent.learning_rate)
    assert rates == pytest.approx([0.1 / 20, 0.1, 0.05, 0.1 / 80, 0.1 / 80])


def decays(ascent: Ascent) -> list[tuple[type, float, list[tuple[int, ...]]]]:
    return [
        (type(optimiser), group["weight_decay"], [tuple(parameter.shape) for parameter in group["params"]])
        for optimiser in ascent.optimisers
        for group in optimiser.param_groups
    ]


@pytest.mark.parametrize(("name", "kind"), [("sgd", SGD), ("adamw", AdamW)])
def test_only_matrices_decay(name, kind):
    ascent = ascent_of(nn.Linear(3, 2), OptimiserSpec(name=name), decay=0.5)
    assert decays(ascent) == [(kind, 0.5, [(2, 3)]), (kind, 0.0, [(2,)])]


def test_muon_moves_matrices_and_leaves_the_rest_to_adamw():
    spec = OptimiserSpec(name="muon", weight_decay=0.5)
    layers = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))
    ascent = ascent_of(layers, spec, decay=0.5)
    assert decays(ascent) == [(Muon, 0.5, [(4, 3, 3, 3)]), (AdamW, 0.0, [(4,), (4,), (4,)])]
    assert [optimiser.param_groups[0]["peak"] for optimiser in ascent.optimisers] == [0.02, spec.other_rate]


def test_muon_leaves_a_map_to_classes_alone():
    ascent = ascent_of(nn.Linear(3, 2), OptimiserSpec(name="muon"), to_classes=True)
    assert [kind for kind, *_ in decays(ascent)] == [AdamW, AdamW]


def test_frozen_weights_are_not_optimised():
    frozen, free = nn.Linear(3, 2).requires_grad_(requires_grad=False), nn.Linear(3, 1)
    ascent = Ascent([ParameterGroup((frozen, free), 0.1, 0.5)], spec=SGD_SPEC, steps=1)
    assert [shapes for *_, shapes in decays(ascent)] == [[(1, 3)], [(1,)]]


@pytest.mark.parametrize(("what", "where"), [("weight", "data"), ("gradient", "grad")])
def test_what_is_no_number_is_named_with_its_shape(what, where):
    layer = nn.Linear(3, 2)
    ascent = ascent_of(layer, SGD_SPEC)
    ascent.rise(layer.weight.sum())
    assert ascent.broken() is None
    getattr(layer.weight, where)[1, 1] = torch.nan
    assert ascent.broken() == f"a {what} of shape (2, 3)"
