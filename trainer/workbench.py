"""Everything a training method works with: recipe, plan, device, examples, progress."""

from dataclasses import dataclass
from typing import Self

from torch import nn

from registry.architectures.contracts import TensorType
from registry.architectures.specs import BlocksSpec
from registry.manifest import Metric
from registry.networks.build import build, initialise
from registry.recipes import TrainingRecipe
from registry.training_plan import Plan, plan_modules
from trainer.data import Examples, TrainingData, draw, split
from trainer.devices import Placement, choose_placement
from trainer.epochs import Epochs
from trainer.inputs import ImageInputs
from trainer.progress import Report, ShouldStop, Tracker
from trainer.seeds import Purpose, torch_stream


@dataclass(frozen=True, slots=True)
class Trained:
    """A module that was trained: frozen, with what was measured and how long it took."""

    module: nn.Module
    metrics: tuple[Metric, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Workbench:
    """One run's means. `training` and `held_out` are disjoint parts of the task's examples."""

    recipe: TrainingRecipe
    plan: Plan
    placement: Placement
    classes: tuple[str, ...]
    training: ImageInputs
    held_out: ImageInputs
    tracker: Tracker

    @classmethod
    def set_up(cls, recipe: TrainingRecipe, data: TrainingData, *, report: Report, should_stop: ShouldStop) -> Self:
        """Draw and split the examples, move them to the device, plan the modules.

        Raises:
            InvalidRecipeError: the recipe asks for what this task or this device cannot give.
            InvalidArchitectureError: the family cannot take these images.
        """
        placement = choose_placement(recipe.precision)
        drawn = draw(data.labels, recipe.examples or len(data.labels), seed=recipe.seed)
        parts = split(data.labels[drawn], recipe.held_out_share, seed=recipe.seed)
        training, held_out = (ImageInputs(Examples.on(placement, data, drawn[part]), placement) for part in parts)
        takes = TensorType(shape=data.preprocessing.shape)
        plan = plan_modules(recipe, takes=takes, classes=len(data.classes))
        total = _examples_seen(recipe, len(parts[0]), classes=len(data.classes))
        tracker = Tracker(total=total, report=report, should_stop=should_stop)
        return cls(recipe, plan, placement, data.names, training, held_out, tracker)

    @property
    def has_held_out(self) -> bool:
        """Whether the recipe keeps examples back to measure on."""
        return len(self.held_out.labels) > 0

    @property
    def measured_on(self) -> str:
        """On which examples metrics are measured."""
        return "held-out" if self.has_held_out else "training"

    @property
    def keeps(self) -> bool:
        """Whether outputs of frozen modules may be kept: not where images change with every epoch."""
        return not self.recipe.augment

    def fresh(self, architecture: BlocksSpec, *, index: int) -> nn.Sequential:
        """A module with new weights, drawn by the seed and its place in the network."""
        module = build(architecture)
        initialise(module, torch_stream(self.recipe.seed, Purpose.WEIGHTS, index))
        self.placement.place(module)
        return module

    def epochs(self, stage: str, *, index: int) -> Epochs:
        """The epochs of a hidden module, or of the whole network."""
        order = torch_stream(self.recipe.seed, Purpose.ORDER, index, device=self.placement.device)
        return Epochs(stage, self.recipe.epochs, self.recipe.batch_size, self.recipe.augment, order)


def labels_known(recipe: TrainingRecipe, count: int, *, classes: int) -> int:
    """How many labels the output module sees, of ``count`` training examples; 0 without an output module."""
    if recipe.output is None:
        return 0
    each = recipe.output.labels_per_class
    return count if each is None else each * classes


def _examples_seen(recipe: TrainingRecipe, count: int, *, classes: int) -> int:
    """Examples that pass in all epochs of all modules, for progress."""
    joint = recipe.method == "end-to-end"
    hidden = recipe.epochs * count * (1 if joint else recipe.modules)
    if recipe.output is None or (joint and recipe.output.labels_per_class is None):
        return hidden
    return hidden + recipe.output.epochs * labels_known(recipe, count, classes=classes)
