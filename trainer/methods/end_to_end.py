"""The baseline: the same modules, trained at once with cross-entropy, gradients passing through all of them."""

import time
from dataclasses import replace

from torch import nn

from registry.manifest import Metric
from registry.training_plan import PlannedOutput
from trainer.data import batch_count
from trainer.inputs import Inputs, above, freeze
from trainer.measure import measure_hidden, measure_output
from trainer.optimisation import Ascent, ParameterGroup
from trainer.output import log_likelihood, output_spec, train_output
from trainer.workbench import Trained, Workbench

STAGE = "whole network"


def train_at_once(bench: Workbench) -> list[Trained]:
    """Train all modules together on all labels.

    Where the recipe grants the output module only n labels of each class, a new one is then trained on those
    over the frozen features: the control for a pairwise result with as few labels.
    """
    planned = _planned_output(bench)
    hidden, output = _train_jointly(bench, planned)
    trained, training, watched = _measured(bench, hidden)
    if output_spec(bench).labels_per_class is not None:
        output = train_output(bench, planned, training)
    metrics = measure_output(output.module, watched, bench=bench, on=bench.measured_on)
    return [*trained, replace(output, metrics=output.metrics + metrics)]


def _planned_output(bench: Workbench) -> PlannedOutput:
    output_spec(bench)
    if bench.plan.output is None:
        raise ValueError("the plan has no output module although the recipe asks for one")
    return bench.plan.output


def _train_jointly(bench: Workbench, planned: PlannedOutput) -> tuple[list[Trained], Trained]:
    """All modules, frozen; the time is shared evenly among the hidden ones."""
    started = time.monotonic()
    hidden = [bench.fresh(part.architecture, index=index) for index, part in enumerate(bench.plan.hidden)]
    output = bench.fresh(planned.architecture, index=len(hidden))
    network = nn.Sequential(*hidden, output)
    network.train()
    objective = bench.epochs(STAGE, index=0).run(
        log_likelihood(bench, network),
        bench.training,
        ascent=_ascent(bench, hidden, output),
        tracker=bench.tracker,
    )
    freeze(network)
    share = (time.monotonic() - started) / len(hidden)
    metric = Metric(name="objective", on="training", value=objective)
    return [Trained(module, (), share) for module in hidden], Trained(output, (metric,), 0.0)


def _ascent(bench: Workbench, hidden: list[nn.Sequential], output: nn.Module) -> Ascent:
    """Hidden modules at the recipe's rate, the output module at its own."""
    spec = bench.recipe.optimiser
    groups = [
        ParameterGroup(tuple(hidden), spec.learning_rate, spec.weight_decay),
        ParameterGroup((output,), output_spec(bench).learning_rate, 0.0),
    ]
    steps = bench.recipe.epochs * batch_count(len(bench.training.labels), bench.recipe.batch_size)
    return Ascent(groups, spec=spec, steps=steps)


def _measured(bench: Workbench, hidden: list[Trained]) -> tuple[list[Trained], Inputs, Inputs]:
    """Hidden modules with their scores, and the inputs of the output module: for training, and to measure on."""
    training: Inputs = bench.training
    watched: Inputs = bench.held_out if bench.has_held_out else bench.training
    measured = []
    for planned, made in zip(bench.plan.hidden, hidden, strict=True):
        training = above(training, made.module, placement=bench.placement, keep=False)
        watched = above(watched, made.module, placement=bench.placement, keep=True)
        metrics = measure_hidden(bench, planned, watched, on=bench.measured_on)
        measured.append(replace(made, metrics=made.metrics + metrics))
    return measured, training, watched
