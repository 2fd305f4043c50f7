"""Build a module and run it: does it do what its manifest says? Bounded, on the CPU, and the same for every worker."""

import time
from pathlib import Path

import torch
from torch import Tensor, nn

from registry.architectures.contracts import TensorType
from registry.architectures.specs import TimmSpec, TorchvisionSpec
from registry.errors import InvalidInputError
from registry.module_file import PipelinePart, read_module
from registry.names import Digest
from registry.networks.backbones import measure
from registry.networks.build import load
from registry.networks.embed import forward
from registry.work import LONGEST_REASON, ModuleVerdict

EXAMPLES = 2
"""So few that a module of the largest size allowed still runs in the memory of a small worker."""

SEED = 20_220_511
LONGEST_PASS_SECONDS = 120.0
TOLERANCE = 1e-3
"""How far an example's outputs may move when it runs alone, of the largest output: layers may add in another order."""

BROKEN = (RuntimeError, ValueError, TypeError, ArithmeticError, LookupError, MemoryError)
"""What building and running a network may meet that is no fault of the worker; torch runs out of memory in these."""


class _RefusedError(Exception):
    """The module cannot be used; the message says why."""


def verdict_on(module: Digest, path: Path) -> ModuleVerdict:
    """Build and run the module of a file; what is wrong with it is in the verdict, not an error."""
    try:
        part = read_module(path)
    except InvalidInputError as error:
        return ModuleVerdict(module=module, refused=_short(error.detail))
    return ModuleVerdict(module=module, refused=fault_of(part))


def fault_of(part: PipelinePart) -> str | None:
    """Why a module cannot be used, or None where nothing is wrong.

    It is built from its manifest and its weights, and run twice on inputs drawn by one seed, on the CPU in float32.
    Its outputs must have the type that the manifest gives, be finite, be the same bit for bit both times, and not
    depend on the other examples of the batch; its inputs must stay as they were.
    """
    try:
        _check_bounds(part)
        network = _built(part)
        batch = _inputs(part.manifest.takes)
        outputs = _first_pass(network, batch)
        _check_type(outputs, part.manifest.gives)
        _check_repeats(network, batch, outputs)
        _check_alone(network, batch, outputs)
    except _RefusedError as error:
        return _short(str(error))
    return None


def _check_bounds(part: PipelinePart) -> None:
    """A backbone's cost and contract, found without memory: no arithmetic of the service has bounded it before."""
    architecture, takes = part.manifest.architecture, part.manifest.takes
    if not isinstance(architecture, TorchvisionSpec | TimmSpec):
        return
    try:
        found = measure(architecture, takes).contract.gives
    except InvalidInputError as error:
        raise _RefusedError(f"it cannot be run: {error.detail}") from error
    if found != part.manifest.gives:
        raise _RefusedError(f"it gives {found} for inputs of {takes}; its manifest says {part.manifest.gives}")


def _built(part: PipelinePart) -> nn.Module:
    weights = {name: torch.from_numpy(values) for name, values in part.tensors.items()}
    try:
        with torch.device("cpu"):
            return load(part.manifest.architecture, weights)
    except InvalidInputError as error:
        raise _RefusedError(f"it cannot be built: {error.detail}") from error
    except BROKEN as error:
        raise _RefusedError(f"it cannot be built: {_told(error)}") from error


def _inputs(takes: TensorType) -> Tensor:
    """Standard normal inputs, as normalised images are on average. Shape (2, ...), float32."""
    generator = torch.Generator(device="cpu").manual_seed(SEED)
    return torch.randn((EXAMPLES, *takes.shape), generator=generator, device="cpu")


def _first_pass(network: nn.Module, batch: Tensor) -> Tensor:
    """Outputs of a first run, which must come in time and leave the inputs as they were."""
    given = batch.clone()
    began = time.monotonic()
    outputs = _run(network, given)
    seconds = time.monotonic() - began
    if seconds > LONGEST_PASS_SECONDS:
        raise _RefusedError(
            f"{EXAMPLES} examples took {seconds:.0f} s on the CPU; more than {LONGEST_PASS_SECONDS:.0f} s is too slow "
            "to score"
        )
    if not torch.equal(given, batch):
        raise _RefusedError("it changes its inputs in place; other modules may stand on the same outputs")
    return outputs


def _run(network: nn.Module, batch: Tensor) -> Tensor:
    try:
        outputs: object = forward(network, batch)
    except BROKEN as error:
        raise _RefusedError(f"it fails on inputs of shape {tuple(batch.shape)}: {_told(error)}") from error
    if not isinstance(outputs, Tensor):
        raise _RefusedError(f"it gives a {type(outputs).__name__}, not a tensor")
    return outputs


def _check_type(outputs: Tensor, gives: TensorType) -> None:
    wanted = (EXAMPLES, *gives.shape)
    if tuple(outputs.shape) != wanted or outputs.dtype != torch.float32:
        found = f"{str(outputs.dtype).removeprefix('torch.')} of shape {tuple(outputs.shape)}"
        raise _RefusedError(f"it gives {found} for {EXAMPLES} examples; its manifest says float32 of shape {wanted}")
    if not torch.isfinite(outputs).all():
        raise _RefusedError("its outputs on standard normal inputs are not finite; publish one with smaller weights")


def _check_repeats(network: nn.Module, batch: Tensor, outputs: Tensor) -> None:
    again = _run(network, batch.clone())
    if again.shape != outputs.shape or not torch.equal(again, outputs):
        raise _RefusedError("the same inputs give other outputs the second time")


def _check_alone(network: nn.Module, batch: Tensor, outputs: Tensor) -> None:
    scale = float(outputs.abs().max())
    for index in range(EXAMPLES):
        alone = _run(network, batch[index : index + 1].clone())
        if alone.shape != outputs[:1].shape:
            raise _RefusedError(f"one example alone gives shape {tuple(alone.shape)}")
        moved = float((alone[0] - outputs[index]).abs().max())
        if not moved <= TOLERANCE * scale:
            raise _RefusedError(
                f"the outputs of an example depend on the others of its batch: alone they differ by {moved:.3g}, "
                f"where the largest is {scale:.3g}"
            )


def _told(error: BaseException) -> str:
    """An error of a library in one line."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _short(reason: str) -> str:
    return reason[:LONGEST_REASON]
