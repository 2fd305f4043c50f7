"""Named families of networks, written out as lists of blocks from their arguments."""

from itertools import pairwise
from typing import Literal, assert_never

from kernel_methods.kernels import TrainedActivation
from registry.architectures.specs import (
    MAX_FEATURES,
    ActivationSpec,
    BasicBlockSpec,
    BatchNormSpec,
    BlockSpec,
    Conv2dSpec,
    FamilySpec,
    FlattenSpec,
    LeNet5Arguments,
    LeNet5Spec,
    LinearSpec,
    MaxPoolSpec,
    MlpArguments,
    MlpSpec,
    ReluSpec,
    ResNetArguments,
    ResNetSpec,
    SigmoidSpec,
    TanhSpec,
)
from registry.errors import Fault, InvalidArchitectureError

LENET5_POOL = MaxPoolSpec(kernel=2, stride=2)
RESNET_DEPTHS: dict[Literal["resnet18", "resnet34"], tuple[int, ...]] = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
}


def family_blocks(spec: FamilySpec) -> tuple[BlockSpec, ...]:
    """All blocks of a family with these arguments, whatever part of them the spec takes."""
    match spec:
        case LeNet5Spec():
            return lenet5_blocks(spec.arguments)
        case MlpSpec():
            return mlp_blocks(spec.arguments)
        case ResNetSpec():
            return resnet_blocks(spec.arguments, depths=RESNET_DEPTHS[spec.family])
        case _:
            assert_never(spec)


def activation_block(name: TrainedActivation) -> ActivationSpec:
    """The block of an activation's name."""
    match name:
        case "relu":
            return ReluSpec()
        case "tanh":
            return TanhSpec()
        case "sigmoid":
            return SigmoidSpec()
        case _:
            assert_never(name)


def lenet5_blocks(arguments: LeNet5Arguments) -> tuple[BlockSpec, ...]:
    """Two convolutions and two linear maps; the linear map to the classes is the output module's.

    Source:
        LeCun, Bottou, Bengio, Haffner (1998), Gradient-Based Learning Applied to Document Recognition,
        section II.B; here with full connections between the maps, and max pooling.

    Raises:
        InvalidArchitectureError: nothing is left of the images after the convolutions, or far too much.
    """
    activation = activation_block(arguments.activation)
    first, second = lenet5_convolutions(arguments)
    hidden, last = arguments.features
    return (
        *(first, activation, LENET5_POOL, second, activation, LENET5_POOL, FlattenSpec()),
        *(LinearSpec(in_features=_flat_features(arguments), out_features=hidden), activation),
        LinearSpec(in_features=hidden, out_features=last),
    )


def lenet5_convolutions(arguments: LeNet5Arguments) -> tuple[Conv2dSpec, Conv2dSpec]:
    """The two convolutions of LeNet-5."""
    channels = (arguments.in_channels, *arguments.channels)
    first, second = (
        Conv2dSpec(in_channels=below, out_channels=above, kernel=arguments.kernel, padding=padding)
        for (below, above), padding in zip(pairwise(channels), arguments.paddings, strict=True)
    )
    return first, second


def _flat_features(arguments: LeNet5Arguments) -> int:
    """Number of values an example has after both convolutions, each with its pooling."""
    sides = _side(arguments.height, arguments), _side(arguments.width, arguments)
    features = arguments.channels[1] * sides[0] * sides[1]
    if min(sides) < 1 or features > MAX_FEATURES:
        raise InvalidArchitectureError(
            f"LeNet-5 with kernel {arguments.kernel} and paddings {arguments.paddings} makes "
            f"{arguments.channels[1]} x {sides[0]} x {sides[1]} features of images of {arguments.height} x "
            f"{arguments.width} pixels; it needs 1 to {MAX_FEATURES:,}: choose another size or kernel",
            faults=[Fault("/architecture/arguments", "the images are too small or too large")],
        )
    return features


def _side(pixels: int, arguments: LeNet5Arguments) -> int:
    """Pixels that are left of one side after both convolutions, each with its pooling; 0 if none."""
    for padding in arguments.paddings:
        pixels = max(pixels + 2 * padding - arguments.kernel + 1, 0) // 2
    return pixels


def mlp_blocks(arguments: MlpArguments) -> tuple[BlockSpec, ...]:
    """Flatten, then linear maps with the activation between them; the last one's outputs stay raw."""
    activation = activation_block(arguments.activation)
    blocks: list[BlockSpec] = [FlattenSpec()]
    for below, above in pairwise((arguments.in_features, *arguments.widths)):
        blocks += [LinearSpec(in_features=below, out_features=above), activation]
    return tuple(blocks[:-1])


def resnet_blocks(arguments: ResNetArguments, *, depths: tuple[int, ...]) -> tuple[BlockSpec, ...]:
    """Stem, then basic blocks with the activation before each; the last block's outputs stay raw.

    Args:
        arguments: sizes, and which stem: "cifar" a 3 x 3 convolution, "imagenet" a 7 x 7 one and max pooling.
        depths: number of basic blocks of every stage.

    Source:
        He, Zhang, Ren, Sun (2016), Deep Residual Learning for Image Recognition, Table 1.
    """
    activation = activation_block(arguments.activation)
    blocks = _stem(arguments, activation)
    channels = arguments.width
    for stage, depth in enumerate(depths):
        above = arguments.width * 2**stage
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            blocks += [BasicBlockSpec(in_channels=channels, out_channels=above, stride=stride), activation]
            channels = above
    return tuple(blocks[:-1])


def _stem(arguments: ResNetArguments, activation: ActivationSpec) -> list[BlockSpec]:
    kernel, stride = (3, 1) if arguments.stem == "cifar" else (7, 2)
    convolution = Conv2dSpec(
        in_channels=arguments.in_channels,
        out_channels=arguments.width,
        kernel=kernel,
        stride=stride,
        padding=kernel // 2,
        bias=False,
    )
    blocks: list[BlockSpec] = [convolution, BatchNormSpec(channels=arguments.width), activation]
    return blocks if arguments.stem == "cifar" else [*blocks, MaxPoolSpec(kernel=3, stride=2, padding=1)]
