"""The stages of timm's networks; timm is an extra, and is never asked to fetch anything."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from types import ModuleType
from typing import Protocol, cast

from torch import Tensor, nn

from registry.errors import Fault, InvalidArchitectureError, SettingsError
from registry.networks.stages import Stages, Step
from registry.networks.torchvision_stages import channels_first, channels_last

try:
    import timm  # type: ignore[import-not-found, import-untyped, unused-ignore]
except ImportError:
    timm = None

HEADS = frozenset(
    {"global_pool", "attn_pool", "fc_norm", "head_drop", "head", "head_dist", "fc", "classifier", "pre_logits"}
)
"""Children of timm's networks that stand behind the last feature map."""


class _Headed(Protocol):
    """What every network of timm has."""

    def forward_head(self, x: Tensor) -> Tensor:
        """Pool features."""


def build_timm(name: str, *, image_size: int | None) -> nn.Module:
    """A network as timm builds it without weights and without its classifier; nothing is downloaded.

    Args:
        name: a name of timm's registry, with or without the tag of its weights.
        image_size: side of the images in pixels where the network is built for one size; None is its usual one.

    Raises:
        SettingsError: timm is not installed.
        InvalidArchitectureError: timm has no such network, or cannot build it for such images.
    """
    library = _timm_for(name)
    arguments = {} if image_size is None else {"img_size": image_size}
    try:
        network: nn.Module = library.create_model(name, pretrained=False, num_classes=0, **arguments)
    except (TypeError, RuntimeError, ValueError, AssertionError) as error:
        raise _refusal(f"timm cannot build {name} for images of {image_size} pixels: {error}") from error
    return network


def _timm_for(name: str) -> ModuleType:
    """The library, once it is known to have this network. Raises SettingsError, InvalidArchitectureError."""
    if timm is None:
        raise SettingsError(f"{name} is a network of timm; install the extra 'timm': pip install '.[timm]'")
    if not timm.is_model(name):
        raise _refusal(f"timm {timm.__version__} has no network {name!r}; `timm.list_models()` lists them")
    library: ModuleType = timm
    return library


def _refusal(detail: str) -> InvalidArchitectureError:
    return InvalidArchitectureError(detail, faults=[Fault("/architecture/backbone", detail, "invalid_architecture")])


def timm_stages(network: nn.Module) -> Stages:
    """What a network of timm may be cut into where its parts run one after the other; in one piece it runs as it is.

    Whether its parts do is told by their outputs: compare those of the stages with the whole network's. Outputs are
    what timm calls pooled features, shape (n, d).
    """
    marks = [str(info["module"]) for info in getattr(network, "feature_info", ())]
    body, head = _split_head(network, marks)
    ends = {end for mark in marks if 0 < (end := _end(body, mark)) < len(body)}
    bounds = [0, *sorted(ends), len(body)]
    stages = [tuple(Step((path,)) for path in body[a:b]) for a, b in pairwise(bounds)]
    stages[-1] = (*stages[-1], Step(head, _head_of))
    whole = Stages(tuple(stages), "identity", "identity", whole=(Step(("",), _all_of),))
    if getattr(network, "output_fmt", "NCHW") == "NHWC":
        return replace(whole, outward=channels_first, inward=channels_last)
    return whole


def _split_head(network: nn.Module, marks: Sequence[str]) -> tuple[list[str], tuple[str, ...]]:
    """Paths of what runs one after the other, lists that hold a feature map by their items; names in the head."""
    names = [name for name, _ in network.named_children()]
    first = next((index for index, name in enumerate(names) if name in HEADS), len(names))
    body: list[str] = []
    for name in names[:first]:
        inner = [f"{name}.{item}" for item, _ in network.get_submodule(name).named_children()]
        body += inner if any(mark.startswith(f"{name}.") for mark in marks) else [name]
    return body, tuple(names[first:])


def _end(body: Sequence[str], mark: str) -> int:
    """How many paths run until a feature map is there; 0 where it is in none of them."""
    return next((index + 1 for index, path in enumerate(body) if f"{mark}.".startswith(f"{path}.")), 0)


def _head_of(network: nn.Module, features: Tensor) -> Tensor:
    """Pooled features, as the network's own head makes them without a classifier. Shape (n, d)."""
    return cast("_Headed", network).forward_head(features)


def _all_of(network: nn.Module, images: Tensor) -> Tensor:
    """The network as it is, without a classifier. Shape (n, d)."""
    outputs: Tensor = network(images)
    return outputs


@dataclass(frozen=True, slots=True)
class PretrainedSettings:
    """What timm says of the images of named weights: pixels, whether no other size will do, share that is kept."""

    size: int
    fixed: bool
    crop: float | None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    interpolation: str


def pretrained_settings(name: str) -> PretrainedSettings:
    """What timm says of the images of weights by this name, without fetching them.

    Raises:
        SettingsError: timm is not installed.
        InvalidArchitectureError: timm has no such network, or its images are not in colour.
    """
    known = _timm_for(name).get_pretrained_cfg(name)
    if known.input_size[0] != 3:
        raise _refusal(f"{name} takes images of {known.input_size[0]} channels; only 3 are supported")
    return PretrainedSettings(
        size=int(known.input_size[-1]),
        fixed=bool(known.fixed_input_size),
        crop=float(known.crop_pct) if known.crop_mode == "center" else None,
        mean=tuple(known.mean),
        std=tuple(known.std),
        interpolation=str(known.interpolation),
    )


def classifiers(network: nn.Module) -> tuple[str, ...]:
    """How the names of a network's classifiers begin, of which it is built without."""
    named = getattr(network, "pretrained_cfg", {}).get("classifier") or ()
    return tuple(f"{name}." for name in ((named,) if isinstance(named, str) else named))
