"""One training run: a recipe and a task's examples in, module files out, the input module first."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from torch import nn

from client.cache import digest_of_bytes
from registry.architectures.contracts import TensorType
from registry.architectures.specs import ArchitectureSpec
from registry.manifest import FeatureMap, ModuleManifest, Role, TrainedTask
from registry.module_file import module_bytes
from registry.names import Digest
from registry.recipes import TrainingRecipe
from trainer.checkpoints import NOT_SAVED, Saved
from trainer.data import TrainingData
from trainer.hidden import measured, train_hidden
from trainer.history import History, untold
from trainer.measure import measure_output
from trainer.methods.end_to_end import train_together
from trainer.output import output_spec, planned_output, train_output
from trainer.progress import Report, ShouldStop
from trainer.workbench import Trained, Watchers, Workbench, labels_known

Weights = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class TrainedModule:
    """A module as it is published: its manifest, its weights, its file and the file's digest.

    `seconds` is how long its training took; it is not in the file, so that a repeat gives the same bytes.
    """

    ending: str
    manifest: ModuleManifest
    tensors: Weights
    file: bytes
    digest: Digest
    seconds: float

    def metric(self, name: str) -> float | None:
        """The value measured under this name, or None."""
        return next((metric.value for metric in self.manifest.metrics if metric.name == name), None)


@dataclass(frozen=True, slots=True)
class TrainedNetwork:
    """All modules of a run, the input module first, the output module, if there is one, last."""

    modules: tuple[TrainedModule, ...]

    @property
    def complete(self) -> bool:
        """Whether the modules make a pipeline: the last one is an output module."""
        return self.modules[-1].manifest.role is Role.OUTPUT


def train(
    recipe: TrainingRecipe,
    data: TrainingData,
    *,
    report: Report,
    should_stop: ShouldStop,
    saved: Saved = NOT_SAVED,
    history: History = untold,
) -> TrainedNetwork:
    """Train a recipe's modules on a task's examples.

    Args:
        recipe: everything the result depends on; on a CPU the same recipe and data give the same bytes.
        data: the task's images, as `recipe` wants them prepared.
        report: told how far the run is, twice a second at most.
        should_stop: asked at every batch.
        saved: where checkpoints go, how often, and the one to go on from; the result is the same with and without.
        history: told of every epoch.

    Raises:
        InvalidRecipeError: the recipe asks for what this task or this device cannot give.
        InvalidArchitectureError: the family cannot take these images, or cannot be cut so often.
        JobFailedError: an objective is no longer a finite number, or the device has too little memory.
        Stopped: ``should_stop`` said so.
    """
    journal = saved.journal(recipe)
    bench = Workbench.set_up(recipe, data, Watchers(report, should_stop, journal, history))
    return TrainedNetwork(_assemble(bench, data, _train_all(bench)))


def _train_all(bench: Workbench) -> list[Trained]:
    """Every module of the plan, measured.

    Where an end-to-end recipe grants the output module only n labels of each class, a new one is trained on those
    over the frozen features: the control for a pairwise result with as few labels.
    """
    planned = bench.plan.output
    output = None
    if bench.recipe.joint:
        hidden, output = train_together(bench, planned_output(bench))
    else:
        hidden = train_hidden(bench)
    trained, training, watched = measured(bench, hidden)
    if planned is None:
        return trained
    if output is None or output_spec(bench).labels_per_class is not None:
        output = train_output(bench, planned, training)
    metrics = measure_output(output.module, watched, bench=bench, on=bench.measured_on)
    return [*trained, replace(output, metrics=output.metrics + metrics)]


def _assemble(bench: Workbench, data: TrainingData, trained: Sequence[Trained]) -> tuple[TrainedModule, ...]:
    """Write each module's file on the digest of the one below."""
    modules: list[TrainedModule] = []
    for index, made in enumerate(trained):
        below = modules[-1].digest if modules else None
        is_output = index == len(bench.plan.hidden)
        part = _output_part(bench, data) if is_output else _hidden_part(bench, data, index)
        modules.append(part.finish(bench.recipe, made, below=below))
    return tuple(modules)


@dataclass(frozen=True, slots=True)
class _Part:
    """What a module's place in the network says of it."""

    ending: str
    role: Role
    architecture: ArchitectureSpec
    takes: TensorType
    gives: TensorType
    task: TrainedTask
    data: TrainingData
    feature_map: FeatureMap | None = None

    def finish(self, recipe: TrainingRecipe, made: Trained, *, below: Digest | None) -> TrainedModule:
        """The module with its manifest and its file."""
        manifest = ModuleManifest(
            role=self.role,
            architecture=self.architecture,
            takes=self.takes,
            gives=self.gives,
            preprocessing=self.data.preprocessing if self.role is Role.INPUT else None,
            feature_map=self.feature_map,
            labels=self.data.names if self.role is Role.OUTPUT else None,
            below=below,
            task=self.task,
            recipe=recipe,
            metrics=made.metrics,
        )
        tensors = weights_of(made.module)
        file = module_bytes(manifest, tensors)
        return TrainedModule(self.ending, manifest, tensors, file, digest_of_bytes(file), made.seconds)


def weights_of(module: nn.Module) -> Weights:
    """A module's weights by name, in main memory."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in module.state_dict().items()}


def _hidden_part(bench: Workbench, data: TrainingData, index: int) -> _Part:
    planned = bench.plan.hidden[index]
    return _Part(
        ending=f"hidden-{index}" if index else "input",
        role=Role.HIDDEN if index else Role.INPUT,
        architecture=planned.architecture,
        takes=planned.takes,
        gives=planned.gives,
        feature_map=planned.feature_map,
        task=_task(bench, data, of_output=False),
        data=data,
    )


def _output_part(bench: Workbench, data: TrainingData) -> _Part:
    planned = bench.plan.output
    if planned is None:
        raise ValueError("a plan without an output module gave one more module than it has hidden ones")
    return _Part(
        ending="output",
        role=Role.OUTPUT,
        architecture=planned.architecture,
        takes=planned.takes,
        gives=planned.gives,
        task=_task(bench, data, of_output=True),
        data=data,
    )


def _task(bench: Workbench, data: TrainingData, *, of_output: bool) -> TrainedTask:
    """What a module was told: hidden modules of pairs only, unless all learned together, output modules labels."""
    recipe, count = bench.recipe, len(bench.training.labels)
    few = labels_known(recipe, count, classes=len(data.classes))
    pairwise = recipe.method == "pairwise"
    pairs = count * (count - 1) // 2 if bench.known is None else bench.known.pairs_known
    return TrainedTask(
        data=data.digest,
        classes=data.classes,
        examples=count,
        labels_known=few if of_output else 0 if pairwise else count,
        pairs_known=pairs if pairwise and not of_output else 0,
        sketch=bench.sketch,
    )
