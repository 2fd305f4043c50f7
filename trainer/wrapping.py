"""Weights of a backbone that a user has become module files, cut at the stages of the network."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import structlog
import torch
import typer
from pydantic import ValidationError
from torch import Tensor

from kernel_methods.kernels import Activation
from registry.architectures.contracts import TensorType
from registry.architectures.presets import even_cuts
from registry.architectures.specs import BackboneSpec
from registry.errors import InvalidArchitectureError, InvalidInputError
from registry.manifest import FeatureMap, ModuleManifest, Preprocessing, Role
from registry.module_file import write_module_file
from registry.names import Digest
from registry.networks.backbones import counted, left_out, measure, stages_of, weight_entries
from registry.networks.build import load
from registry.networks.embed import forward
from registry.wrapping import WrapRequest
from registry.wrong_values import told
from trainer.backbone_preprocessing import image_settings
from trainer.backbone_weights import Weights, fit_weights, read_weights

ORTHOGONAL = 0.0
"""k_min of backbones: of the many classes they know, different ones are at best orthogonal; -1 / (C - 1) nears 0."""

TRIAL_IMAGES = 2
LARGEST_DIFFERENCE = 1e-3
"""Of the outputs of a network of timm in parts and in one piece, as a share of the largest output."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class WrappedPart:
    """One module to be: its part of the backbone, its contract, its weights, and what its features go through."""

    architecture: BackboneSpec
    takes: TensorType
    gives: TensorType
    weights: Weights
    activation: Activation


def wrap(
    *,
    request: Annotated[Path, typer.Option(help="What to wrap, a JSON file.", exists=True, dir_okay=False)],
    weights: Annotated[Path, typer.Option(help="Weights (safetensors).", exists=True, dir_okay=False)],
    out: Annotated[Path, typer.Option(help="Folder for the module files.", file_okay=False)],
    name: Annotated[str, typer.Option(help="Names begin with it: NAME-input, NAME-hidden-1.")] = "backbone",
    json: Annotated[bool, typer.Option("--json", help="Tell a failure as JSON.")] = False,
) -> None:
    """Make module files of a torchvision or timm backbone from weights that are here."""
    del json  # `trainer.__main__` looks for it
    try:
        asked = WrapRequest.model_validate_json(request.read_bytes())
    except ValidationError as error:
        said = "; ".join(told(fault, ".".join(map(str, fault["loc"]))) for fault in error.errors())
        raise InvalidInputError(f"this cannot be wrapped: {said}") from error
    wrap_backbone(asked, weights, out=out, name=name)


def wrap_backbone(request: WrapRequest, weights: Path, *, out: Path, name: str) -> tuple[Path, ...]:
    """Make module files of a backbone.

    Args:
        request: which backbone, and how it is to be cut.
        weights: a safetensors file with the library's names; classifiers in it are left out.
        out: folder for the files.
        name: what their names begin with.

    Returns:
        The files, the input module first.

    Raises:
        InvalidWeightsError: the file is a pickle, or not these weights.
        InvalidArchitectureError: there is no such network, or it cannot be cut so.
        InvalidInputError: there is no such preset, or the weights are for images of another size.
        SettingsError: timm is asked for and not installed.
    """
    given = read_weights(weights)
    settings = image_settings(request, given)
    whole = counted(request.whole(image_size=settings.size if settings.fixed else None))
    takes = TensorType(shape=(3, settings.size, settings.size))
    kept = fit_weights(given, weight_entries(whole), droppable=left_out(whole), spec=whole)
    dropped = sorted(given.keys() - kept.keys())
    log.info("weights read", backbone=whole.backbone, parameters=whole.parameters, left_out=len(dropped))
    parts = cut_backbone(whole, takes, kept, cuts=_cuts(request, whole, takes))
    if request.library == "timm":
        parts = _tried(whole, parts, kept)
    return _write(parts, request, settings.preprocessing(request), out=out, name=name)


def _cuts(request: WrapRequest, whole: BackboneSpec, takes: TensorType) -> tuple[int, ...]:
    """Stages before which a module begins. Raises InvalidArchitectureError where the network has too few."""
    if request.modules == 1 or request.cuts:
        return request.cuts
    count = len(stages_of(whole).stages)
    if request.modules > count:
        raise InvalidArchitectureError(f"{whole.backbone} has {count} stages; it makes 1 to {count} modules")
    work = []
    for stage in range(count):
        measured = measure(counted(_part_of(whole, stage, stage + 1)), takes)
        work.append(measured.multiply_adds)
        takes = measured.contract.gives
    return tuple(even_cuts(range(1, count), modules=request.modules, work=work))


