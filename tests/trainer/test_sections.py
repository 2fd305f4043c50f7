"""Where a network may be looked at: behind blocks with weights, once, and at the end of every module."""

from torch import nn

from registry.networks.blocks import BasicBlock, BatchNorm
from trainer.loaded import LoadedModule
from trainer.sections import sections_of


def cut(*networks: nn.Module) -> list[tuple[int, int, str, bool]]:
    modules = [LoadedModule(None, network) for network in networks]  # type: ignore[arg-type]
    return [(each.module, each.block, each.what, each.ends_module) for each in sections_of(modules)]


def test_a_boundary_is_behind_each_block_with_weights() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(18, 4))
    assert cut(network) == [(0, 1, "conv2d", False), (0, 2, "relu, max_pool2d, flatten, linear", True)]


def test_a_norm_belongs_to_the_block_before_it() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), BatchNorm(2), nn.ReLU(), BasicBlock(2, 2, 1))
    assert cut(network) == [(0, 1, "conv2d, batch_norm", False), (0, 2, "relu, basic_block", True)]


def test_a_norm_that_stands_by_itself_is_a_block() -> None:
    network = nn.Sequential(BatchNorm(2), nn.ReLU(), BatchNorm(2))
    assert cut(network) == [(0, 1, "batch_norm", False), (0, 2, "relu, batch_norm", True)]


def test_last_blocks_without_weights_belong_to_the_boundary_before_so_that_none_is_told_twice() -> None:
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    assert cut(network) == [(0, 1, "conv2d, relu, adaptive_avg_pool2d, flatten", True)]


def test_every_module_has_a_boundary_at_its_end() -> None:
    assert cut(nn.Sequential(nn.Flatten()), nn.Sequential(nn.Linear(4, 2))) == [
        (0, 1, "flatten", True),
        (1, 1, "linear", True),
    ]


def test_stages_that_are_sequences_are_looked_into_and_other_blocks_are_not() -> None:
    stage = nn.Sequential(BasicBlock(2, 2, 1), nn.Sequential(nn.ReLU(), BasicBlock(2, 4, 2)))
    assert cut(nn.Sequential(nn.Conv2d(1, 2, 3), stage)) == [
        (0, 1, "conv2d", False),
        (0, 2, "basic_block", False),
        (0, 3, "relu, basic_block", True),
    ]
