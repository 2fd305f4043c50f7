"""Backbones of named families for given inputs, their cuts into modules, and output modules."""

from bisect import bisect_left
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import prod
from typing import assert_never

from pydantic import ValidationError

from kernel_methods.kernels import Activation, Pooling, TrainedActivation, pooled_features, pooling_grid
from registry.architectures.arithmetic import tensor_shapes
from registry.architectures.contracts import TensorType, blocks_of, multiply_adds_of_blocks
from registry.architectures.families import activation_block
from registry.architectures.specs import (
    MAX_FEATURES,
    AdaptiveAveragePoolSpec,
    BlockSpec,
    BlocksSpec,
    FamilyName,
    FamilySpec,
    FlattenSpec,
    GlobalAveragePoolSpec,
    LeNet5Arguments,
    LeNet5Spec,
    LinearSpec,
    MlpArguments,
    MlpSpec,
    ReluSpec,
    ResNetArguments,
    ResNetSpec,
    SigmoidSpec,
    TanhSpec,
    UnitNormSpec,
)
from registry.errors import Fault, InvalidArchitectureError

DEFAULT_WIDTHS: dict[FamilyName, int] = {"lenet5": 6, "mlp": 256, "resnet18": 64, "resnet34": 64}
"""Channels, or features, of the first layer where no width is asked for."""

MLP_LAYERS = 3
IMAGENET_STEM_PIXELS = 128
"""Images at least this large get the stem with stride 2 and max pooling."""


def family_spec(
    family: FamilyName, takes: TensorType, *, width: int | None = None, activation: TrainedActivation = "relu"
) -> FamilySpec:
    """A whole backbone of a family, fitted to its inputs.

    Args:
        family: which one.
        takes: type of one input, (c, h, w); "mlp" takes any shape.
        width: channels, or features, of the first layer; the others keep their proportion to it.
        activation: what stands between the layers.

    Raises:
        InvalidArchitectureError: the family cannot take such inputs, or the width is out of its bounds.
    """
    wide = DEFAULT_WIDTHS[family] if width is None else width
    if family != "mlp" and len(takes.shape) != 3:
        raise _refusal(f"{family} takes images of shape (c, h, w), got {takes}; choose mlp")
    try:
        return _fitted(family, takes, width=wide, activation=activation)
    except ValidationError as error:
        fault = error.errors()[0]
        seen = f"{family} of width {wide} for inputs of {takes}"
        raise _refusal(f"{seen}: {fault['input']} is refused, {fault['msg']}") from error


def _fitted(family: FamilyName, takes: TensorType, *, width: int, activation: TrainedActivation) -> FamilySpec:
    match family:
        case "mlp":
            widths = (width,) * MLP_LAYERS
            return MlpSpec(arguments=MlpArguments(in_features=prod(takes.shape), widths=widths, activation=activation))
        case "lenet5":
            return LeNet5Spec(arguments=_lenet5_arguments(takes, width=width, activation=activation))
        case "resnet18" | "resnet34":
            channels, height, pixels = takes.shape
            arguments = ResNetArguments(
                in_channels=channels,
                width=width,
                stem="imagenet" if min(height, pixels) >= IMAGENET_STEM_PIXELS else "cifar",
                activation=activation,
            )
            return ResNetSpec(family=family, arguments=arguments)
        case _:
            assert_never(family)


