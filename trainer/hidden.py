"""One hidden module on pairs: a proxy objective on the feature map of its outputs, all below it frozen."""

import time

from torch import Tensor, nn

from kernel_methods.feature_maps import feature_map
from kernel_methods.objectives import proxy_objective
from registry.errors import InvalidRecipeError
from registry.manifest import FeatureMap, Metric
from registry.training_plan import PlannedModule
from trainer.data import batch_count
from trainer.epochs import BatchObjective
from trainer.inputs import Inputs, freeze
from trainer.optimisation import Ascent, ParameterGroup
from trainer.workbench import Trained, Workbench


def features_of(outputs: Tensor, phi: FeatureMap) -> Tensor:
    """Unit feature vectors of raw outputs: shape (n, ...) to (n, d), float32."""
    return feature_map(outputs.float(), activation=phi.activation, pooling=phi.pooling)


def train_hidden(bench: Workbench, planned: PlannedModule, inputs: Inputs, *, index: int) -> Trained:
    """Train the hidden module at position ``index`` on same-class and different-class pairs, then freeze it.

    Args:
        bench: the run's means.
        planned: what to train.
        inputs: what the module takes, made without gradients by the frozen modules below.
        index: position in the network, 0 for the input module.

    Raises:
        InvalidRecipeError: the objective is undefined for this feature map.
        JobFailedError: the objective is no longer a finite number.
        Stopped: the run is to end.
    """
    started = time.monotonic()
    module = bench.fresh(planned.architecture, index=index)
    module.train()
    stage = f"module {index + 1} of {len(bench.plan.hidden)}"
    objective = bench.epochs(stage, index=index).run(
        _pair_objective(bench, module, phi=planned.feature_map),
        inputs,
        ascent=_ascent(bench, module, count=len(inputs.labels)),
        tracker=bench.tracker,
    )
    metric = Metric(name="objective", on="training", value=objective)
    return Trained(freeze(module), (metric,), time.monotonic() - started)


def _ascent(bench: Workbench, module: nn.Module, *, count: int) -> Ascent:
    spec = bench.recipe.optimiser
    steps = bench.recipe.epochs * batch_count(count, bench.recipe.batch_size)
    return Ascent([ParameterGroup((module,), spec.learning_rate, spec.weight_decay)], spec=spec, steps=steps)


def _pair_objective(bench: Workbench, module: nn.Module, *, phi: FeatureMap) -> BatchObjective:
    """The recipe's objective of a batch of the module's inputs. Raises InvalidRecipeError where undefined."""
    recipe = bench.recipe
    try:
        of_features = proxy_objective(
            recipe.objective, k_min=phi.k_min, k_max=phi.k_max, temperature=recipe.temperature
        )
    except ValueError as error:
        raise InvalidRecipeError(f"objective {recipe.objective} with {phi.activation}: {error}") from error

    def objective(batch: Tensor, labels: Tensor) -> Tensor:
        with bench.placement.autocast():
            outputs = module(batch)
        return of_features(features_of(outputs, phi), labels)

    return objective
