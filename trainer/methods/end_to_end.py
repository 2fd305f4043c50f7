"""The baseline: the same modules, trained together with cross-entropy, gradients passing through all of them."""

import time

import torch.nn.functional as nnf
from torch import Tensor, nn

from registry.training_plan import PlannedOutput
from trainer.inputs import freeze
from trainer.learners import Batch, Raised
from trainer.optimisation import ParameterGroup
from trainer.workbench import Trained, Workbench

STAGE = "whole network"


class LogLikelihood(nn.Module):
    """Mean log-probability of the true class, which is the negative cross-entropy; larger is better."""

    def __init__(self, *, smoothing: float = 0.0) -> None:
        """Args: smoothing: share of the target that all classes get alike."""
        super().__init__()
        self._smoothing = smoothing

    def forward(self, outputs: Tensor, batch: Batch) -> Raised:
        """Of raw outputs of shape (n, classes)."""
        return Raised(-nnf.cross_entropy(outputs.float(), batch.labels, label_smoothing=self._smoothing))


def train_together(bench: Workbench, planned: PlannedOutput) -> tuple[list[Trained], Trained]:
    """All hidden modules and the output module, frozen; the time is shared evenly among the hidden ones.

    Raises:
        JobFailedError: the objective is no longer a finite number, or memory is short.
        Stopped: the run is to end.
    """
    started = time.monotonic()
    hidden = [bench.fresh(part.architecture, index=index) for index, part in enumerate(bench.plan.hidden)]
    output = bench.fresh(planned.architecture, index=len(hidden))
    objective = LogLikelihood(smoothing=bench.recipe.smoothing)
    part = bench.part(STAGE, nn.Sequential(*hidden, output), objective, groups=_groups(bench, hidden, output))
    stage = bench.stage(STAGE, [part], inputs=bench.training, watched=bench.held_out, index=0)
    (reached,) = stage.run()
    freeze(part.module)
    share = (time.monotonic() - started) / len(hidden)
    return [Trained(module, (), share) for module in hidden], Trained(output, stage.metrics(reached), 0.0)


def _groups(bench: Workbench, hidden: list[nn.Sequential], output: nn.Module) -> list[ParameterGroup]:
    """Hidden modules at the recipe's rate; the output module, on unit features, at its own."""
    spec = bench.recipe.optimiser
    rate = spec.peak_rate if bench.recipe.output is None else bench.recipe.output.learning_rate
    return [
        ParameterGroup(tuple(hidden), spec.peak_rate, spec.weight_decay),
        ParameterGroup((output,), rate, 0.0, to_classes=True),
    ]
