"""Hidden modules by their own objectives: in turn, each frozen before the next begins, or at once on one pass."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from trainer.heads import copy_blocks
from trainer.inputs import Inputs, above, freeze
from trainer.learners import Part
from trainer.measure import measure_hidden
from trainer.methods.choice import fresh_head, local_objective
from trainer.optimisation import ParameterGroup
from trainer.stages import Stage
from trainer.workbench import Trained, Workbench


def train_hidden(bench: Workbench) -> list[Trained]:
    """Train every hidden module of the plan, the input module first.

    Raises:
        InvalidRecipeError: an objective is undefined for its feature map.
        JobFailedError: an objective is no longer a finite number, or memory is short.
        Stopped: the run is to end.

    Source:
        Duan, Yu, Principe (2022), Modularizing Deep Learning via Pairwise Learning With Kernels.
    """
    return _at_once(bench) if bench.recipe.schedule == "at-once" else _in_turn(bench)


def _in_turn(bench: Workbench) -> list[Trained]:
    training: Inputs = bench.training
    watched: Inputs = bench.held_out
    trained: list[Trained] = []
    below = nn.Sequential()
    for index in range(len(bench.plan.hidden)):
        new = _new(bench, index=index)
        if index:
            _warm_start(bench, below, new.module, index=index)
        name = f"module {index + 1} of {len(bench.plan.hidden)}"
        stage = bench.stage(name, [new.part], inputs=training, watched=watched, index=index)
        trained += _run(stage, [new.module])
        below = new.head
        if index + 1 < len(bench.plan.hidden):
            training = above(training, trained[-1].module, placement=bench.placement, keep=bench.keeps)
            watched = above(watched, trained[-1].module, placement=bench.placement, keep=True)
    return trained


def _at_once(bench: Workbench) -> list[Trained]:
    """All of them on one pass: each learns on what the ones below give at that moment."""
    benches = bench.spread(len(bench.plan.hidden))
    parts = [_new(own, index=index).part for index, own in enumerate(benches)]
    name = f"{len(parts)} modules at once"
    stage = bench.stage(name, parts, inputs=bench.training, watched=bench.held_out, index=0)
    trained = _run(stage, [part.module for part in parts])
    return [replace(each, module=bench.placement.place(each.module)) for each in trained]


def _run(stage: Stage, modules: Sequence[nn.Module]) -> list[Trained]:
    """Go through a stage; its time is shared evenly among the modules."""
    started = time.monotonic()
    objectives = stage.run()
    share = (time.monotonic() - started) / len(modules)
    return [
        Trained(freeze(module), stage.metrics(objective), share)
        for module, objective in zip(modules, objectives, strict=True)
    ]


@dataclass(frozen=True, slots=True)
class _New:
    """A module and its head with new weights, and the part that learns of them."""

    module: nn.Sequential
    head: nn.Sequential
    part: Part


def _new(bench: Workbench, *, index: int) -> _New:
    planned = bench.plan.hidden[index]
    module = bench.fresh(planned.architecture, index=index)
    head = fresh_head(bench, planned, index=index)
    objective = local_objective(bench, planned, head, index=index)
    part = bench.part(f"module {index + 1}", module, objective, groups=_groups(bench, module, objective))
    return _New(module, head, part)


def _groups(bench: Workbench, module: nn.Module, objective: nn.Module) -> list[ParameterGroup]:
    """The module and the head at the recipe's rate; a classifier is a map to classes."""
    spec = bench.recipe.optimiser
    classifiers = [child for name, child in objective.named_children() if name == "classifier"]
    others = [child for name, child in objective.named_children() if name != "classifier"]
    return [
        ParameterGroup((module, *others), spec.peak_rate, spec.weight_decay),
        ParameterGroup(tuple(classifiers), spec.rate_to_classes, 0.0, to_classes=True),
    ]


def _warm_start(bench: Workbench, head: nn.Sequential, module: nn.Sequential, *, index: int) -> None:
    """Begin where the head of the module below has come to, as far as both are the same blocks."""
    planned = bench.plan.hidden[index - 1].head
    if planned is not None and planned.shared:
        copy_blocks(head, module, count=planned.shared)


def measured(bench: Workbench, trained: Sequence[Trained]) -> tuple[list[Trained], Inputs, Inputs]:
    """Modules with their scores, and the inputs of the output module: for training, and to measure on."""
    training: Inputs = bench.training
    watched: Inputs = bench.watched
    scored = []
    for planned, made in zip(bench.plan.hidden, trained, strict=True):
        training = above(training, made.module, placement=bench.placement, keep=bench.keeps)
        watched = above(watched, made.module, placement=bench.placement, keep=True)
        metrics = measure_hidden(bench, planned, watched, on=bench.measured_on)
        scored.append(replace(made, metrics=made.metrics + metrics))
    return scored, training, watched
