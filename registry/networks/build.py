"""Specs become torch modules: built without drawing a number, then initialised from a generator or loaded."""

from collections.abc import Iterator, Mapping, Sequence
from math import sqrt
from typing import assert_never

import torch
from torch import Tensor, nn

from registry.architectures.contracts import (
    TensorEntrySpec,
    blocks_of,
    check_parameters,
    check_tensors,
    compare_tensors,
)
from registry.architectures.specs import (
    AdaptiveAveragePoolSpec,
    ArchitectureSpec,
    ArithmeticSpec,
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
    TimmSpec,
    TorchvisionSpec,
    UnitNormSpec,
)
from registry.errors import Fault, InvalidWeightsError
from registry.networks.backbones import build_backbone
from registry.networks.blocks import BasicBlock, BatchNorm, UnitNorm
from registry.networks.stages import PartOfNetwork

SAFETENSORS_DTYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


def build_block(spec: BlockSpec) -> nn.Module:
    """Build one block, on the current default device."""
    match spec:
        case LinearSpec():
            return nn.Linear(spec.in_features, spec.out_features, bias=spec.bias)
        case Conv2dSpec():
            return _convolution(spec)
        case BatchNormSpec():
            return BatchNorm(spec.channels)
        case BatchNorm1dSpec():
            return BatchNorm(spec.features)
        case BasicBlockSpec():
            return BasicBlock(spec.in_channels, spec.out_channels, spec.stride)
        case ReluSpec() | TanhSpec() | SigmoidSpec() | FlattenSpec() | UnitNormSpec():
            return _plain(spec)
        case MaxPoolSpec():
            return nn.MaxPool2d(spec.kernel, stride=spec.stride, padding=spec.padding)
        case AveragePoolSpec():
            return nn.AvgPool2d(spec.kernel, stride=spec.stride)
        case GlobalAveragePoolSpec():
            return nn.AdaptiveAvgPool2d(1)
        case AdaptiveAveragePoolSpec():
            return nn.AdaptiveAvgPool2d(spec.grid)
        case _:
            assert_never(spec)


def _convolution(spec: Conv2dSpec) -> nn.Conv2d:
    return nn.Conv2d(
        spec.in_channels,
        spec.out_channels,
        spec.kernel,
        stride=spec.stride,
        padding=spec.padding,
        bias=spec.bias,
    )


def _plain(spec: ReluSpec | TanhSpec | SigmoidSpec | FlattenSpec | UnitNormSpec) -> nn.Module:
    """A block that has no sizes."""
    match spec:
        case ReluSpec():
            return nn.ReLU()
        case TanhSpec():
            return nn.Tanh()
        case SigmoidSpec():
            return nn.Sigmoid()
        case FlattenSpec():
            return nn.Flatten()
        case UnitNormSpec():
            return UnitNorm()
        case _:
            assert_never(spec)


def build(spec: ArithmeticSpec) -> nn.Sequential:
    """Build a module on the current default device, every weight NaN until `initialise` or `load` sets it.

    No number is drawn, so global randomness stays as it was; a weight that was forgotten cannot go unseen.

    Raises:
        InvalidArchitectureError: the part of a family is empty, or there are too many parameters.
    """
    check_parameters(spec)
    with torch.device("meta"):
        module = nn.Sequential(*map(build_block, blocks_of(spec)))
    module.to_empty(device=torch.get_default_device())
    with torch.no_grad():
        for tensor in module.state_dict().values():
            tensor.fill_(torch.nan)
    return module


def initialise(module: nn.Module, generator: torch.Generator) -> None:
    """Give every weight of a module that `build` made its first value, in place.

    Weights of linear maps and convolutions are uniform with variance 2 / fan-in, biases zero; batch norm
    starts as the identity. The numbers are drawn on the generator's device, whatever the module's: with a
    generator on the CPU one seed gives the same weights everywhere.

    Args:
        module: the module; it may be on another device than the generator.
        generator: where the random numbers come from; it moves on.

    Raises:
        ValueError: the module has a weight that this function does not know.

    Source:
        He, Zhang, Ren, Sun (2015), Delving Deep into Rectifiers, equation 10.
    """
    known: set[str] = set()
    with torch.no_grad():
        for prefix, part in module.named_modules():
            names = _initialise_part(part, generator)
            known.update(f"{prefix}.{name}" if prefix else name for name in names)
    unknown = module.state_dict().keys() - known
    if unknown:
        raise ValueError(f"no rule says how to initialise {sorted(unknown)}")


def _initialise_part(part: nn.Module, generator: torch.Generator) -> Iterator[str]:
    """Set the weights that a part owns itself, and say which."""
    if isinstance(part, nn.Linear | nn.Conv2d):
        _draw(part.weight, generator)
        yield "weight"
        if part.bias is not None:
            part.bias.zero_()
            yield "bias"
    elif isinstance(part, BatchNorm):
        for ones, zeros in ((part.weight, part.bias), (part.running_var, part.running_mean)):
            ones.fill_(1.0)
            zeros.zero_()
        yield from ("weight", "bias", "running_mean", "running_var")


def _draw(weight: Tensor, generator: torch.Generator) -> None:
    bound = sqrt(6 / weight[0].numel())
    drawn = torch.empty(weight.shape, device=generator.device)
    weight.copy_(drawn.uniform_(-bound, bound, generator=generator))


def load(spec: ArchitectureSpec, weights: Mapping[str, Tensor]) -> nn.Sequential | PartOfNetwork:
    """Build a module on the current default device with these weights, frozen and in eval mode.

    Args:
        spec: the architecture.
        weights: every tensor of the architecture by name, and no other; they are copied.

    Raises:
        InvalidArchitectureError: there is no such part of a family or backbone, or there are too many parameters.
        InvalidWeightsError: names, shapes or dtypes are not those of the architecture; each is a fault.
        SettingsError: the library of a backbone is not installed.
    """
    check_parameters(spec)
    entries = {name: _entry(tensor) for name, tensor in weights.items()}
    _require(check_tensors(spec, entries))
    module = build_backbone(spec) if isinstance(spec, TorchvisionSpec | TimmSpec) else build(spec)
    held = module.weights() if isinstance(module, PartOfNetwork) else module.state_dict()
    _require(compare_tensors({name: _entry(tensor) for name, tensor in held.items()}, entries))
    with torch.no_grad():
        for name, tensor in held.items():
            tensor.copy_(weights[name])
    return module.requires_grad_(requires_grad=False).eval()


def _require(faults: Sequence[Fault]) -> None:
    """Raises InvalidWeightsError where there are faults."""
    if faults:
        raise InvalidWeightsError(
            f"{len(faults)} tensors do not fit the architecture, first: {faults[0].detail}", faults=faults
        )


def _entry(tensor: Tensor) -> TensorEntrySpec:
    return TensorEntrySpec(tuple(tensor.shape), SAFETENSORS_DTYPES.get(tensor.dtype, str(tensor.dtype)))
