"""Local heads: blocks that stand on a hidden module while it learns, and are dropped afterwards.

What an early module lacks is sight: its objective, taken of a bare feature map, asks the module itself to make
classes apart that only the blocks above can tell apart. A head gives it a few blocks to look through.
"""

from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import assert_never

from kernel_methods.kernels import TrainedActivation
from registry.architectures.arithmetic import tensor_shapes
from registry.architectures.contracts import TensorType, gives
from registry.architectures.families import activation_block
from registry.architectures.specs import (
    AveragePoolSpec,
    BatchNormSpec,
    BlockSpec,
    BlocksSpec,
    Conv2dSpec,
    LinearSpec,
)
from registry.recipes import Head

BLOCKS_AHEAD = 2
"""Blocks with weights that a look-ahead head takes of the network above."""

SMALL_SIDE, SMALLEST_SIDE = 8, 4
"""Pixels of a side up to which a head averages none away, and up to which it takes no strides."""


def head_blocks(
    kind: Head, outputs: TensorType, *, above: Sequence[BlockSpec], activation: TrainedActivation
) -> BlocksSpec | None:
    """The blocks of a head on a module, or None where there is to be none.

    Args:
        kind: "convolutions" are two strided ones on averaged pixels, which cost little and see far, or a linear map
            on flat outputs; "look-ahead" are the first blocks of the network above, and "look-ahead-halved" the same on
            averaged pixels, a quarter of the work and of the memory.
        outputs: what the module gives.
        above: blocks of the network above the module; nothing for the last, which needs no head.
        activation: between blocks.
    """
    if not above:
        return None
    match kind:
        case "none":
            return None
        case "convolutions":
            return BlocksSpec(blocks=_convolutions(outputs, above=above, activation=activation))
        case "look-ahead":
            return BlocksSpec(blocks=_ahead(above))
        case "look-ahead-halved":
            return BlocksSpec(blocks=_halved(_ahead(above), outputs))
        case _:
            assert_never(kind)


def shared_blocks(head: BlocksSpec, following: BlocksSpec) -> int:
    """How many blocks a head and the next module begin with in common, weights and all."""
    pairs = zip(head.blocks, following.blocks, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _convolutions(
    outputs: TensorType, *, above: Sequence[BlockSpec], activation: TrainedActivation
) -> tuple[BlockSpec, ...]:
    """Pixels averaged two by two, then two convolutions that end with as many channels as the network does.

    Heads that begin at full size would cost most of what cutting saves: the first activations are the largest.
    """
    first = activation_block(activation)
    if len(outputs.shape) != 3:
        return (first, LinearSpec(in_features=outputs.shape[0], out_features=outputs.shape[0]))
    channels, side = outputs.shape[0], min(outputs.shape[1:])
    last = gives(BlocksSpec(blocks=tuple(above)), outputs).shape[0]
    blocks: list[BlockSpec] = [first]
    if side > SMALL_SIDE:
        blocks.append(AveragePoolSpec(kernel=2, stride=2))
        side //= 2
    for index, (below, wide) in enumerate(pairwise((channels, max(channels, last // 2), last))):
        stride = 2 if side > SMALLEST_SIDE else 1
        side = -(-side // stride)
        blocks += [first] if index else []
        blocks += [_convolution(below, wide, stride=stride), BatchNormSpec(channels=wide)]
    return tuple(blocks)


def _convolution(below: int, above: int, *, stride: int) -> Conv2dSpec:
    return Conv2dSpec(in_channels=below, out_channels=above, kernel=3, stride=stride, padding=1, bias=False)


def _halved(blocks: Sequence[BlockSpec], outputs: TensorType) -> tuple[BlockSpec, ...]:
    """Pixels averaged two by two before the first block with weights, where there are enough of them."""
    if len(outputs.shape) != 3 or min(outputs.shape[1:]) <= SMALL_SIDE:
        return tuple(blocks)
    first = next(index for index, block in enumerate(blocks) if tensor_shapes(block))
    return (*blocks[:first], AveragePoolSpec(kernel=2, stride=2), *blocks[first:])


def _ahead(above: Sequence[BlockSpec]) -> tuple[BlockSpec, ...]:
    """The first blocks above, up to the last one with weights that a head may take."""
    weighty = [index for index, block in enumerate(above) if tensor_shapes(block)]
    return tuple(above[: weighty[:BLOCKS_AHEAD][-1] + 1])
