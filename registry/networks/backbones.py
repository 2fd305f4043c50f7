"""Backbones of torchvision and timm: built by these libraries without weights, measured, and cut into modules."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from registry.architectures.contracts import (
    DEFAULT_BOUNDS,
    MAX_TENSOR_VALUES,
    Bounds,
    ShapeContract,
    TensorEntrySpec,
    TensorType,
    check_parameters,
    trained_values,
)
from registry.architectures.specs import BackboneSpec, TimmSpec, TorchvisionSpec
from registry.errors import Fault, InvalidArchitectureError
from registry.networks.stages import PartOfNetwork, Stages
from registry.networks.timm_stages import build_timm, classifiers, timm_stages
from registry.networks.torchvision_stages import build_torchvision, torchvision_stages

MISUSE = (RuntimeError, ValueError, TypeError, AssertionError, IndexError)
"""What libraries raise when a network cannot be built for images of a size, or cannot run on them."""


@dataclass(frozen=True, slots=True)
class Measured:
    """What a part of a backbone takes and gives, and what one example's pass through it costs."""

    contract: ShapeContract
    multiply_adds: int


class _Unfilled(TorchFunctionMode):
    """While it is entered, `torch.empty` reserves nothing, so that weights stay on the meta device.

    What libraries compute while they build, tables of positions above all, is computed as ever.
    """

    def __torch_function__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        given = dict(kwargs or {})
        if func is torch.empty:
            given["device"] = "meta"
        return func(*args, **given)


