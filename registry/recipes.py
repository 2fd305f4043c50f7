"""The training recipe: everything a run depends on, so that it can be repeated.

One recipe trains one network: its hidden part cut into modules that are trained in turn on pairs, then an
output module on labels; or, as the baseline, the same network end to end.
"""

from typing import Annotated, Literal, Self

from pydantic import Field, FiniteFloat, model_validator

from kernel_methods.kernels import Activation, ObjectiveName, Pooling
from registry.architectures.specs import FamilyName
from registry.frozen import Frozen
from registry.names import DigestField

ClassName = Annotated[str, Field(min_length=1, max_length=200)]


Classes = Annotated[dict[ClassName, Annotated[tuple[ClassName, ...], Field(min_length=1)]], Field(max_length=10_000)]


class TaskSpec(Frozen):
    """A dataset and what its labels mean: each class, and the dataset labels merged into it.

    An empty `classes` stands for the dataset's own classes, each by itself.
    """

    dataset: DigestField
    classes: Classes = Field(default_factory=dict)


class OptimiserSpec(Frozen):
    """How weights move: SGD with Nesterov momentum, or AdamW, under one cycle of the learning rate."""

    name: Literal["sgd", "adamw"] = "adamw"
    learning_rate: Annotated[FiniteFloat, Field(gt=0, le=10)] = 2e-3
    momentum: Annotated[FiniteFloat, Field(ge=0, lt=1)] = 0.9
    weight_decay: Annotated[FiniteFloat, Field(ge=0, le=1)] = 1e-2
    warm_up_share: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.2


class OutputSpec(Frozen):
    """How the output module is trained: on all labels, or on n examples of each class."""

    labels_per_class: Annotated[int, Field(ge=1)] | None = None
    loss: Literal["cross_entropy"] = "cross_entropy"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    learning_rate: Annotated[FiniteFloat, Field(gt=0, le=100)] = 1e-1


class TrainingRecipe(Frozen):
    """One training run, whole: network, cuts, objective, optimiser, data order, seed, precision."""

    method: Literal["pairwise", "end-to-end"] = "pairwise"
    task: TaskSpec
    family: FamilyName = "lenet5"
    width: Annotated[int, Field(ge=1, le=4096, description="channels, or features, of the first layer")] | None = None
    modules: Annotated[int, Field(ge=1, le=64, description="hidden parts, each a module of its own")] = 1
    image_size: Annotated[int, Field(ge=4, le=512, description="pixels; images are resized to a square")] | None = None
    activation: Activation = "relu"
    pooling: Pooling | None = None
    k_min: FiniteFloat | None = None
    objective: ObjectiveName = "upper_triangle_alignment"
    temperature: Annotated[FiniteFloat, Field(gt=0, le=100)] = 0.2
    optimiser: OptimiserSpec = OptimiserSpec()
    output: OutputSpec | None = OutputSpec()
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 256
    examples: Annotated[int, Field(ge=2, description="at most so many, drawn by the seed")] | None = None
    held_out_share: Annotated[FiniteFloat, Field(ge=0, le=0.5, description="kept back to measure on")] = 0.1
    augment: bool = False
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @model_validator(mode="after")
    def _check_end_to_end(self) -> Self:
        if self.method == "end-to-end" and self.output is None:
            raise ValueError("end-to-end training needs an output module; leave output at its default")
        return self
