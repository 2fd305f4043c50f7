"""Shapes, tensors and multiply-adds of a single block, by arithmetic."""

from math import prod
from typing import assert_never

from registry.architectures.specs import (
    AdaptiveAveragePoolSpec,
    AveragePoolSpec,
    BasicBlockSpec,
    BatchNorm1dSpec,
    BatchNormSpec,
    BlockSpec,
    Conv2dSpec,
    FlattenSpec,
    GlobalAveragePoolSpec,
    LinearSpec,
    MaxPoolSpec,
    ReluSpec,
    SigmoidSpec,
    TanhSpec,
    UnitNormSpec,
)

Shape = tuple[int, ...]

RUNNING_STATISTICS = ("running_mean", "running_var")


class BlockMisfitError(ValueError):
    """A block cannot take inputs of a shape."""


def output_shape(block: BlockSpec, takes: Shape) -> Shape:
    """Shape of a block's output, batch left out.

    Args:
        block: the block.
        takes: shape of its input, batch left out.

    Raises:
        BlockMisfitError: the block cannot take inputs of that shape; the sentence has both.
    """
    match block:
        case LinearSpec():
            _need(takes == (block.in_features,), f"needs ({block.in_features},)", takes)
            return (block.out_features,)
        case BatchNorm1dSpec():
            _need(takes == (block.features,), f"needs ({block.features},)", takes)
            return takes
        case UnitNormSpec():
            _need(len(takes) == 1, "needs (d,); put a flatten before it", takes)
            return takes
        case FlattenSpec():
            return (prod(takes),)
        case ReluSpec() | TanhSpec() | SigmoidSpec():
            return takes
        case _:
            return _image_shape(block, takes)


ImageBlock = (
    Conv2dSpec
    | BatchNormSpec
    | MaxPoolSpec
    | AveragePoolSpec
    | GlobalAveragePoolSpec
    | AdaptiveAveragePoolSpec
    | BasicBlockSpec
)


def _image_shape(block: ImageBlock, takes: Shape) -> Shape:
    """Shape of the output of a block on images, (c, h, w)."""
    _need(len(takes) == 3, "needs (c, h, w)", takes)
    channels, *_ = takes
    match block:
        case Conv2dSpec():
            _need_channels(block.in_channels, takes)
            window = _window(takes, kernel=block.kernel, stride=block.stride, padding=block.padding)
            return (block.out_channels, *window)
        case BasicBlockSpec():
            _need_channels(block.in_channels, takes)
            return (block.out_channels, *_window(takes, kernel=3, stride=block.stride, padding=1))
        case BatchNormSpec():
            _need_channels(block.channels, takes)
            return takes
        case MaxPoolSpec():
            _need(2 * block.padding <= block.kernel, f"padding {block.padding} is over half its kernel", takes)
            return (
                channels,
                *_window(takes, kernel=block.kernel, stride=block.stride, padding=block.padding),
            )
        case AveragePoolSpec():
            return (channels, *_window(takes, kernel=block.kernel, stride=block.stride, padding=0))
        case GlobalAveragePoolSpec():
            return (channels, 1, 1)
        case AdaptiveAveragePoolSpec():
            return (channels, block.grid, block.grid)
        case _:
            assert_never(block)


def _need(holds: bool, demand: str, takes: Shape) -> None:  # noqa: FBT001
    if not holds:
        raise BlockMisfitError(f"{demand}, but gets {takes}")


def _need_channels(channels: int, takes: Shape) -> None:
    _need(takes[0] == channels, f"needs ({channels}, h, w)", takes)


def _window(takes: Shape, *, kernel: int, stride: int, padding: int) -> tuple[int, int]:
    """Pixels of the output of a window that slides over (c, h, w)."""
    _, height, width = takes
    least = kernel - 2 * padding
    _need(min(height, width) >= least, f"needs at least {least} x {least} pixels", takes)
    return (height + 2 * padding - kernel) // stride + 1, (width + 2 * padding - kernel) // stride + 1


def tensor_shapes(block: BlockSpec) -> dict[str, Shape]:
    """Names and shapes of the tensors that a block owns, in the order of its torch module."""
    match block:
        case LinearSpec():
            return _affine((block.out_features, block.in_features), bias=block.bias)
        case Conv2dSpec():
            shape = (block.out_channels, block.in_channels, block.kernel, block.kernel)
            return _affine(shape, bias=block.bias)
        case BatchNormSpec():
            return _batch_norm(block.channels)
        case BatchNorm1dSpec():
            return _batch_norm(block.features)
        case BasicBlockSpec():
            return _basic_block(block)
        case ReluSpec() | TanhSpec() | SigmoidSpec() | FlattenSpec() | UnitNormSpec():
            return {}
        case MaxPoolSpec() | AveragePoolSpec() | GlobalAveragePoolSpec() | AdaptiveAveragePoolSpec():
            return {}
        case _:
            assert_never(block)


def _affine(shape: Shape, *, bias: bool) -> dict[str, Shape]:
    return {"weight": shape, "bias": shape[:1]} if bias else {"weight": shape}


def _batch_norm(channels: int) -> dict[str, Shape]:
    return dict.fromkeys(("weight", "bias", *RUNNING_STATISTICS), (channels,))


def _basic_block(block: BasicBlockSpec) -> dict[str, Shape]:
    below, above = block.in_channels, block.out_channels
    parts: dict[str, dict[str, Shape]] = {
        "conv1": {"weight": (above, below, 3, 3)},
        "bn1": _batch_norm(above),
        "conv2": {"weight": (above, above, 3, 3)},
        "bn2": _batch_norm(above),
    }
    if block.projects:
        parts |= {"shortcut.0": {"weight": (above, below, 1, 1)}, "shortcut.1": _batch_norm(above)}
    return {f"{part}.{name}": shape for part, shapes in parts.items() for name, shape in shapes.items()}


def multiply_adds_of(block: BlockSpec, takes: Shape) -> int:
    """Multiplications of one example's pass through the linear maps and convolutions of a block.

    Raises:
        BlockMisfitError: the block cannot take inputs of that shape.
    """
    pixels = prod(output_shape(block, takes)[1:])
    return sum(prod(shape) * pixels for shape in tensor_shapes(block).values() if len(shape) > 1)
