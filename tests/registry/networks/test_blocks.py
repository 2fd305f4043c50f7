"""Blocks of our own do what their counterparts in torch and torchvision do."""

import copy

import pytest
import torch
from torch import nn
from torchvision.models.resnet import BasicBlock as PublishedBlock

from registry.networks.blocks import BasicBlock, BatchNorm, UnitNorm


def images(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def published(block: BasicBlock) -> nn.Module:
    """torchvision's block with the same weights; its last relu is still to be applied to ours."""
    down = None
    if len(block.shortcut):
        projection = block.shortcut[0]
        down = nn.Sequential(copy.deepcopy(projection), nn.BatchNorm2d(projection.out_channels))
    other = PublishedBlock(block.conv1.in_channels, block.conv1.out_channels, block.conv1.stride[0], down)
    state = {name.replace("shortcut", "downsample"): value for name, value in block.state_dict().items()}
    other.load_state_dict(state, strict=False)
    return other


@pytest.mark.parametrize(("channels", "stride"), [(4, 1), (6, 1), (4, 2), (8, 2)])
@pytest.mark.parametrize("training", [True, False])
def test_a_basic_block_is_the_published_one_without_its_last_relu(channels: int, stride: int, training: bool) -> None:
    ours = BasicBlock(4, channels, stride)
    theirs = published(ours)
    x = images(3, 4, 7, 7)
    outputs = ours.train(training)(x)
    torch.testing.assert_close(outputs.relu(), theirs.train(training)(x))
    assert outputs.min() < 0


@pytest.mark.parametrize(
    ("theirs", "shape"), [(nn.BatchNorm1d(5), (8, 5)), (nn.BatchNorm2d(5), (4, 5, 3, 3))], ids=["1d", "2d"]
)
def test_batch_norm_is_that_of_torch_in_both_modes(theirs: nn.Module, shape: tuple[int, ...]) -> None:
    ours = BatchNorm(5)
    for step in range(3):
        x = images(*shape) * (step + 1) + step
        torch.testing.assert_close(ours(x), theirs(x))
    torch.testing.assert_close(ours.running_mean, theirs.running_mean)
    torch.testing.assert_close(ours.running_var, theirs.running_var)
    torch.testing.assert_close(ours.eval()(x), theirs.eval()(x))


def test_batch_norm_has_float_tensors_only() -> None:
    state = BatchNorm(5).state_dict()
    assert list(state) == ["weight", "bias", "running_mean", "running_var"]
    assert {value.dtype for value in state.values()} == {torch.float32}


def test_unit_norm_gives_rows_of_norm_one_and_keeps_zeros() -> None:
    x = torch.tensor([[3.0, 4.0], [0.0, 0.0], [1e-20, 0.0]])
    expected = torch.tensor([[0.6, 0.8], [0.0, 0.0], [1e-8, 0.0]])
    torch.testing.assert_close(UnitNorm()(x), expected)
