"""Heads that modules learn through: which blocks they are made of."""

import pytest

from registry.architectures.contracts import TensorType, gives
from registry.architectures.presets import backbone, cut_points, split_at
from registry.architectures.specs import AveragePoolSpec, BlocksSpec
from registry.heads import head_blocks, shared_blocks
from registry.recipes import Head

RESNET = backbone("resnet18", TensorType(shape=(3, 32, 32)), width=4, activation="relu")


def head_on(below: int, kind: Head) -> tuple[BlocksSpec, TensorType, BlocksSpec]:
    """A head on the blocks below a cut of a ResNet, what it stands on, and what is above."""
    own, above = split_at(RESNET, [cut_points(RESNET)[below]])
    outputs = gives(own, TensorType(shape=(3, 32, 32)))
    head = head_blocks(kind, outputs, above=above.blocks, activation="relu")
    assert head is not None
    return head, outputs, above


@pytest.mark.parametrize("below", [1, 3, 5])
def test_a_look_ahead_head_is_the_first_blocks_above(below: int) -> None:
    head, _, above = head_on(below, "look-ahead")
    assert head.blocks == above.blocks[: len(head.blocks)]
    assert shared_blocks(head, above) == len(head.blocks)


@pytest.mark.parametrize("below", [1, 3])
def test_halved_it_sees_a_quarter_of_the_pixels_through_the_same_blocks(below: int) -> None:
    whole, outputs, _ = head_on(below, "look-ahead")
    halved, _, _ = head_on(below, "look-ahead-halved")
    average = AveragePoolSpec(kernel=2, stride=2)
    assert tuple(block for block in halved.blocks if block != average) == whole.blocks
    assert halved.blocks.index(average) == 1, "behind the activation, before what has weights"
    full, small = gives(whole, outputs).shape, gives(halved, outputs).shape
    assert (small[0], 2 * small[1], 2 * small[2]) == full


def test_small_images_are_not_halved() -> None:
    assert head_on(5, "look-ahead-halved")[0] == head_on(5, "look-ahead")[0]


def test_flat_outputs_have_nothing_to_halve() -> None:
    layers = backbone("mlp", TensorType(shape=(1, 8, 8)), width=16, activation="relu")
    own, above = split_at(layers, [cut_points(layers)[0]])
    outputs = gives(own, TensorType(shape=(1, 8, 8)))
    heads = [
        head_blocks(kind, outputs, above=above.blocks, activation="relu")
        for kind in ("look-ahead", "look-ahead-halved")
    ]
    assert heads[0] == heads[1]


@pytest.mark.parametrize("kind", ["none", "convolutions", "look-ahead", "look-ahead-halved"])
def test_the_last_module_needs_no_head(kind: Head) -> None:
    assert head_blocks(kind, TensorType(shape=(8, 4, 4)), above=(), activation="relu") is None