def _lenet5_arguments(takes: TensorType, *, width: int, activation: TrainedActivation) -> LeNet5Arguments:
    """LeNet-5 for these images: as published at 32 pixels, padded at 28, with 3 x 3 kernels below 16."""
    channels, height, pixels = takes.shape
    side = min(height, pixels)
    kernel, paddings = (5, (0, 0)) if side >= 32 else (5, (2, 0)) if side >= 16 else (3, (1, 1))
    return LeNet5Arguments(
        in_channels=channels,
        height=height,
        width=pixels,
        kernel=kernel,
        paddings=paddings,
        channels=(width, width * 16 // 6),
        features=(width * 20, width * 14),
        activation=activation,
    )


def backbone(
    family: FamilyName, takes: TensorType, *, width: int | None = None, activation: TrainedActivation = "relu"
) -> tuple[BlockSpec, ...]:
    """The blocks of `family_spec`: everything below the output module, raw outputs at its end.

    Raises:
        InvalidArchitectureError: the family cannot take such inputs, or the width is out of its bounds.
    """
    return blocks_of(family_spec(family, takes, width=width, activation=activation))


def cut_points(blocks: Sequence[BlockSpec]) -> tuple[int, ...]:
    """Where a module may end: the index of every activation that has blocks before it."""
    return tuple(
        index
        for index, block in enumerate(blocks)
        if index > 0 and isinstance(block, ReluSpec | TanhSpec | SigmoidSpec)
    )


def split_at(blocks: Sequence[BlockSpec], cuts: Sequence[int]) -> tuple[BlocksSpec, ...]:
    """The modules that result from cutting before the blocks at ``cuts``.

    Raises:
        InvalidArchitectureError: ``cuts`` are not increasing cut points of these blocks.
    """
    allowed = cut_points(blocks)
    if list(cuts) != sorted(set(cuts)) or not set(cuts) <= set(allowed):
        raise _refusal(f"cuts {list(cuts)} are not increasing indices of activations, {list(allowed)}")
    return tuple(BlocksSpec(blocks=tuple(blocks[a:b])) for a, b in pairwise((0, *cuts, len(blocks))))


def split(blocks: Sequence[BlockSpec], modules: int, takes: TensorType | None = None) -> tuple[BlocksSpec, ...]:
    """Cut blocks into modules of about the same work each.

    Args:
        blocks: a backbone.
        modules: number of modules, at least 1.
        takes: type of the input; where given, work is multiply-adds, else the number of blocks with weights.

    Raises:
        InvalidArchitectureError: there are too few places to cut, or the blocks do not fit the input.
    """
    allowed = cut_points(blocks)
    if not 1 <= modules <= len(allowed) + 1:
        raise _refusal(f"these {len(blocks)} blocks make 1 to {len(allowed) + 1} modules, not {modules}")
    work = [1 if tensor_shapes(block) else 0 for block in blocks]
    if takes is not None:
        work = list(multiply_adds_of_blocks(BlocksSpec(blocks=tuple(blocks)), takes))
    return split_at(blocks, even_cuts(allowed, modules=modules, work=work))


def even_cuts(allowed: Sequence[int], *, modules: int, work: Sequence[int]) -> list[int]:
    """For every border the allowed cut whose work below is nearest to the border's even share.

    Args:
        allowed: where to cut, increasing; each an index into ``work``.
        modules: number of parts, at most one more than there are cuts.
        work: of every piece, in any unit.
    """
    below = [0, *accumulate(work)]
    shares = [below[cut] for cut in allowed]
    chosen: list[int] = []
    for border in range(1, modules):
        least = chosen[-1] + 1 if chosen else 0
        most = len(allowed) - (modules - border)
        share = below[-1] * border / modules
        nearest = bisect_left(shares, share, least, most)
        if nearest > least and share - shares[nearest - 1] <= shares[nearest] - share:
            nearest -= 1
        chosen.append(nearest)
    return [allowed[index] for index in chosen]


def output_module(gives: TensorType, *, activation: Activation, pooling: Pooling, classes: int) -> BlocksSpec:
    """An output module: linear on the unit-norm feature map of the outputs below it.

    Args:
        gives: type of the outputs of the module below.
        activation: of the feature map; the identity needs no block.
        pooling: of the feature map; all but "none" need outputs of shape (c, h, w).
        classes: number of outputs, at least 1.

    Raises:
        InvalidArchitectureError: the outputs cannot be pooled, or there are too many features or classes.
    """
    try:
        features = pooled_features(gives.shape, pooling)
    except ValueError as error:
        raise _refusal(str(error)) from error
    if not (1 <= features <= MAX_FEATURES and 1 <= classes <= MAX_FEATURES):
        seen = f"{features:,} features and {classes:,} classes"
        raise _refusal(f"{seen} are not 1 to {MAX_FEATURES:,} each; pool more, or merge classes")
    linear = LinearSpec(in_features=features, out_features=classes)
    first = () if activation == "identity" else (activation_block(activation),)
    return BlocksSpec(blocks=(*first, *pooling_blocks(pooling), FlattenSpec(), UnitNormSpec(), linear))


def pooling_blocks(pooling: Pooling) -> tuple[BlockSpec, ...]:
    """The block of a pooling's name; none for "none"."""
    grid = pooling_grid(pooling)
    if grid == 0:
        return ()
    return (GlobalAveragePoolSpec() if grid == 1 else AdaptiveAveragePoolSpec(grid=grid),)


def _refusal(detail: str) -> InvalidArchitectureError:
    return InvalidArchitectureError(detail, faults=[Fault("/architecture", detail, "invalid_architecture")])
