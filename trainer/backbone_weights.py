"""Weights of a backbone from a file that a user has: safetensors only, for nothing is unpickled here."""

import re
from collections.abc import Collection, Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from registry.architectures.contracts import TensorEntrySpec, compare_tensors
from registry.architectures.specs import BackboneSpec
from registry.errors import InvalidWeightsError
from registry.fault_list import FaultList

PICKLES = (b"PK\x03\x04", b"\x80")
"""How files that torch writes begin: zip archives, and pickles of before."""

CONVERT = (
    'python -c "import torch; from safetensors.torch import save_file; '
    "state = torch.load('weights.pth', map_location='cpu', weights_only=True); "
    "save_file({name: value.clone().contiguous() for name, value in state.items()}, 'weights.safetensors')\""
)
COUNTS = "num_batches_tracked"
RENAMED = (
    (re.compile(r"\.mlp\.linear_1\."), ".mlp.0."),
    (re.compile(r"\.mlp\.linear_2\."), ".mlp.3."),
    (re.compile(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\."), r"\1\2."),
)
"""Names that torchvision's own files have from before it renamed parts of its transformers and DenseNets."""

Weights = Mapping[str, Tensor]


def read_weights(path: Path) -> dict[str, Tensor]:
    """Every tensor of a safetensors file, on the CPU, those of numbers with a point as float32.

    Raises:
        InvalidWeightsError: the file is a pickle, or no safetensors file.
    """
    with path.open("rb") as file:
        beginning = file.read(8)
    if beginning.startswith(PICKLES):
        raise InvalidWeightsError(
            f"{path.name} is a pickle, which can run code and is never opened here; if you trust it, convert it with: "
            f"{CONVERT}"
        )
    try:
        with safe_open(path, framework="pt", device="cpu") as opened:
            return {_present_name(name): _as_float32(opened.get_tensor(name)) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise InvalidWeightsError(f"{path.name} is not a safetensors file: {error}") from error


def _present_name(name: str) -> str:
    for pattern, replacement in RENAMED:
        name = pattern.sub(replacement, name)
    return name


def _as_float32(tensor: Tensor) -> Tensor:
    return tensor.to(torch.float32) if tensor.is_floating_point() else tensor


def fit_weights(
    weights: Weights, wanted: Mapping[str, TensorEntrySpec], *, droppable: Collection[str], spec: BackboneSpec
) -> dict[str, Tensor]:
    """The tensors that a backbone needs; what else a file may hold is left out.

    Args:
        weights: what the file has.
        wanted: what the backbone needs.
        droppable: beginnings of names that the library has and the backbone does not: its classifiers.
        spec: which backbone, for the sentence.

    Raises:
        InvalidWeightsError: a tensor is missing, of another shape, or known to nobody; each is a fault.
    """
    kept = {name: tensor for name, tensor in weights.items() if not _left_out(name, wanted, droppable)}
    entries = {name: TensorEntrySpec(tuple(tensor.shape), _dtype(tensor)) for name, tensor in kept.items()}
    faults = FaultList("invalid_weights")
    for fault in compare_tensors(wanted, entries):
        faults.add(fault.pointer, fault.detail)
    if faults.count:
        raise InvalidWeightsError(
            f"these are not the weights of {spec.backbone} of {spec.library}: {faults.told()}; see docs/backbones.md "
            "for how its names are got",
            faults=faults.faults(),
        )
    return kept


def _left_out(name: str, wanted: Mapping[str, TensorEntrySpec], droppable: Collection[str]) -> bool:
    return name not in wanted and (name.endswith(COUNTS) or any(name.startswith(part) for part in droppable))


def _dtype(tensor: Tensor) -> str:
    return "F32" if tensor.dtype is torch.float32 else str(tensor.dtype).removeprefix("torch.").upper()
