"""The training recipe: everything a run depends on, so that it can be repeated.

One recipe trains one network: its hidden part cut into modules that each learn by an objective of their own, in turn
or at once on one pass, then an output module on labels; or, as the baseline, the same network end to end.
"""

from typing import Annotated, Literal, Self

from pydantic import FailFast, Field, FiniteFloat, model_validator

from kernel_methods.kernels import GUESSING, REMEMBERING, SMOOTHABLE, ObjectiveName, Pooling, TrainedActivation
from registry.architectures.specs import FamilyName
from registry.frozen import Asked, Frozen
from registry.names import DigestField

ClassName = Annotated[str, Field(min_length=1, max_length=200)]
Merged = Annotated[tuple[ClassName, ...], Field(min_length=1), FailFast()]
Classes = Annotated[dict[ClassName, Merged], Field(max_length=10_000)]


class TaskSpec(Asked):
    """A dataset and what its labels mean: each class, and the dataset labels merged into it.

    An empty `classes` stands for the dataset's own classes, each by itself.
    """

    dataset: DigestField
    classes: Classes = Field(default_factory=dict)


Method = Literal["pairwise", "greedy", "similarity", "infopro", "end-to-end"]
"""How hidden modules learn; every one but the last by objectives of their own, see `trainer/methods`."""

Schedule = Literal["in-turn", "at-once"]
Head = Literal["none", "convolutions", "look-ahead", "look-ahead-halved"]
OptimiserName = Literal["sgd", "adamw", "muon"]
USUAL_TEMPERATURE = 0.2
TEMPERATURES: dict[ObjectiveName, float] = {
    "ridge": 0.05,
    "prototype": 0.1,
    "prototype_momentum": 0.1,
    "prototype_memory": 0.1,
}
"""Temperatures that did best where an objective has one (bench/objectives.py); `USUAL_TEMPERATURE` for the others."""

PEAK_RATES: dict[OptimiserName, float] = {"sgd": 0.1, "adamw": 2e-3, "muon": 0.02}
MOMENTA: dict[OptimiserName, float] = {"sgd": 0.9, "adamw": 0.9, "muon": 0.95}


class OptimiserSpec(Frozen):
    """How weights move under one cycle of the learning rate.

    SGD with Nesterov momentum; AdamW; or Muon, which moves matrices and convolutions by orthogonal steps and
    leaves biases, scales and maps to classes to AdamW at `other_rate`.
    """

    name: OptimiserName = "muon"
    learning_rate: Annotated[FiniteFloat, Field(gt=0, le=10, description="peak; null: usual for the name")] | None = (
        None
    )
    other_rate: Annotated[
        FiniteFloat,
        Field(gt=0, le=10, description="peak of biases, scales and local classifiers, which Muon leaves to AdamW"),
    ] = 2e-3
    momentum: Annotated[FiniteFloat, Field(ge=0, lt=1)] | None = None
    weight_decay: Annotated[FiniteFloat, Field(ge=0, le=1)] = 1e-2
    warm_up_share: Annotated[FiniteFloat, Field(ge=0, le=1)] = 0.2

    @property
    def peak_rate(self) -> float:
        """Highest learning rate of the cycle."""
        return PEAK_RATES[self.name] if self.learning_rate is None else self.learning_rate

    @property
    def rate_to_classes(self) -> float:
        """Highest rate of the maps to classes of local methods, which Muon leaves to AdamW."""
        return self.other_rate if self.name == "muon" else self.peak_rate

    @property
    def usual_momentum(self) -> float:
        """The momentum asked for, or the usual one."""
        return MOMENTA[self.name] if self.momentum is None else self.momentum


class PairsSpec(Frozen):
    """What is known of pairs where class labels are not to be used: a table, or partners drawn by the seed.

    Hidden modules then learn from these pairs alone, closed under "same as same". Pairs of which nothing is known are
    left out, or count as different but for the share of pairs that are of one class among those that are known.
    """

    table: DigestField | None = None
    partners: Annotated[int, Field(ge=1, le=1000, description="known partners that every image draws")] | None = None
    unknown: Literal["left-out", "prior"] = "left-out"

    @model_validator(mode="after")
    def _check_one(self) -> Self:
        if (self.table is None) == (self.partners is None):
            raise ValueError("pairs come from a table or from partners drawn by the seed: give one of the two")
        return self


class OutputSpec(Frozen):
    """How the output module is trained: on all labels, or on n examples of each class."""

    labels_per_class: Annotated[int, Field(ge=1)] | None = None
    loss: Literal["cross_entropy"] = "cross_entropy"
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 20
    learning_rate: Annotated[FiniteFloat, Field(gt=0, le=100)] = 1e-1