def _part_of(whole: BackboneSpec, start: int, stop: int | None) -> BackboneSpec:
    return whole.model_copy(update={"start": start, "stop": stop})


def cut_backbone(
    whole: BackboneSpec, takes: TensorType, weights: Weights, *, cuts: Sequence[int]
) -> tuple[WrappedPart, ...]:
    """Cut a backbone before these stages, each part with its contract and weights.

    Raises:
        InvalidArchitectureError: a cut is no boundary of stages, or the network cannot run on ``takes``.
    """
    stages = stages_of(whole)
    count = len(stages.stages)
    if any(not 0 < cut < count for cut in cuts):
        raise InvalidArchitectureError(
            f"{whole.backbone} of {whole.library} has {count} stages; cuts are 1 to {count - 1}, got {list(cuts)}"
        )
    parts = []
    for start, stop in pairwise((0, *cuts, None)):
        spec = counted(_part_of(whole, start or 0, stop))
        gives = measure(spec, takes).contract.gives
        own = {name: weights[name] for name in weight_entries(spec)}
        parts.append(WrappedPart(spec, takes, gives, own, stages.activation(count if stop is None else stop)))
        takes = gives
    return tuple(parts)


def _tried(whole: BackboneSpec, parts: Sequence[WrappedPart], weights: Weights) -> tuple[WrappedPart, ...]:
    """The parts of a network of timm, once run: relu where nothing negative comes out, and as in one piece.

    Raises:
        InvalidArchitectureError: the network is more than its parts one after the other.
    """
    shape = (TRIAL_IMAGES, *parts[0].takes.shape)
    outputs = images = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    tried = []
    for part in parts:
        outputs = forward(load(part.architecture, part.weights), outputs)
        activation: Activation = "relu" if bool((outputs >= 0).all()) else "identity"
        tried.append(WrappedPart(part.architecture, part.takes, part.gives, part.weights, activation))
    held = {name for part in parts for name in part.weights}
    if held != weights.keys() or (len(parts) > 1 and _differ(forward(load(whole, weights), images), outputs)):
        raise InvalidArchitectureError(
            f"{whole.backbone} of timm is more than its stages one after the other, so it cannot be cut; "
            "leave --modules and --cut out"
        )
    return tuple(tried)


def _differ(wanted: Tensor, found: Tensor) -> bool:
    if wanted.shape != found.shape:
        return True
    scale = wanted.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    return not bool((wanted - found).abs().max() / scale <= LARGEST_DIFFERENCE)


def _write(
    parts: Sequence[WrappedPart], request: WrapRequest, preprocessing: Preprocessing, *, out: Path, name: str
) -> tuple[Path, ...]:
    """Write the files, each on top of the one before."""
    files: list[Path] = []
    below: Digest | None = None
    for index, part in enumerate(parts):
        file = out / f"{name}-{'input' if index == 0 else f'hidden-{index}'}.safetensors"
        manifest = _manifest(part, request, preprocessing=None if index else preprocessing, below=below)
        arrays = {
            key: tensor.contiguous().numpy().astype(np.float32, copy=False) for key, tensor in part.weights.items()
        }
        below = write_module_file(file, manifest, arrays).digest
        log.info("written", file=str(file), gives=str(part.gives), parameters=part.architecture.parameters)
        files.append(file)
    return tuple(files)


def _manifest(
    part: WrappedPart, request: WrapRequest, *, preprocessing: Preprocessing | None, below: Digest | None
) -> ModuleManifest:
    return ModuleManifest(
        role=Role.HIDDEN if preprocessing is None else Role.INPUT,
        architecture=part.architecture,
        takes=part.takes,
        gives=part.gives,
        preprocessing=preprocessing,
        feature_map=FeatureMap(
            activation=part.activation,
            pooling="average" if len(part.gives.shape) == 3 else "none",
            k_min=ORTHOGONAL,
        ),
        below=below,
        description=request.description or f"{request.backbone} of {request.library}, from weights of its user",
        license=request.license,
        tags=request.tags or (request.library,),
    )
