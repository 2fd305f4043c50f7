"""Everything a training method works with: recipe, plan, device, examples, progress."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import structlog
from torch import nn

from registry.architectures.contracts import TensorType
from registry.architectures.specs import BlocksSpec
from registry.dataset_sketch import DatasetSketch
from registry.errors import InvalidRecipeError
from registry.manifest import Metric
from registry.networks.build import build, initialise
from registry.recipes import TrainingRecipe
from registry.sketches import sketch_images
from registry.training_plan import Plan, plan_modules
from trainer.checkpoints import Journal
from trainer.data import Augmentation, Examples, TrainingData, batch_count, draw, split
from trainer.devices import Placement, choose_placement
from trainer.history import History, untold
from trainer.inputs import ImageInputs, Inputs
from trainer.learners import Learner, PairKnowledge, Part
from trainer.optimisation import Ascent, ParameterGroup
from trainer.progress import Report, ShouldStop, Tracker
from trainer.seeds import Purpose, torch_stream
from trainer.stages import Pace, Stage, Surroundings
from trainer.supervision import known_pairs

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Trained:
    """A module that was trained: frozen, with what was measured and how long it took."""

    module: nn.Module
    metrics: tuple[Metric, ...]
    seconds: float


@dataclass(frozen=True, slots=True)
class Watchers:
    """Who is told of a run: how far it is, whether it is to end, its checkpoints, its epochs."""

    report: Report
    should_stop: ShouldStop
    journal: Journal
    history: History = untold


@dataclass(frozen=True, slots=True)
class Workbench:
    """One run's means. `training` and `held_out` are disjoint parts of the task's examples.

    `known` is what is known of the pairs of training examples, where hidden modules may see no labels; by `sketch`
    the training examples are found again elsewhere.
    """

    recipe: TrainingRecipe
    plan: Plan
    placement: Placement
    classes: tuple[str, ...]
    training: ImageInputs
    held_out: ImageInputs
    known: PairKnowledge | None
    around: Surroundings
    sketch: DatasetSketch

    @classmethod
    def set_up(cls, recipe: TrainingRecipe, data: TrainingData, watchers: Watchers) -> Self:
        """Draw and split the examples, move them to the device, plan the modules.

        Raises:
            InvalidRecipeError: the recipe asks for what this task or this device cannot give.
            InvalidArchitectureError: the family cannot take these images.
        """
        placement = choose_placement(recipe.precision)
        strata = data.labels if recipe.pairs is None else np.zeros_like(data.labels)  # pairs tell of no classes
        drawn = draw(strata, recipe.examples or len(strata), seed=recipe.seed)
        parts = [drawn[part] for part in split(strata[drawn], recipe.held_out_share, seed=recipe.seed)]
        _check_watched(recipe, held_out=len(parts[1]))
        training, held_out = (ImageInputs(Examples.on(placement, data, part), placement) for part in parts)
        takes = TensorType(shape=data.preprocessing.shape)
        plan = plan_modules(recipe, takes=takes, classes=len(data.classes))
        total = _examples_seen(recipe, len(parts[0]), classes=len(data.classes))
        tracker = Tracker(total=total, report=watchers.report, should_stop=watchers.should_stop)
        around = Surroundings(tracker, watchers.journal, watchers.history)
        known = known_pairs(recipe, data, parts[0], placement)
        sketch = sketch_images(data.images[index] for index in parts[0])
        return cls(recipe, plan, placement, data.names, training, held_out, known, around, sketch)

    @property
    def has_held_out(self) -> bool:
        """Whether the recipe keeps examples back to measure on."""
        return len(self.held_out.labels) > 0

    @property
    def watched(self) -> ImageInputs:
        """The examples that metrics are measured on: those held out, or else the training ones."""
        return self.held_out if self.has_held_out else self.training

    @property
    def measured_on(self) -> str:
        """On which examples metrics are measured."""
        return "held-out" if self.has_held_out else "training"

    @property
    def keeps(self) -> bool:
        """Whether outputs of frozen modules may be kept: not where images change with every epoch."""
        return not self.recipe.augment

    def fresh(self, architecture: BlocksSpec, *, index: int, purpose: Purpose = Purpose.WEIGHTS) -> nn.Sequential:
        """Blocks with new weights, drawn by the seed and their place in the network."""
        module = build(architecture)
        initialise(module, torch_stream(self.recipe.seed, purpose, index))
        self.placement.place(module)
        return module

    def spread(self, count: int) -> list[Self]:
        """The bench at which each of so many modules learns at once: as many devices as there are, neighbours together.

        Devices work side by side: what a module gives goes on to the next device, where the module above learns of it
        while this one learns of the next batch.
        """
        placements = self.placement.all_alike()[:count]
        if len(placements) > 1:
            log.info("modules spread over devices", devices=[str(each.device) for each in placements])
        benches = [self, *(self._on(placement) for placement in placements[1:])]
        return [benches[index * len(benches) // count] for index in range(count)]

    def _on(self, placement: Placement) -> Self:
        """The same bench on another device; the examples stay where they are."""
        known = None if self.known is None else self.known.to(placement.device)
        return replace(self, placement=placement, known=known)

    def part(self, name: str, module: nn.Module, objective: nn.Module, *, groups: Sequence[ParameterGroup]) -> Part:
        """A part that learns for as many steps as the recipe's epochs have."""
        steps = self.recipe.epochs * batch_count(len(self.training.labels), self.recipe.batch_size)
        ascent = Ascent(groups, spec=self.recipe.optimiser, steps=steps)
        return Part(name, self.placement.compiled(module), objective, ascent, self.placement)

    def stage(self, name: str, parts: Sequence[Part], *, inputs: Inputs, watched: Inputs, index: int) -> Stage:
        """The stage in which hidden modules learn, from the one at ``index`` up."""
        return Stage(
            number=index,
            name=name,
            learner=Learner(parts),
            inputs=inputs,
            watched=watched,
            pace=self._pace(index),
            around=self.around,
        )

    def _pace(self, index: int) -> Pace:
        recipe = self.recipe
        order = torch_stream(recipe.seed, Purpose.ORDER, index, device=self.placement.device)
        augment = Augmentation(order, cutout=recipe.cutout, views=recipe.views) if recipe.augment else None
        return Pace(
            epochs=recipe.epochs,
            batch_size=recipe.batch_size,
            augment=augment,
            order=order,
            patience=recipe.patience,
            seconds=None if recipe.seconds is None else recipe.seconds / recipe.hidden_stages,
            known=self.known,
        )


def _check_watched(recipe: TrainingRecipe, *, held_out: int) -> None:
    """Raises InvalidRecipeError where patience has no image to look at."""
    if recipe.patience is not None and held_out == 0:
        raise InvalidRecipeError(
            f"patience watches held-out images, but {recipe.held_out_share:g} of them is none; give more examples or "
            "raise held_out_share"
        )


def labels_known(recipe: TrainingRecipe, count: int, *, classes: int) -> int:
    """How many labels the output module sees, of ``count`` training examples; 0 without an output module."""
    if recipe.output is None:
        return 0
    each = recipe.output.labels_per_class
    return count if each is None else each * classes


def _examples_seen(recipe: TrainingRecipe, count: int, *, classes: int) -> int:
    """Examples that pass in all epochs of all modules, for progress."""
    hidden = recipe.epochs * count * recipe.hidden_stages
    if recipe.output is None or (recipe.joint and recipe.output.labels_per_class is None):
        return hidden
    return hidden + recipe.output.epochs * labels_known(recipe, count, classes=classes)
