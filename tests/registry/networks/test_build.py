"""Built modules are what the arithmetic says, and hold no weight that was not set."""

import pytest
import torch
import torchvision
from hypothesis import given, settings
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from registry.architectures.contracts import (
    TensorEntrySpec,
    TensorType,
    gives,
    multiply_adds,
    parameter_count,
    tensors,
)
from registry.architectures.presets import DEFAULT_WIDTHS, family_spec, output_module
from registry.architectures.specs import (
    ArchitectureSpec,
    BatchNorm1dSpec,
    BlocksSpec,
    Conv2dSpec,
    FamilyName,
    FlattenSpec,
    LinearSpec,
    ReluSpec,
    ResNetArguments,
    ResNetSpec,
)
from registry.errors import InvalidArchitectureError, InvalidWeightsError
from registry.networks.build import build, initialise, load
from tests.registry.architectures.strategies import architectures

SMALL = BlocksSpec(
    blocks=(
        Conv2dSpec(in_channels=2, out_channels=3, kernel=3),
        ReluSpec(),
        FlattenSpec(),
        BatchNorm1dSpec(features=12),
        LinearSpec(in_features=12, out_features=4),
    )
)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def fresh(spec: ArchitectureSpec, seed: int = 0) -> nn.Sequential:
    module = build(spec)
    initialise(module, generator(seed))
    return module


def assert_arithmetic_holds(spec: ArchitectureSpec, takes: TensorType) -> None:
    """Shapes, tensors, parameters and work, against the module on the meta device."""
    with torch.device("meta"):
        module = build(spec).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            outputs = module(torch.empty(2, *takes.shape))
    assert gives(spec, takes).shape == tuple(outputs.shape[1:])
    entries = {name: TensorEntrySpec(tuple(value.shape)) for name, value in module.state_dict().items()}
    assert list(tensors(spec).items()) == list(entries.items())
    assert {value.dtype for value in module.state_dict().values()} <= {torch.float32}
    assert parameter_count(spec) == sum(value.numel() for value in module.parameters())
    assert 2 * 2 * multiply_adds(spec, takes) == counter.get_total_flops()


@settings(deadline=None, max_examples=60)
@given(architectures())
def test_arithmetic_equals_torch_for_random_blocks(drawn: tuple[BlocksSpec, TensorType]) -> None:
    assert_arithmetic_holds(*drawn)


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 28), (3, 32, 32), (3, 160, 128)])
@pytest.mark.parametrize("family", DEFAULT_WIDTHS)
def test_arithmetic_equals_torch_for_every_preset(family: FamilyName, shape: tuple[int, ...]) -> None:
    takes = TensorType(shape=shape)
    spec = family_spec(family, takes)
    assert_arithmetic_holds(spec, takes)
    below = gives(spec, takes)
    pooling = "average-2x2" if len(below.shape) == 3 else "none"
    assert_arithmetic_holds(output_module(below, activation="relu", pooling=pooling, classes=10), below)


@pytest.mark.parametrize("family", ["resnet18", "resnet34"])
def test_residual_networks_have_as_many_parameters_as_torchvision(family: FamilyName) -> None:
    """All but the last linear map, which is an output module's."""
    with torch.device("meta"):
        theirs = torchvision.models.get_model(family)
    spec = ResNetSpec(family=family, arguments=ResNetArguments(stem="imagenet"))
    head = 512 * 1000 + 1000
    assert parameter_count(spec) == sum(value.numel() for value in theirs.parameters()) - head


def test_resnet18_computes_what_torchvision_computes() -> None:
    spec = ResNetSpec(family="resnet18", arguments=ResNetArguments(stem="imagenet"))
    ours, theirs = fresh(spec).eval(), torchvision.models.resnet18().eval()
    theirs.fc = nn.Identity()
    wanted = [name for name in theirs.state_dict() if not name.endswith("num_batches_tracked")]
    given_names = list(ours.state_dict())
    theirs.load_state_dict(
        dict(zip(wanted, (ours.state_dict()[name] for name in given_names), strict=True)), strict=False
    )
    x = torch.randn(2, 3, 64, 64, generator=generator())
    with torch.no_grad():
        torch.testing.assert_close(ours(x).relu().mean(dim=(2, 3)), theirs(x), rtol=1e-4, atol=1e-4)


