"""The output module: cross-entropy on all labels, or on n of each class; everything below it frozen."""

import time
from itertools import takewhile

import numpy as np
import torch
from torch import nn

from registry.errors import InvalidRecipeError
from registry.recipes import OutputSpec
from registry.training_plan import PlannedOutput
from trainer.data import batch_count, n_per_class
from trainer.inputs import Inputs, SomeInputs, above, freeze
from trainer.learners import Learner, Part
from trainer.methods.end_to_end import LogLikelihood
from trainer.optimisation import Ascent, ParameterGroup
from trainer.seeds import Purpose, torch_stream
from trainer.stages import Pace, Stage
from trainer.workbench import Trained, Workbench

STAGE = "output module"


def train_output(bench: Workbench, planned: PlannedOutput, inputs: Inputs) -> Trained:
    """Train an output module with new weights on as many labels as the recipe grants, then freeze it.

    It learns from images as they are, never augmented: what the frozen modules give is then the same in every epoch
    and computed once, so that the output module costs next to nothing.

    Args:
        bench: the run's means.
        planned: what to train.
        inputs: raw outputs of the last hidden module over the training examples.

    Raises:
        InvalidRecipeError: a class has fewer examples than labels are asked for.
        JobFailedError: the objective is no longer a finite number.
        Stopped: the run is to end.
    """
    started = time.monotonic()
    module = bench.fresh(planned.architecture, index=len(bench.plan.hidden))
    fixed, learning = split_fixed(module)
    known = known_labels(bench, inputs)
    features = above(known, fixed, placement=bench.placement, keep=True)
    stage = _stage(bench, learning, features)
    (objective,) = stage.run()
    return Trained(freeze(module), stage.metrics(objective), time.monotonic() - started)


def output_spec(bench: Workbench) -> OutputSpec:
    """How the recipe wants its output module. Raises InvalidRecipeError where it wants none."""
    if bench.recipe.output is None:
        raise InvalidRecipeError("the recipe asks for no output module, so none can be trained")
    return bench.recipe.output


def planned_output(bench: Workbench) -> PlannedOutput:
    """The plan's output module. Raises InvalidRecipeError where the recipe wants none."""
    output_spec(bench)
    if bench.plan.output is None:
        raise ValueError("the plan has no output module although the recipe asks for one")
    return bench.plan.output


def known_labels(bench: Workbench, inputs: Inputs) -> Inputs:
    """The inputs whose labels the output module may see: all, or n of each class, drawn by the seed."""
    each = output_spec(bench).labels_per_class
    if each is None:
        return inputs
    labels = inputs.labels.cpu().numpy().astype(np.int64)
    chosen = n_per_class(labels, each, classes=bench.classes, seed=bench.recipe.seed)
    return SomeInputs(inputs, torch.from_numpy(chosen).to(bench.placement.device))


def split_fixed(module: nn.Sequential) -> tuple[nn.Sequential, nn.Sequential]:
    """A module's blocks without weights at its beginning, which are the same in every epoch, and the rest."""
    fixed = list(takewhile(lambda block: not block.state_dict(), module))
    return nn.Sequential(*fixed), nn.Sequential(*list(module)[len(fixed) :])


def _stage(bench: Workbench, module: nn.Module, inputs: Inputs) -> Stage:
    """Cross-entropy over the output module's own epochs."""
    spec, recipe, number = output_spec(bench), bench.recipe, len(bench.plan.hidden)
    steps = spec.epochs * batch_count(len(inputs.labels), recipe.batch_size)
    ascent = Ascent(
        [ParameterGroup((module,), spec.learning_rate, 0.0, to_classes=True)], spec=recipe.optimiser, steps=steps
    )
    part = Part(STAGE, module, LogLikelihood(), ascent, bench.placement)
    order = torch_stream(recipe.seed, Purpose.ORDER, number, device=bench.placement.device)
    pace = Pace(spec.epochs, recipe.batch_size, None, order)
    return Stage(number, STAGE, Learner([part]), inputs, inputs, pace, bench.around)
