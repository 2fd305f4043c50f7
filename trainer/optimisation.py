"""How weights move: SGD with Nesterov momentum or AdamW, under one cycle of the learning rate."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR

from registry.errors import JobFailedError
from registry.recipes import OptimiserSpec


def one_cycle(step: int, *, steps: int, warm_up_share: float) -> float:
    """Share of the peak learning rate at one step: linear up from near 0, then linear down to near 0.

    Args:
        step: number of the step, from 0 to ``steps - 1``.
        steps: steps of the whole cycle.
        warm_up_share: share of the steps that go up, in [0, 1].

    Returns:
        A factor in (0, 1].

    Source:
        Smith, Topin (2018), Super-Convergence, section 3, with one momentum throughout.
    """
    rising = warm_up_share * steps
    if step + 1 <= rising:
        return (step + 1) / rising
    return min(1.0, max(steps - step, 1) / max(steps - rising, 1.0))


@dataclass(frozen=True, slots=True)
class ParameterGroup:
    """Modules that learn at one peak rate and weight decay."""

    modules: tuple[nn.Module, ...]
    learning_rate: float
    weight_decay: float

    def as_torch(self) -> list[dict[str, list[nn.Parameter] | float]]:
        """Two groups for torch: matrices and kernels decay, biases and the scales of norms do not."""
        parameters = [p for module in self.modules for p in module.parameters() if p.requires_grad]
        decaying = [p for p in parameters if p.ndim > 1]
        others = [p for p in parameters if p.ndim <= 1]
        parts = [(decaying, self.weight_decay), (others, 0.0)]
        return [{"params": part, "lr": self.learning_rate, "weight_decay": decay} for part, decay in parts if part]


class Ascent:
    """Raises an objective, one step after the other; here is the one minus sign of the house."""

    def __init__(self, groups: Iterable[ParameterGroup], *, spec: OptimiserSpec, steps: int) -> None:
        """Args: groups: what learns; spec: how; steps: length of the cycle."""
        self._optimiser = _optimiser([part for group in groups for part in group.as_torch()], spec)
        self._schedule = LambdaLR(
            self._optimiser, lambda step: one_cycle(step, steps=steps, warm_up_share=spec.warm_up_share)
        )

    def step(self, objective: Tensor) -> None:
        """Move the weights so that ``objective``, a scalar, grows."""
        self._optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(-objective)
        self._optimiser.step()
        self._schedule.step()


def _optimiser(parts: list[dict[str, list[nn.Parameter] | float]], spec: OptimiserSpec) -> Optimizer:
    if spec.name == "sgd":
        return SGD(parts, lr=spec.learning_rate, momentum=spec.momentum, nesterov=spec.momentum > 0)
    return AdamW(parts, lr=spec.learning_rate)


def finite_mean(objectives: list[Tensor], *, what: str) -> float:
    """Mean of an epoch's objectives, read from the device once.

    Raises:
        JobFailedError: it is not a finite number; ``what`` names the module and the epoch.
    """
    mean = float(torch.stack(objectives).float().mean())
    if not math.isfinite(mean):
        raise JobFailedError(f"the objective became {mean} in {what}; lower the learning rate or use float32")
    return mean
