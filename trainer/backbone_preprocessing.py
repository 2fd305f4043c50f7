"""How images come to a backbone: what its library says of the weights, unless the user says other."""

from dataclasses import dataclass
from math import isqrt
from typing import Literal

from torchvision import models  # type: ignore[import-untyped]

from registry.errors import InvalidInputError
from registry.manifest import Preprocessing
from registry.networks.timm_stages import pretrained_settings
from registry.wrapping import WrapRequest
from trainer.backbone_weights import Weights

Resampling = Literal["nearest", "box", "bilinear", "bicubic", "lanczos"]
RESAMPLING: dict[str, Resampling] = {
    "nearest": "nearest",
    "box": "box",
    "bilinear": "bilinear",
    "bicubic": "bicubic",
    "lanczos": "lanczos",
}
POSITIONS = "encoder.pos_embedding"
TRANSFORMS_ITS_INPUT = ("googlenet", "inception_v3")
"""With weights, torchvision turns ImageNet's mean and spread into 0.5 within these; said here as preprocessing."""

Channels = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class ImageSettings:
    """How images come to a backbone.

    Args:
        size: side of the square images in pixels.
        fixed: whether the network is built for this size.
        crop: share of the sides that is kept before; None keeps all.
        mean: of every channel, of pixels in [0, 1].
        std: of every channel, the same way.
        resampling: how sizes change.
    """

    size: int
    fixed: bool
    crop: float | None
    mean: Channels
    std: Channels
    resampling: Resampling

    def preprocessing(self, request: WrapRequest) -> Preprocessing:
        """As a manifest says it; what the request says of mean and std goes first."""
        return Preprocessing(
            colour="rgb",
            height=self.size,
            width=self.size,
            resampling=self.resampling,
            crop=self.crop,
            mean=request.mean or self.mean,
            std=request.std or self.std,
        )


def image_settings(request: WrapRequest, weights: Weights) -> ImageSettings:
    """How images come to the backbone of a request.

    Args:
        request: what its user says goes first.
        weights: their positions tell the size of images that a vision transformer of torchvision is made for.

    Raises:
        InvalidInputError: there is no such preset, or the weights are for images of another size.
        InvalidArchitectureError: timm has no such network.
        SettingsError: timm is not installed.
    """
    return _of_timm(request) if request.library == "timm" else _of_torchvision(request, weights)


def _of_torchvision(request: WrapRequest, weights: Weights) -> ImageSettings:
    """As the transforms of torchvision's own weights are; nothing is downloaded."""
    size = _size_of(request, weights)
    transforms = _preset(request, size=size).transforms()
    usual, shorter_side = transforms.crop_size[0], transforms.resize_size[0]
    centred = request.backbone in TRANSFORMS_ITS_INPUT
    return ImageSettings(
        size=size or usual,
        fixed=request.backbone.startswith(("vit_", "maxvit_")),
        crop=round(usual / shorter_side, 6),
        mean=(0.5, 0.5, 0.5) if centred else tuple(transforms.mean),
        std=(0.5, 0.5, 0.5) if centred else tuple(transforms.std),
        resampling=RESAMPLING[transforms.interpolation.value],
    )


def _preset(request: WrapRequest, *, size: int | None) -> models.Weights:
    """The weights of torchvision whose transforms are meant: the named ones, those for this size, or the default."""
    known = models.get_model_weights(request.backbone)
    names = [preset.name for preset in known]
    if request.preset is not None and request.preset not in names:
        raise InvalidInputError(
            f"{request.backbone} has no preset {request.preset!r}; choose one of {', '.join(names)}"
        )
    if request.preset is not None:
        return known[request.preset]
    fitting = [preset for preset in known if preset.transforms().crop_size[0] == size]
    return known.DEFAULT if size is None or known.DEFAULT in fitting or not fitting else fitting[0]


def _size_of(request: WrapRequest, weights: Weights) -> int | None:
    """The size that is asked for, or that a vision transformer's positions tell; None where nothing does.

    Raises:
        InvalidInputError: the two differ.
    """
    if not request.backbone.startswith("vit_") or POSITIONS not in weights or weights[POSITIONS].ndim != 3:
        return request.image_size
    patch = int(request.backbone.rpartition("_")[2])
    size = isqrt(max(0, weights[POSITIONS].shape[1] - 1)) * patch
    if request.image_size not in (None, size):
        raise InvalidInputError(
            f"these weights of {request.backbone} are for images of {size} pixels, not {request.image_size}; "
            "leave --image-size out"
        )
    return size


def _of_timm(request: WrapRequest) -> ImageSettings:
    """As timm's settings of the named weights are."""
    settings = pretrained_settings(request.backbone)
    return ImageSettings(
        size=request.image_size or settings.size,
        fixed=settings.fixed,
        crop=settings.crop,
        mean=settings.mean,
        std=settings.std,
        resampling=RESAMPLING.get(settings.interpolation, "bicubic"),
    )