class TrainingRecipe(Frozen):
    """Everything a training run depends on: the same recipe and data give the same modules on a CPU.

    With `seconds` the cycle of the learning rate ends when the time is over: such a run depends on the machine.
    """

    method: Method = "pairwise"
    task: TaskSpec
    family: FamilyName = "lenet5"
    width: Annotated[int, Field(ge=1, le=4096, description="channels, or features, of the first layer")] | None = None
    modules: Annotated[int, Field(ge=1, le=64, description="hidden parts, each a module of its own")] = 1
    cuts: Annotated[tuple[Annotated[int, Field(ge=0, le=1000)], ...], Field(max_length=63)] | None = None
    schedule: Schedule = "in-turn"
    head: Head = "convolutions"
    image_size: Annotated[int, Field(ge=4, le=512, description="pixels; images are resized to a square")] | None = None
    activation: TrainedActivation = "relu"
    pooling: Pooling | None = None
    k_min: FiniteFloat | None = None
    objective: ObjectiveName = "ridge"
    temperature: Annotated[FiniteFloat, Field(gt=0, le=100, description="null: usual for the objective")] | None = None
    smoothing: Annotated[FiniteFloat, Field(ge=0, lt=1, description="share of the target given to all")] = 0.0
    views: Annotated[int, Field(ge=1, le=2, description="augmented views of each image in a batch")] = 1
    pairs: PairsSpec | None = None
    optimiser: OptimiserSpec = OptimiserSpec()
    output: OutputSpec | None = OutputSpec()
    epochs: Annotated[int, Field(ge=1, le=10_000)] = 10
    patience: (
        Annotated[int, Field(ge=1, le=10_000, description="epochs without a better held-out objective")] | None
    ) = None
    seconds: Annotated[FiniteFloat, Field(gt=0, le=1e7, description="time that hidden modules may take")] | None = None
    batch_size: Annotated[int, Field(ge=2, le=65_536)] = 256
    examples: Annotated[int, Field(ge=2, description="at most so many, drawn by the seed")] | None = None
    held_out_share: Annotated[FiniteFloat, Field(ge=0, le=0.5, description="kept back to measure on")] = 0.1
    augment: bool = False
    cutout: Annotated[
        FiniteFloat, Field(ge=0, le=0.75, description="side of the square that is blanked, as a share")
    ] = 0.0
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0

    @property
    def parts(self) -> int:
        """Number of hidden modules."""
        return self.modules if self.cuts is None else len(self.cuts) + 1

    @property
    def usual_temperature(self) -> float:
        """The temperature asked for, or the usual one of the objective."""
        return TEMPERATURES.get(self.objective, USUAL_TEMPERATURE) if self.temperature is None else self.temperature

    @property
    def hidden_stages(self) -> int:
        """Number of stages that hidden modules learn in: one for each in turn, one for all at once or end to end."""
        return 1 if self.joint or self.schedule == "at-once" else self.parts

    @property
    def joint(self) -> bool:
        """Whether gradients pass through the whole network."""
        return self.method == "end-to-end"

    @model_validator(mode="after")
    def _check_agreement(self) -> Self:
        wrong = next((sentence for holds, sentence in _rules(self) if not holds), None)
        if wrong is not None:
            raise ValueError(wrong)
        return self


def _rules(recipe: TrainingRecipe) -> tuple[tuple[bool, str], ...]:
    """What parts of a recipe must hold of each other, and what is said where they do not."""
    cuts, modules = recipe.cuts, recipe.modules
    return (
        (
            not recipe.joint or recipe.output is not None,
            "end-to-end training needs an output module; leave output at its default",
        ),
        (
            recipe.pairs is None or recipe.method == "pairwise",
            f"method {recipe.method} learns from class labels; only pairwise can do with pairs",
        ),
        (
            recipe.pairs is None or recipe.objective not in REMEMBERING,
            f"objective {recipe.objective} remembers classes, which pairs have none of; choose another",
        ),
        (
            recipe.pairs is None or recipe.pairs.unknown == "left-out" or recipe.objective in GUESSING,
            f"{recipe.objective} takes no guess of unknown pairs; leave them out, or take one of {sorted(GUESSING)}",
        ),
        (
            recipe.smoothing == 0 or recipe.method in {"end-to-end", "pairwise"},
            f"method {recipe.method} has no targets to smooth; leave smoothing at 0",
        ),
        (
            recipe.smoothing == 0 or recipe.method != "pairwise" or recipe.objective in SMOOTHABLE,
            f"{recipe.objective} has no targets to smooth; leave smoothing at 0, or take one of {sorted(SMOOTHABLE)}",
        ),
        (cuts is None or list(cuts) == sorted(set(cuts)), f"cuts must increase, got {list(cuts or ())}"),
        (
            cuts is None or modules in (1, len(cuts) + 1),
            f"{len(cuts or ())} cuts make {len(cuts or ()) + 1} modules, not {modules}; leave one of the two out",
        ),
        (
            recipe.patience is None or recipe.held_out_share > 0,
            "patience watches held-out examples; raise held_out_share",
        ),
        (
            recipe.patience is None or recipe.pairs is None,
            "patience watches held-out examples, but nothing is known of the pairs of held-out images; "
            "leave patience out",
        ),
        (recipe.cutout == 0 or recipe.augment, "cutout is part of augmentation; set augment too"),
        (recipe.views == 1 or recipe.augment, "two views of an image differ only with augmentation; set augment too"),
    )