class _Largest(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers the number of values of the largest tensor that any operation makes."""

    values = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., object],
        types: Sequence[type],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        made = func(*args, **(kwargs or {}))
        parts = made if isinstance(made, tuple | list) else (made,)
        self.values = max(self.values, *(part.numel() for part in parts if isinstance(part, Tensor)), 0)
        return made


def library_network(spec: BackboneSpec, *, filled: bool = False) -> nn.Module:
    """The whole network of a spec as its library builds it; nothing is downloaded.

    Torchvision's has its classifiers, timm's has none. Global randomness stays as it was.

    Args:
        spec: which network; the part does not matter.
        filled: with first weights, in memory; otherwise weights are on the meta device, and cost nothing.

    Raises:
        InvalidArchitectureError: the library has no such network, or cannot build it for such images.
        SettingsError: the library is not installed.
    """
    with torch.random.fork_rng(devices=[]), torch.device("cpu"), nullcontext() if filled else _Unfilled():
        match spec:
            case TorchvisionSpec():
                try:
                    return build_torchvision(spec.backbone, image_size=spec.image_size)
                except MISUSE as error:
                    raise _refusal(f"torchvision cannot build {spec.backbone}: {error}", "image_size") from error
            case TimmSpec():
                return build_timm(spec.backbone, image_size=spec.image_size)
            case _:
                assert_never(spec)


def _stages_of(spec: BackboneSpec, network: nn.Module) -> Stages:
    match spec:
        case TorchvisionSpec():
            return torchvision_stages(network)
        case TimmSpec():
            return timm_stages(network)
        case _:
            assert_never(spec)


def stages_of(spec: BackboneSpec) -> Stages:
    """What the whole network of a spec may be cut into, whatever part of it the spec takes. Raises as the library."""
    return _stages_of(spec, library_network(spec))


def _part(spec: BackboneSpec, *, filled: bool = False) -> PartOfNetwork:
    """The part, as `library_network` builds it. Raises InvalidArchitectureError where there is no such part."""
    network = library_network(spec, filled=filled)
    stages = _stages_of(spec, network)
    count = len(stages.stages)
    stop = count if spec.stop is None else spec.stop
    if not spec.start < stop <= count:
        seen = f"start {spec.start} and stop {stop} are no part of them"
        raise _refusal(f"{spec.library} {spec.backbone} has stages 0 to {count}; {seen}", "stop")
    return PartOfNetwork(network, stages, start=spec.start, stop=stop)


def counted(spec: BackboneSpec) -> BackboneSpec:
    """The same part with its parameters counted. Raises InvalidArchitectureError where there is no such part."""
    return spec.model_copy(update={"parameters": _parameters(_part(spec))})


def weight_entries(spec: BackboneSpec) -> dict[str, TensorEntrySpec]:
    """Name, shape and dtype of every tensor of a part's weights. Raises InvalidArchitectureError as `counted` does."""
    return {name: TensorEntrySpec(tuple(tensor.shape)) for name, tensor in _part(spec).weights().items()}


def left_out(spec: BackboneSpec) -> tuple[str, ...]:
    """How names of tensors begin that the library's own weights have, and the whole backbone has not: classifiers."""
    network = library_network(spec)
    named = classifiers(network) if isinstance(spec, TimmSpec) else ()
    return (*named, *(network.state_dict().keys() - weight_entries(_whole(spec)).keys()))


def _whole(spec: BackboneSpec) -> BackboneSpec:
    return spec.model_copy(update={"start": 0, "stop": None})


def _parameters(part: PartOfNetwork) -> int:
    return trained_values({name: tuple(tensor.shape) for name, tensor in part.weights().items()})


def _checked_part(spec: BackboneSpec, *, bounds: Bounds = DEFAULT_BOUNDS) -> PartOfNetwork:
    """The part, once it is known to have as many parameters as it says, and no more than the bound."""
    check_parameters(spec, bounds=bounds)
    part = _part(spec)
    if (found := _parameters(part)) != spec.parameters:
        seen = f"says {spec.parameters:,} parameters, but {spec.library} builds it with {found:,}"
        raise _refusal(f"the architecture {seen}", "parameters")
    return part


def build_backbone(spec: BackboneSpec) -> PartOfNetwork:
    """Build a part of a backbone on the current default device, every weight NaN until it is loaded.

    Raises:
        InvalidArchitectureError: the library has no such network or part, or it has too many parameters, or other
            ones than the spec says.
        SettingsError: the library is not installed.
    """
    part = _checked_part(spec)
    if isinstance(spec, TimmSpec):  # it computes tables where its weights are, and these must not be on meta
        part = _part(spec, filled=True)
    computed = {name: buffer for name, buffer in part.network.named_buffers() if not buffer.is_meta}
    part.to_empty(device=torch.get_default_device())
    with torch.no_grad():
        for name, buffer in computed.items():
            part.network.get_buffer(name).copy_(buffer)
        for tensor in part.weights().values():
            tensor.fill_(torch.nan)
    return part


def measure(spec: BackboneSpec, takes: TensorType, *, bounds: Bounds = DEFAULT_BOUNDS) -> Measured:
    """Contract and cost of a part of a backbone, found by running it without values: no memory, hardly any time.

    Args:
        spec: the part.
        takes: type of its inputs.
        bounds: of these, ``activations`` is for the largest tensor that appears within.

    Raises:
        InvalidArchitectureError: there is no such part, it cannot run on such inputs, or it is over a bound.
        SettingsError: the library is not installed.
    """
    part = _checked_part(spec, bounds=bounds).to("meta").eval()
    try:
        with torch.no_grad(), FlopCounterMode(display=False) as counter, _Largest() as largest:  # type: ignore[no-untyped-call]
            outputs = part(torch.zeros(1, *takes.shape, device="meta"))
    except MISUSE as error:
        said = str(error).partition("\n")[0]
        raise _refusal(f"{spec.library} {spec.backbone} cannot run on {takes}: {said}") from error
    multiply_adds = counter.get_total_flops() // 2
    _check_bound(largest.values, bounds.activations, "values in its largest tensor")
    _check_bound(multiply_adds, bounds.multiply_adds, "multiply-adds an example")
    _check_bound(outputs.numel(), MAX_TENSOR_VALUES, "outputs an example")
    gives = TensorType(shape=tuple(outputs.shape[1:]))
    return Measured(ShapeContract(takes=takes, gives=gives), multiply_adds)


def _check_bound(count: int, bound: int, what: str) -> None:
    if count > bound:
        raise _refusal(f"the architecture has {count:,} {what}; at most {bound:,} are allowed")


def _refusal(detail: str, key: str = "") -> InvalidArchitectureError:
    pointer = f"/architecture/{key}" if key else "/architecture"
    return InvalidArchitectureError(detail, faults=[Fault(pointer, detail, "invalid_architecture")])
