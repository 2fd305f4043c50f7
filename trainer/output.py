"""The output module: cross-entropy on all labels, or on n of each class; everything below it frozen."""

import time
from itertools import takewhile

import numpy as np
import torch
import torch.nn.functional as nnf
from torch import Tensor, nn

from registry.errors import InvalidRecipeError
from registry.manifest import Metric
from registry.recipes import OutputSpec
from registry.training_plan import PlannedOutput
from trainer.data import batch_count, n_per_class
from trainer.epochs import BatchObjective, Epochs
from trainer.inputs import Inputs, SomeInputs, above, freeze
from trainer.optimisation import Ascent, ParameterGroup
from trainer.seeds import Purpose, torch_stream
from trainer.workbench import Trained, Workbench

STAGE = "output module"


def train_output(bench: Workbench, planned: PlannedOutput, inputs: Inputs) -> Trained:
    """Train an output module with new weights on as many labels as the recipe grants, then freeze it.

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
    spec = output_spec(bench)
    module = bench.fresh(planned.architecture, index=len(bench.plan.hidden))
    fixed, learning = split_fixed(module)
    known = known_labels(bench, inputs)
    features = above(known, fixed, placement=bench.placement, keep=bench.keeps) if len(fixed) else known
    objective = _epochs(bench, spec).run(
        log_likelihood(bench, learning),
        features,
        ascent=_ascent(bench, learning, count=len(known.labels)),
        tracker=bench.tracker,
    )
    metric = Metric(name="objective", on="training", value=objective)
    return Trained(freeze(module), (metric,), time.monotonic() - started)


def output_spec(bench: Workbench) -> OutputSpec:
    """How the recipe wants its output module. Raises InvalidRecipeError where it wants none."""
    if bench.recipe.output is None:
        raise InvalidRecipeError("the recipe asks for no output module, so none can be trained")
    return bench.recipe.output


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


def log_likelihood(bench: Workbench, network: nn.Module) -> BatchObjective:
    """Mean log-probability of the true class, which is the negative cross-entropy; larger is better."""

    def objective(batch: Tensor, labels: Tensor) -> Tensor:
        with bench.placement.autocast():
            outputs = network(batch)
        return -nnf.cross_entropy(outputs.float(), labels)

    return objective


def _epochs(bench: Workbench, spec: OutputSpec) -> Epochs:
    order = torch_stream(bench.recipe.seed, Purpose.ORDER, len(bench.plan.hidden), device=bench.placement.device)
    return Epochs(STAGE, spec.epochs, bench.recipe.batch_size, bench.recipe.augment, order)


def _ascent(bench: Workbench, module: nn.Module, *, count: int) -> Ascent:
    spec = output_spec(bench)
    steps = spec.epochs * batch_count(count, bench.recipe.batch_size)
    group = ParameterGroup((module,), spec.learning_rate, 0.0)
    return Ascent([group], spec=bench.recipe.optimiser, steps=steps)