def test_building_draws_no_number_and_leaves_every_weight_nan() -> None:
    before = torch.get_rng_state()
    module = build(SMALL)
    assert torch.equal(before, torch.get_rng_state())
    assert all(value.isnan().all() for value in module.state_dict().values())


def test_initialising_draws_from_its_generator_only_and_sets_every_weight() -> None:
    before = torch.get_rng_state()
    one, same, other = fresh(SMALL).state_dict(), fresh(SMALL).state_dict(), fresh(SMALL, 1).state_dict()
    assert torch.equal(before, torch.get_rng_state())
    assert all(value.isfinite().all() for value in one.values())
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert not torch.equal(one["0.weight"], other["0.weight"])


def test_initial_weights_have_variance_two_over_fan_in() -> None:
    module = fresh(BlocksSpec(blocks=(LinearSpec(in_features=200, out_features=1000),)))
    assert module[0].weight.var().item() == pytest.approx(2 / 200, rel=0.02)
    assert module[0].bias.abs().max().item() == 0


def test_a_weight_without_a_rule_is_not_passed_over() -> None:
    module = nn.Sequential(nn.Linear(2, 2), nn.LayerNorm(2))
    with pytest.raises(ValueError, match=r"1\.bias.*1\.weight"):
        initialise(module, generator())


def test_a_part_of_a_family_can_be_built_and_trained() -> None:
    spec = ResNetSpec(family="resnet18", arguments=ResNetArguments(width=4), start=2, stop=6)
    outputs = fresh(spec)(torch.randn(2, 4, 8, 8, generator=generator()))
    outputs.square().mean().backward()
    assert outputs.shape == (2, 4, 8, 8)


def test_too_many_parameters_are_refused_before_anything_is_built() -> None:
    wide = LinearSpec(in_features=1_000_000, out_features=1_000_000)
    with pytest.raises(InvalidArchitectureError, match="1,000,001,000,000 parameters"):
        build(BlocksSpec(blocks=(wide,)))


def test_loading_gives_a_frozen_module_with_copies_of_the_weights() -> None:
    source = fresh(SMALL).eval()
    weights = {name: value.clone() for name, value in source.state_dict().items()}
    module = load(SMALL, weights)
    x = torch.randn(3, 2, 4, 4, generator=generator())
    assert torch.equal(module(x), source(x))
    assert not any(part.training for part in module.modules())
    assert not any(value.requires_grad for value in module.parameters())
    weights["4.bias"].fill_(7.0)
    assert torch.equal(module(x), source(x))


def test_a_state_without_a_version_can_be_loaded_by_torch_too() -> None:
    module = build(SMALL)
    module.load_state_dict(dict(fresh(SMALL).state_dict()), strict=True)
    assert all(value.isfinite().all() for value in module.state_dict().values())


def test_weights_that_do_not_fit_are_refused_each_with_a_fault() -> None:
    weights = dict(fresh(SMALL).state_dict())
    del weights["0.bias"]
    weights["0.weight"] = weights["0.weight"][:, :1]
    weights["4.bias"] = weights["4.bias"].double()
    weights["surplus"] = torch.zeros(2)
    with pytest.raises(InvalidWeightsError, match="4 tensors do not fit") as caught:
        load(SMALL, weights)
    assert {fault.pointer for fault in caught.value.faults} == {
        "/tensors/0.bias",
        "/tensors/0.weight",
        "/tensors/4.bias",
        "/tensors/surplus",
    }


@pytest.mark.gpu
def test_a_seed_gives_the_same_weights_on_a_gpu() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    with torch.device("cuda"):
        module = build(SMALL)
    initialise(module, generator())
    here = fresh(SMALL).state_dict()
    assert all(torch.equal(value.cpu(), here[name]) for name, value in module.state_dict().items())
