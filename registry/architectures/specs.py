"""The allow-list of blocks, and architectures as lists of blocks or as parts of a named family.

A network is written in the moved form of the method: a module ends in raw outputs, and the activation that
follows it is the first block of the module above. Every number has a bound, stated here; what the numbers
amount to together is bounded in `registry.architectures.contracts`.
"""

from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Discriminator, Field, StrictBool, Tag, model_validator

from kernel_methods.kernels import TrainedActivation
from registry.architectures.backbone_names import TorchvisionName
from registry.frozen import Frozen

MAX_BLOCKS = 1_000
MAX_CHANNELS = 65_536
MAX_FEATURES = 1_048_576
MAX_KERNEL = 31
MAX_PADDING = 15
MAX_GRID = 64
MAX_SIDE = 16_384
MAX_WIDTHS = 100

Channels = Annotated[int, Field(strict=True, ge=1, le=MAX_CHANNELS)]
Features = Annotated[int, Field(strict=True, ge=1, le=MAX_FEATURES)]
Kernel = Annotated[int, Field(strict=True, ge=1, le=MAX_KERNEL)]
Stride = Annotated[int, Field(strict=True, ge=1, le=MAX_KERNEL)]
Padding = Annotated[int, Field(strict=True, ge=0, le=MAX_PADDING)]
Grid = Annotated[int, Field(strict=True, ge=1, le=MAX_GRID)]
Side = Annotated[int, Field(strict=True, ge=1, le=MAX_SIDE)]
Position = Annotated[int, Field(strict=True, ge=0, le=MAX_BLOCKS)]
FamilyName = Literal["lenet5", "mlp", "resnet18", "resnet34"]


class LinearSpec(Frozen):
    """A linear map with bias: (d,) to (out_features,)."""

    block: Literal["linear"] = "linear"
    in_features: Features
    out_features: Features
    bias: StrictBool = True


class Conv2dSpec(Frozen):
    """A convolution with a square kernel and zero padding: (c, h, w) to (out_channels, h', w')."""

    block: Literal["conv2d"] = "conv2d"
    in_channels: Channels
    out_channels: Channels
    kernel: Kernel
    stride: Stride = 1
    padding: Padding = 0
    bias: StrictBool = True


class BatchNormSpec(Frozen):
    """Batch normalisation of every channel of (c, h, w)."""

    block: Literal["batch_norm"] = "batch_norm"
    channels: Channels


class BatchNorm1dSpec(Frozen):
    """Batch normalisation of every feature of (d,)."""

    block: Literal["batch_norm_1d"] = "batch_norm_1d"
    features: Features


class ReluSpec(Frozen):
    """max(x, 0), elementwise; begins the module above."""

    block: Literal["relu"] = "relu"


class TanhSpec(Frozen):
    """tanh(x), elementwise; begins the module above."""

    block: Literal["tanh"] = "tanh"


class SigmoidSpec(Frozen):
    """1 / (1 + exp(-x)), elementwise; begins the module above."""

    block: Literal["sigmoid"] = "sigmoid"


class MaxPoolSpec(Frozen):
    """Largest value of every window of (c, h, w); padding is at most half the kernel."""

    block: Literal["max_pool"] = "max_pool"
    kernel: Kernel
    stride: Stride
    padding: Padding = 0


class AveragePoolSpec(Frozen):
    """Mean of every window of (c, h, w), unpadded."""

    block: Literal["average_pool"] = "average_pool"
    kernel: Kernel
    stride: Stride


class GlobalAveragePoolSpec(Frozen):
    """Mean of every channel: (c, h, w) to (c, 1, 1)."""

    block: Literal["global_average_pool"] = "global_average_pool"


class AdaptiveAveragePoolSpec(Frozen):
    """Means over grid x grid even parts of the pixels, which overlap if need be: to (c, grid, grid)."""

    block: Literal["adaptive_average_pool"] = "adaptive_average_pool"
    grid: Grid


class FlattenSpec(Frozen):
    """All values of an example in one row: (c, h, w) to (c * h * w,)."""

    block: Literal["flatten"] = "flatten"


class UnitNormSpec(Frozen):
    """x / max(||x||, 1e-12) for an example x of shape (d,)."""

    block: Literal["unit_norm"] = "unit_norm"


class BasicBlockSpec(Frozen):
    """A residual block: conv3x3, batch norm, relu, conv3x3, batch norm, plus the shortcut; no relu around it.

    The shortcut is the identity, or a 1 x 1 convolution with batch norm where stride or channels change.

    Source:
        He, Zhang, Ren, Sun (2016), Deep Residual Learning for Image Recognition, Figure 5 left.
    """

    block: Literal["basic_block"] = "basic_block"
    in_channels: Channels
    out_channels: Channels
    stride: Stride = 1

    @property
    def projects(self) -> bool:
        """Whether the shortcut is a convolution, because stride or channels change."""
        return self.stride != 1 or self.in_channels != self.out_channels


