"""What a user asks for who brings weights of a backbone: which network, where to cut it, how images come to it."""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from registry.architectures.backbone_names import TORCHVISION_NAMES
from registry.architectures.specs import BackboneSpec, Position, TimmSpec, TorchvisionSpec
from registry.frozen import Frozen
from registry.manifest import ShortText, Tag

Channel = Annotated[FiniteFloat, Field(ge=-10, le=10)]
Spread = Annotated[FiniteFloat, Field(gt=0, le=10)]


class WrapRequest(Frozen):
    """A backbone of a library and how it becomes modules; what is null is taken from the library.

    ``preset`` names the weights of torchvision whose preprocessing is meant, such as IMAGENET1K_V1. ``cuts`` are
    numbers of stages before which a new module begins; ``modules`` cuts into so many of about the same work.
    """

    library: Literal["torchvision", "timm"]
    backbone: Annotated[str, Field(max_length=128)]
    modules: Annotated[int, Field(ge=1, le=63)] = 1
    cuts: Annotated[tuple[Position, ...], Field(max_length=62)] = ()
    preset: ShortText | None = None
    image_size: Annotated[int, Field(ge=1, le=1024, description="pixels; images are made square")] | None = None
    mean: tuple[Channel, Channel, Channel] | None = None
    std: tuple[Spread, Spread, Spread] | None = None
    description: Annotated[str, Field(max_length=10_000)] = ""
    license: ShortText = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=32)] = ()

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        if list(self.cuts) != sorted(set(self.cuts)):
            raise ValueError(f"cuts must increase, got {list(self.cuts)}")
        if self.cuts and self.modules not in (1, len(self.cuts) + 1):
            raise ValueError(f"{len(self.cuts)} cuts make {len(self.cuts) + 1} modules, not {self.modules}")
        if self.preset is not None and self.library != "torchvision":
            raise ValueError("only torchvision has presets; timm names its weights after a dot, as in resnet50.a1_in1k")
        if self.library == "torchvision" and self.backbone not in TORCHVISION_NAMES:
            known = ", ".join(TORCHVISION_NAMES)
            raise ValueError(f"torchvision has no {self.backbone[:100]!r} that is supported; choose one of {known}")
        _ = self.whole(image_size=None)
        return self

    def whole(self, *, image_size: int | None) -> BackboneSpec:
        """The whole network as a spec, its parameters not counted yet."""
        keys = {"backbone": self.backbone, "parameters": 0, "image_size": image_size}
        return TorchvisionSpec.model_validate(keys) if self.library == "torchvision" else TimmSpec.model_validate(keys)
