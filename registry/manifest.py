"""The manifest: what one version of a module says of itself, inside its own file (CONTRACT, section 1)."""

from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from kernel_methods.kernels import Activation, Pooling, attainable_k_min
from registry.architectures.contracts import TensorType
from registry.architectures.specs import ArchitectureSpec
from registry.dataset_sketch import DatasetSketch
from registry.frozen import Frozen
from registry.names import WORD_PATTERN, DigestField
from registry.recipes import TrainingRecipe

ShortText = Annotated[str, Field(max_length=200)]
Tag = Annotated[str, Field(pattern=f"^{WORD_PATTERN}$")]


class Role(StrEnum):
    """Where in a pipeline a module stands."""

    INPUT = "input"
    HIDDEN = "hidden"
    OUTPUT = "output"


class Preprocessing(Frozen):
    """How an image becomes the input of an input module: colour, size, then (pixel / 255 - mean) / std.

    Without ``crop`` the whole image is squashed to the size. With it, only a window in the middle is kept: of the
    output's proportions, and ``crop`` times as large as the largest such window in the image.
    """

    colour: Literal["rgb", "grey"]
    height: Annotated[int, Field(ge=1, le=1024, description="pixels")]
    width: Annotated[int, Field(ge=1, le=1024, description="pixels")]
    resampling: Literal["nearest", "box", "bilinear", "bicubic", "lanczos"] = "bilinear"
    crop: Annotated[FiniteFloat, Field(gt=0, le=1, description="share of the sides that is kept")] | None = None
    mean: tuple[FiniteFloat, ...]
    std: tuple[Annotated[FiniteFloat, Field(gt=0)], ...]

    @property
    def channels(self) -> int:
        """Number of colour channels, 1 or 3."""
        return 3 if self.colour == "rgb" else 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """Shape of one prepared image, (c, h, w)."""
        return (self.channels, self.height, self.width)

    @model_validator(mode="after")
    def _check_channels(self) -> Self:
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ValueError(
                f"{self.colour} has {self.channels} channels, but mean has {len(self.mean)} and std {len(self.std)}"
            )
        return self


class FeatureMap(Frozen):
    """phi, the nonlinearity that follows the module: activation, pooling, unit norm; and its kernel's range."""

    activation: Activation
    pooling: Pooling = "none"
    k_min: FiniteFloat
    k_max: FiniteFloat = 1.0

    @model_validator(mode="after")
    def _check_range(self) -> Self:
        lowest = attainable_k_min(self.activation)
        if not lowest <= self.k_min < self.k_max <= 1.0:
            raise ValueError(
                f"{self.activation} features have kernel values in [{lowest}, 1]; "
                f"need {lowest} <= k_min < k_max <= 1, got k_min={self.k_min} and k_max={self.k_max}"
            )
        return self


class TrainedClass(Frozen):
    """One class of a task, and the dataset labels that were merged into it."""

    label: ShortText
    merged: Annotated[tuple[ShortText, ...], Field(min_length=1)]


class TrainedTask(Frozen):
    """What a module was trained on, and how much of it was known; by `sketch` near-duplicates of its images are found.

    It covers the training examples alone, as they were prepared.
    """

    data: DigestField
    classes: Annotated[tuple[TrainedClass, ...], Field(min_length=1, max_length=10_000)]
    examples: Annotated[int, Field(ge=1)]
    labels_known: Annotated[int, Field(ge=0)]
    pairs_known: Annotated[int, Field(ge=0)]
    sketch: DatasetSketch | None = None


class Metric(Frozen):
    """One number that was measured: what, on which data, with which result."""

    name: ShortText
    on: ShortText
    value: FiniteFloat


class ModuleManifest(Frozen):
    """Everything a module's file says of itself; `gives` must agree with what the architecture derives.

    What a backbone of another library gives, only a worker that has built it can tell.
    """

    schema_version: Literal[1] = Field(default=1, alias="schema")
    role: Role
    architecture: ArchitectureSpec
    takes: TensorType
    gives: TensorType
    preprocessing: Preprocessing | None = None
    feature_map: FeatureMap | None = None
    labels: Annotated[tuple[ShortText, ...], Field(max_length=10_000)] | None = None
    below: DigestField | None = None
    task: TrainedTask | None = None
    recipe: TrainingRecipe | None = None
    metrics: Annotated[tuple[Metric, ...], Field(max_length=1000)] = ()
    description: Annotated[str, Field(max_length=10_000)] = ""
    license: ShortText = ""
    tags: Annotated[tuple[Tag, ...], Field(max_length=64)] = ()

    @model_validator(mode="after")
    def _check_role(self) -> Self:
        faults = _role_faults(self)
        if faults:
            raise ValueError("; ".join(faults))
        return self


def _role_faults(manifest: ModuleManifest) -> list[str]:
    """What a manifest must have, and must not have, for its role."""
    is_input, is_output = manifest.role is Role.INPUT, manifest.role is Role.OUTPUT
    rules = [
        (is_input, manifest.preprocessing, "preprocessing", "an input module"),
        (not is_output, manifest.feature_map, "feature_map", "an input or hidden module"),
        (is_output, manifest.labels, "labels", "an output module"),
    ]
    faults = [f"{role} needs {key}" for wanted, value, key, role in rules if wanted and value is None]
    faults += [f"only {role} has {key}" for wanted, value, key, role in rules if not wanted and value is not None]
    if is_input and manifest.below is not None:
        faults.append("an input module stands on nothing: below must be null")
    return faults + _shape_faults(manifest)


def _shape_faults(manifest: ModuleManifest) -> list[str]:
    """Whether preprocessing and labels agree with the shapes."""
    faults = []
    if manifest.preprocessing is not None and manifest.preprocessing.shape != manifest.takes.shape:
        faults.append(f"preprocessing gives {manifest.preprocessing.shape}, takes says {manifest.takes.shape}")
    if manifest.labels is not None and (len(manifest.labels),) != manifest.gives.shape:
        faults.append(f"{len(manifest.labels)} labels for outputs of shape {manifest.gives.shape}")
    if manifest.labels is not None and len(set(manifest.labels)) != len(manifest.labels):
        faults.append("labels must differ from each other")
    return faults