ActivationSpec: TypeAlias = ReluSpec | TanhSpec | SigmoidSpec
BlockSpec: TypeAlias = Annotated[
    LinearSpec
    | Conv2dSpec
    | BatchNormSpec
    | BatchNorm1dSpec
    | ReluSpec
    | TanhSpec
    | SigmoidSpec
    | MaxPoolSpec
    | AveragePoolSpec
    | GlobalAveragePoolSpec
    | AdaptiveAveragePoolSpec
    | FlattenSpec
    | UnitNormSpec
    | BasicBlockSpec,
    Field(discriminator="block"),
]


class BlocksSpec(Frozen):
    """An architecture as a list of blocks, run one after the other."""

    blocks: tuple[BlockSpec, ...] = Field(min_length=1, max_length=MAX_BLOCKS)


class LeNet5Arguments(Frozen):
    """What LeNet-5 is made for: the images, and its sizes where they are not the classic ones."""

    in_channels: Channels
    height: Side
    width: Side
    kernel: Kernel = 5
    paddings: tuple[Padding, Padding] = (2, 0)
    channels: tuple[Channels, Channels] = (6, 16)
    features: tuple[Features, Features] = (120, 84)
    activation: TrainedActivation = "relu"


class MlpArguments(Frozen):
    """Sizes of a multilayer perceptron; the inputs are flattened first."""

    in_features: Features
    widths: tuple[Features, ...] = Field(min_length=1, max_length=MAX_WIDTHS)
    activation: TrainedActivation = "relu"


class ResNetArguments(Frozen):
    """Sizes of a residual network; stages have width, 2, 4 and 8 times width channels.

    ``activation`` is the one between blocks; inside a block it is always relu.
    """

    in_channels: Channels = 3
    width: Annotated[int, Field(strict=True, ge=1, le=MAX_CHANNELS // 8)] = 64
    stem: Literal["cifar", "imagenet"] = "cifar"
    activation: TrainedActivation = "relu"


class Part(Frozen):
    """Blocks ``start`` to ``stop`` (left out) of a family's list; ``stop`` null is the end."""

    start: Position = 0
    stop: Position | None = None


class LeNet5Spec(Part):
    """A part of LeNet-5."""

    family: Literal["lenet5"] = "lenet5"
    arguments: LeNet5Arguments


class MlpSpec(Part):
    """A part of a multilayer perceptron."""

    family: Literal["mlp"] = "mlp"
    arguments: MlpArguments


class ResNetSpec(Part):
    """A part of a residual network of basic blocks, 2-2-2-2 or 3-4-6-3 of them."""

    family: Literal["resnet18", "resnet34"]
    arguments: ResNetArguments = ResNetArguments()


FamilySpec: TypeAlias = Annotated[LeNet5Spec | MlpSpec | ResNetSpec, Field(discriminator="family")]


ArithmeticSpec: TypeAlias = BlocksSpec | FamilySpec
"""Architectures whose shapes, tensors and costs follow by arithmetic."""


class Backbone(Part):
    """Stages ``start`` to ``stop`` (left out) of a network that another library builds, its classifier left out.

    Its shapes and tensors are that library's: whoever has no torch takes what the manifest says of them, within
    bounds, until a worker has built and run it.

    ``parameters`` counts the values of all its tensors but running statistics. ``image_size`` is set where the
    weights depend on it: side of the square images in pixels.
    """

    parameters: Annotated[int, Field(strict=True, ge=0)]
    image_size: Annotated[int, Field(strict=True, ge=1, le=1024)] | None = None

    @model_validator(mode="after")
    def _check_part(self) -> Self:
        if self.stop is not None and self.start >= self.stop:
            raise ValueError(f"start {self.start} and stop {self.stop} are no part of a network; need start < stop")
        return self


class TorchvisionSpec(Backbone):
    """A part of a classification network of torchvision."""

    library: Literal["torchvision"] = "torchvision"
    backbone: TorchvisionName


class TimmSpec(Backbone):
    """A part of a network of timm, by a name of timm's own registry; never one of a hub or a path."""

    library: Literal["timm"] = "timm"
    backbone: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_]*(\.[a-z0-9_]+)?$", max_length=128)]


BackboneSpec: TypeAlias = Annotated[TorchvisionSpec | TimmSpec, Field(discriminator="library")]


def _way_of_saying(value: object) -> str | None:
    keys = value if isinstance(value, dict) else getattr(value, "model_fields_set", ())
    if isinstance(value, Backbone) or "backbone" in keys:
        return "backbone"
    if isinstance(value, Part) or "family" in keys:
        return "family"
    return "blocks" if "blocks" in keys else None


ArchitectureSpec: TypeAlias = Annotated[
    Annotated[BlocksSpec, Tag("blocks")]
    | Annotated[FamilySpec, Tag("family")]
    | Annotated[BackboneSpec, Tag("backbone")],
    Discriminator(
        _way_of_saying,
        custom_error_type="architecture_kind",
        custom_error_message="An architecture is an object with one of 'blocks', 'family' or 'backbone'",
    ),
]
